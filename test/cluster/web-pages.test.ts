/**
 * What a web page in the browser of somebody at this machine can do to our doors. It can send
 * requests of any method to any port here, under any name that it has pointed to this machine, and
 * begin WebSockets; what stands in a body is its choice, what a request begins with is not.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { WHO_ARE_YOU } from '../../src/letters/thrift/seed-interface.ts';
import { encodeThrift } from '../../src/letters/thrift/thrift-encoder.ts';
import { encodeFrameHead } from '../../src/transport/frame.ts';
import { portOf } from '../letters/letters-cluster.ts';
import { hello } from './peer.ts';
import { startLockstep, temporaryFolder } from './processes.ts';
import { assertSameModel, referenceOf, startRun, startWorker } from './runs.ts';

const SETTINGS = ['--dataset', 'digits', '--steps', '30', '--seed', '7'];

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
/** What a page may send without asking first, and what it asks for first. */
const TYPES = ['text/plain', 'application/x-www-form-urlencoded', 'application/json'];
const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};

/** Sends one request as a page of evil.example does; gives what the page would get. */
async function ask(
  port: number,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<string> {
  const from = { host: 'evil.example', origin: 'http://evil.example', ...headers };
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, method, headers: from, timeout: 10_000 });
    sent.once('response', ({ statusCode }) => resolve(`a response ${statusCode}`));
    sent.once('upgrade', () => resolve('a WebSocket'));
    sent.once('timeout', () => sent.destroy(new Error('it is still open')));
    sent.once('error', ({ message }) => resolve(message));
    sent.end(body);
  });
}

/** All that a page can try, with a body that would open the door if it were read. */
async function tryAll(port: number, body: Uint8Array): Promise<string[]> {
  const answers = METHODS.flatMap((method) =>
    TYPES.map(async (type) => ask(port, method, { 'content-type': type }, body)),
  );
  return Promise.all([...answers, ask(port, 'GET', UPGRADE, body)]);
}

/** It was not understood, and hung up on. */
function assertNothing(answers: readonly string[]): void {
  const odd = answers.filter(
    (answer) => !/^(socket hang up|Parse Error|read ECONNRESET)/.test(answer),
  );
  assert.deepEqual(odd, []);
  assert.equal(answers.length, METHODS.length * TYPES.length + 1);
}

describe('a web page', () => {
  test('joins no run of this machine, whatever it sends', async (t) => {
    const reference = await referenceOf(t, SETTINGS);
    const run = startRun(t, [...SETTINGS, '--workers', '1'], 'coordinator');
    const port = Number((await run.address()).split(':').at(-1));

    assertNothing(await tryAll(port, encodeFrameHead(hello())));
    await startWorker(t, run);
    assertNothing(await tryAll(port, encodeFrameHead(hello())));

    const outcome = await run.outcome();
    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.events.workersJoined, 1);
    const [refused] = run.eventsOf('worker-refused');
    assert.match(refused?.reason ?? '', /expected a Lockstep frame, got other bytes/);
  });

  test('has no letters node answer', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'nodes'), '');
    const nodes = [
      startLockstep(t, ['compute-node', '0', '0'], folder),
      startLockstep(t, ['coordinator-node', '0', '1', '--nodes', 'nodes'], folder),
    ];
    const question = encodeThrift('call', WHO_ARE_YOU, 1, {});

    for (const node of nodes) assertNothing(await tryAll(await portOf(node), question));

    assert.ok(nodes.every(({ isOver }) => !isOver));
  });
});
