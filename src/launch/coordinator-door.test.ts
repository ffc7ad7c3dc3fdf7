import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { connect as connectSocket, createServer } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../../test/cluster/processes.ts';
import { joinKeyOf, newToken, type Token } from '../access/token.ts';
import { trade } from '../access/trade.ts';
import { AccessError } from '../base/errors.ts';
import { AccessStore } from '../access/access-store.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Connection } from '../transport/connection.ts';
import { connect } from '../transport/tcp.ts';
import { openCoordinatorDoor } from './coordinator-door.ts';

/** How many workers the link lets in of a run that waits for so many. */
async function usesFor(t: TestContext, workers: number): Promise<number | undefined> {
  const accessFolder = temporaryFolder(t);
  const { config } = parseTrainConfig([], { host: '0.0.0.0', workers: String(workers) });
  const door = await openCoordinatorDoor({ config, accessFolder, onNote: () => {} });
  await door.close();
  return new AccessStore(accessFolder).list()[0]?.token.maxUses;
}

describe('the link of a coordinator', () => {
  test('lets in all workers that the run waits for, and each a second time', async (t) => {
    const uses = await Promise.all([1, 100, 256].map(async (count) => usesFor(t, count)));

    assert.deepEqual(uses, [64, 200, 512]);
  });
});

describe('a coordinator with --approve', () => {
  test('turns away who has a credential that no person has given', async (t) => {
    const accessFolder = temporaryFolder(t);
    const { config } = parseTrainConfig([], { lan: true, approve: true });
    const store = new AccessStore(accessFolder);
    const wishes = { role: 'worker', lifetimeMs: 60_000, maxUses: 2, note: '' } as const;
    const { identity } = joinKeyOf(store.create(wishes));
    const approver = { ask: () => assert.fail('nobody asks') };
    const door = await openCoordinatorDoor({ config, accessFolder, approver, onNote: () => {} });
    t.after(async () => door.close());

    const answers = await Promise.all(
      [false, true].map(async (isApproved) => {
        const { id, key } = store.issue(identity, 'mini', isApproved);
        const protection = { identity: `cred:${id}`, key: Buffer.from(key, 'hex') };
        const address = { host: '127.0.0.1', port: door.address.port };
        return answerTo(await connect(address, 5_000, protection));
      }),
    );

    assert.match(answers[0] ?? '', /a person must let in every worker of this run/);
    assert.equal(answers[1], 'nothing', 'it waits for the run');
  });
});

/** What is said to a connection that says nothing, within a moment. */
async function answerTo(connection: Connection): Promise<string> {
  const answer = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('nothing'), 300);
    connection.handlers = {
      onFrame: (header) => resolve(JSON.stringify(header)),
      onClose: () => clearTimeout(timer),
    };
  });
  connection.destroy();
  return answer;
}

const WISHES = { holder: 'mini', onCode: () => {}, signal: new AbortController().signal };

/** A door with a run behind it, and why somebody was not let in, as the run is told. */
async function ledDoor(t: TestContext) {
  const accessFolder = temporaryFolder(t);
  const { config } = parseTrainConfig([], { lan: true });
  const store = new AccessStore(accessFolder);
  const door = await openCoordinatorDoor({ config, accessFolder, onNote: () => {} });
  t.after(async () => door.close());
  const events: RunEvent[] = [];
  const accept = (connection: Connection): void => connection.destroy();
  door.lead({ accept, identities: () => [], expel: () => {} }, (event) => events.push(event));
  return {
    store,
    address: { host: '127.0.0.1', port: door.address.port },
    refusals: () => events.map((event) => (event.kind === 'worker-refused' ? event.reason : '')),
  };
}

