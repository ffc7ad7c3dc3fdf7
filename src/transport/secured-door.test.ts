import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import type { LockstepError } from '../base/errors.ts';
import type { Connection } from './connection.ts';
import { connect, type Listener, listen } from './tcp.ts';
import { KEY_BYTES, type SharedKey } from './tls.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const TIMEOUT_MS = 5_000;
const OURS: SharedKey = { identity: 'worker 1', key: randomBytes(KEY_BYTES) };

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map(async (close) => close()));
});

/** A door that knows one key and answers every frame with its payload; who came, who did not. */
async function securedDoor() {
  const entered: (string | undefined)[] = [];
  const inside: Connection[] = [];
  const refused: string[] = [];
  const listener = await listen(
    LOOPBACK,
    (connection) => {
      entered.push(connection.identity);
      inside.push(connection);
      connection.handlers = {
        onFrame: (header, payload) => connection.send(header as object, payload),
        onClose: () => {},
      };
      connection.limits = { maxHeaderBytes: 1_024, maxPayloadBytes: 8 << 20 };
    },
    {
      secured: () => ({
        keyOf: (identity) => (identity === OURS.identity ? OURS.key : undefined),
        onStranger: (_peer, reason) => refused.push(reason),
      }),
    },
  );
  open.push(async () => listener.close());
  return { listener, entered, inside, refused };
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

async function echo(connection: Connection, payload: Uint8Array): Promise<Uint8Array> {
  connection.limits = { maxHeaderBytes: 1_024, maxPayloadBytes: 8 << 20 };
  return new Promise<Uint8Array>((resolve, reject) => {
    connection.handlers = {
      onFrame: (_header, bytes) => resolve(bytes),
      onClose: (error?: LockstepError) => reject(error ?? new Error('closed')),
    };
    connection.send({ kind: 'any' }, payload);
  });
}

async function refusal({ address }: Listener, key: SharedKey): Promise<string> {
  const error = await connect(address, TIMEOUT_MS, key).then(
    (connection) => {
      connection.destroy();
      return undefined;
    },
    (e: unknown) => e as Error,
  );
  assert.ok(error !== undefined, 'it was let in');
  return error.message.replace(/:\d+/, '');
}

describe('a door that opens with a key', () => {
  test('lets in who has it, says who that is, and carries frames both ways', async () => {
    const { listener, entered } = await securedDoor();
    const payload = randomBytes(5 << 20);

    const connection = await connect(listener.address, TIMEOUT_MS, OURS);

    assert.ok(payload.equals(await echo(connection, payload)));
    assert.deepEqual(entered, [OURS.identity]);
    connection.destroy();
  });

  test('has something in common with each who came, and with nobody else', async () => {
    const { listener, inside } = await securedDoor();
    const connections = [];
    for (let times = 0; times < 2; times++)
      connections.push(await connect(listener.address, TIMEOUT_MS, OURS));
    for (const connection of connections) await echo(connection, randomBytes(1));

    const [one, other] = connections.map(({ binding }) => hex(binding));

    assert.deepEqual(new Set(inside.map(({ binding }) => hex(binding))), new Set([one, other]));
    assert.ok(one !== other && one?.length === 64);
    for (const connection of connections) connection.destroy();
  });

  test('is rid of who came without a key, whether that hears it or has gone', async () => {
    const { listener } = await securedDoor();
    const { host, port } = listener.address;
    const knock = async (then: (socket: Socket) => void): Promise<Socket> => {
      const socket = connectSocket({ host, port });
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write('GET / HTTP/1.1\r\n\r\n', () => then(socket));
      return socket;
    };
    const patient = await knock((socket) => socket.resume());
    const gone = await knock((socket) => socket.resetAndDestroy());
    await once(patient, 'end');

    await listener.close();

    for (const socket of [patient, gone]) socket.destroy();
  });

  test('turns away another key and an unknown name, with the same words', async () => {
    const { listener, entered, refused } = await securedDoor();

    const wrongKey = await refusal(listener, { ...OURS, key: randomBytes(KEY_BYTES) });
    const wrongName = await refusal(listener, { ...OURS, identity: 'worker 2' });

    assert.equal(wrongKey, wrongName);
    assert.match(wrongKey, /does not accept our key/);
    assert.deepEqual(entered, []);
    assert.deepEqual(refused, Array(2).fill('its key is not one of ours'));
  });

  test('takes frames without a key from programs of its machine', async () => {
    const { listener, entered } = await securedDoor();

    const connection = await connect(listener.address, TIMEOUT_MS);

    assert.equal((await echo(connection, new Uint8Array(3))).length, 3);
    assert.deepEqual(entered, [undefined]);
    connection.destroy();
  });

  test('delivers what it said before it was closed, though the other end goes on talking', async () => {
    const said = randomBytes(5 << 20);
    const listener = await listen(
      LOOPBACK,
      (connection) => {
        connection.limits = { maxHeaderBytes: 1_024, maxPayloadBytes: 8 << 20 };
        connection.handlers = {
          onFrame: () => {
            connection.send({ kind: 'goodbye' }, said);
            connection.close();
            void listener.close();
          },
          onClose: () => {},
        };
      },
      { secured: () => ({ keyOf: () => OURS.key, onStranger: () => {} }) },
    );
    const connection = await connect(listener.address, TIMEOUT_MS, OURS);
    const answer = echo(connection, new Uint8Array(1));
    for (let i = 0; i < 20; i++) connection.send({ kind: 'more' }, randomBytes(1 << 16));

    assert.ok(said.equals(await answer));
    connection.destroy();
  });

  test('closes on a captured handshake that is played again', async () => {
    const { listener, entered } = await securedDoor();
    const captured: Buffer[] = [];
    const relay = await listenRaw((socket) => {
      const onward = connectSocket(listener.address.port, '127.0.0.1');
      socket.on('data', (bytes: Buffer) => captured.push(bytes));
      socket.pipe(onward).pipe(socket);
    });
    const connection = await connect({ ...LOOPBACK, port: relay }, TIMEOUT_MS, OURS);
    await echo(connection, new Uint8Array(100));
    connection.destroy();
    assert.equal(entered.length, 1);

    const replayed = connectSocket(listener.address.port, '127.0.0.1');
    replayed.on('error', () => {});
    for (const bytes of captured) replayed.write(bytes);
    replayed.resume();
    await once(replayed, 'close');

    assert.equal(entered.length, 1);
  });

  test('makes who fails again and again wait', async () => {
    const { listener, refused } = await securedDoor();
    const wrong = { ...OURS, key: randomBytes(KEY_BYTES) };
    for (let attempt = 0; attempt < 6; attempt++) await refusal(listener, wrong);

    await refusal(listener, OURS);

    assert.equal(refused.length, 6, 'the seventh is not even looked at');
  });
});

async function listenRaw(take: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    take(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(async () => new Promise((resolve) => server.close(() => resolve())));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