describe('the door of a run in the network', () => {
  test('is none for who has a token of another role, or a credential for it', async (t) => {
    const accessFolder = temporaryFolder(t);
    const { config } = parseTrainConfig([], { lan: true });
    const store = new AccessStore(accessFolder);
    const door = await openCoordinatorDoor({ config, accessFolder, onNote: () => {} });
    t.after(async () => door.close());
    const address = { host: '127.0.0.1', port: door.address.port };

    for (const role of ['viewer', 'admin'] as const) {
      const token = store.create({ role, lifetimeMs: 60_000, maxUses: 2, note: '' });
      const needs = new RegExp(`has the role ${role}, this needs worker`);
      const joined = joinKeyOf(token);
      await assert.rejects(
        connect(address, 5_000, joined).then(async (way) => trade(way, WISHES)),
        (error) => error instanceof AccessError && needs.test(error.message),
      );
      const { id, key } = store.issue(joined.identity, 'mini');
      const credential = { identity: `cred:${id}`, key: Buffer.from(key, 'hex') };
      assert.match(await answerTo(await connect(address, 5_000, credential)), needs);
    }
  });

  test('is none for a token that is wrong, over, used up or revoked, and tells the run', async (t) => {
    const { store, address, refusals } = await ledDoor(t);
    const enter = async (token: Token): Promise<unknown> =>
      connect(address, 5_000, joinKeyOf(token)).then(async (way) => trade(way, WISHES));
    const make = (lifetimeMs: number): Token =>
      store.create({ role: 'worker', lifetimeMs, maxUses: 1, note: '' });
    const [over, used, revoked] = [make(0), make(60_000), make(60_000)];
    await enter(used);
    store.revoke(revoked.id);

    await assert.rejects(enter(newToken('worker')), { code: 'PEER_LOST' });
    for (const token of [over, used, revoked])
      await assert.rejects(enter(token), { code: 'ACCESS_DENIED' });

    assert.deepEqual(
      refusals().map((reason) => reason.split(/ \d|,/)[0]),
      [
        'its key is not one of ours',
        'the token expired',
        'the token was used once',
        'the token was revoked',
      ],
    );
  });

  test('is none for a captured handshake, and tells the run', async (t) => {
    const { store, address, refusals } = await ledDoor(t);
    const token = store.create({ role: 'worker', lifetimeMs: 60_000, maxUses: 2, note: '' });
    const captured: Buffer[] = [];
    const relay = createServer((socket) => {
      const onward = connectSocket(address.port, address.host);
      socket.on('data', (bytes: Buffer) => captured.push(bytes));
      socket.pipe(onward).pipe(socket);
    });
    t.after(() => relay.close());
    await once(relay.listen(0, '127.0.0.1'), 'listening');
    const { port } = relay.address() as { readonly port: number };
    await trade(await connect({ ...address, port }, 5_000, joinKeyOf(token)), WISHES);

    const replayed = connectSocket(address.port, address.host).on('error', () => {});
    for (const bytes of captured) replayed.write(bytes);
    await once(replayed.resume(), 'close');

    assert.equal(store.list()[0]?.credentials.length, 1, 'nobody got another credential');
    assert.deepEqual(refusals(), ['its key is not one of ours']);
  });

  test('is none for web pages, encrypted or not, and tells of each kind once', async (t) => {
    const accessFolder = temporaryFolder(t);
    const notes: string[] = [];
    const { config } = parseTrainConfig([], { lan: true });
    const onNote = (note: string): void => void notes.push(note);
    const door = await openCoordinatorDoor({ config, accessFolder, onNote });
    t.after(async () => door.close());
    const place = { host: '127.0.0.1', port: door.address.port, rejectUnauthorized: false };

    const answers = await Promise.all([
      answerToRequest(http.request({ ...place, method: 'DELETE' })),
      answerToRequest(https.request({ ...place, method: 'POST' })),
      answerToRequest(http.request({ ...place, method: 'PATCH' })),
    ]);

    assert.match(answers[0], /Parse Error|hang up/);
    assert.match(answers[1], /handshake failure|no shared cipher|hang up|ECONNRESET/i);
    assert.equal(notes.filter((note) => /^127\.0\.0\.1:\d+ was refused: /.test(note)).length, 2);
  });
});

async function answerToRequest(sent: http.ClientRequest): Promise<string> {
  return new Promise((resolve) => {
    sent.once('response', () => resolve('a response'));
    sent.once('error', ({ message }) => resolve(message));
    sent.end('any');
  });
}
