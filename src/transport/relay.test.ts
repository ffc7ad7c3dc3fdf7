import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openRelay, type Relay } from './relay.ts';

/** Ends whatever a test has left open. */
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of open.splice(0)) await thing.close();
});
after(() => assert.equal(open.length, 0));

interface Ends {
  readonly relay: Relay;
  readonly near: Socket;
  /** The target's end of the connection, once it is there. */
  readonly far: () => Promise<Socket>;
  readonly server: Server;
}

async function connectThroughRelay(prepare: (relay: Relay) => void = () => {}): Promise<Ends> {
  const accepted: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    accepted.push(socket);
    server.emit('accepted');
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const relay = await openRelay({ host: '127.0.0.1', port });
  prepare(relay);
  const near = connect({ ...relay.address, allowHalfOpen: true });
  near.on('error', () => {});
  await once(near, 'connect');
  open.push(relay, { close: () => near.destroy() }, { close: () => server.close() });
  open.push({ close: () => accepted.forEach((socket) => socket.destroy()) });
  const far = async (): Promise<Socket> => {
    if (accepted.length === 0) await once(server, 'accepted');
    return accepted[0]!;
  };
  return { relay, near, far, server };
}

/** The next `count` bytes that arrive. */
async function read(socket: Socket, count: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  while (length < count) {
    const part = socket.read() as Buffer | null;
    if (part === null) await once(socket, 'readable');
    else {
      parts.push(part);
      length += part.length;
    }
  }
  return Buffer.concat(parts);
}

/** Resolves when the socket is closed, in whatever way. */
async function closed(socket: Socket): Promise<void> {
  await new Promise((resolve) => socket.once('close', resolve));
}

describe('openRelay', () => {
  test('passes bytes on both ways, and the ends of both directions', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const big = Buffer.alloc(3_000_000, 7);
    const far = await farOf();

    near.end(big);
    assert.deepEqual(await read(far, big.length), big);
    far.resume();
    await once(far, 'end');
    far.end('bye');
    assert.equal((await read(near, 3)).toString(), 'bye');
    near.resume();
    await once(near, 'close');

    assert.deepEqual(relay.forwarded, { up: 3_000_000, down: 3 });
  });

  test('delays one direction and not the other', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const far = await farOf();
    relay.set({ up: { kind: 'delay', ms: 80 } });

    const beganMs = performance.now();
    near.write('late');
    far.write('soon');
    await read(near, 4);
    const downMs = performance.now() - beganMs;
    await read(far, 4);
    const upMs = performance.now() - beganMs;

    assert.ok(upMs >= 79, `up took ${upMs} ms`);
    assert.ok(downMs < upMs, `down took ${downMs} ms, up ${upMs} ms`);
  });

  test('lets nothing through while packets are lost, even no end, and all afterwards', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const far = await farOf();
    const seen: string[] = [];
    far
      .on('data', (bytes: Buffer) => seen.push(bytes.toString()))
      .on('end', () => seen.push('end'));
    relay.set({ up: { kind: 'drop' } });

    near.end('hello');
    await pause(50);
    assert.deepEqual(seen, []);
    relay.set({ up: { kind: 'pass' } });
    await once(far, 'end');

    assert.deepEqual(seen, ['hello', 'end']);
  });

  test('calls the target for a new connection only when packets get through', async () => {
    const { far, relay, near, server } = await connectThroughRelay((fresh) =>
      fresh.set({ up: { kind: 'drop' } }),
    );
    let isAccepted = false;
    server.once('accepted', () => (isAccepted = true));

    near.write('hello');
    await pause(50);
    assert.equal(isAccepted, false);
    relay.set({ up: { kind: 'pass' } });

    assert.equal((await read(await far(), 5)).toString(), 'hello');
  });

  test('stops reading a sender whose bytes go nowhere', async () => {
    const { near, far, relay } = await connectThroughRelay();
    await far();
    relay.set({ up: { kind: 'drop' } });

    const before = process.memoryUsage().arrayBuffers;
    near.write(Buffer.alloc(64 << 20));
    await pause(100);

    assert.ok(
      near.writableLength > 32 << 20,
      `${near.writableLength} bytes still wait at the sender`,
    );
    assert.ok(process.memoryUsage().arrayBuffers - before < 80 << 20);
  });

  test('flips exactly one bit, of the byte that was named, once', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const far = await farOf();
    relay.set({ up: { kind: 'corrupt', afterBytes: 5, bit: 3 } });

    near.write(Buffer.alloc(4));
    const first = await read(far, 4);
    near.write(Buffer.alloc(16));
    const second = await read(far, 16);

    const expected = Buffer.alloc(20);
    expected[5] = 1 << 3;
    assert.deepEqual(Buffer.concat([first, second]), expected);
  });

  test('carries no more than its rate', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const far = await farOf();
    relay.set({ up: { kind: 'rate', bytesPerSecond: 200_000 } });

    const beganMs = performance.now();
    near.write(Buffer.alloc(30_000));
    await read(far, 30_000);
    const tookMs = performance.now() - beganMs;

    // 150 ms, less the piece that may go at once and the one that is due at the end.
    assert.ok(tookMs > 110 && tookMs < 1_000, `took ${tookMs} ms`);
  });

  test('breaks off both ends on a reset, and takes new connections afterwards', async () => {
    const { near, far: farOf, relay } = await connectThroughRelay();
    const far = await farOf();
    far.resume();
    near.resume();

    relay.resetAll();
    await Promise.all([closed(near), closed(far)]);

    const again = connect(relay.address);
    again.on('error', () => {});
    await once(again, 'connect');
    again.destroy();
  });

  test('breaks off the other end when one breaks off', async () => {
    const { near, far: farOf } = await connectThroughRelay();
    const far = await farOf();
    far.resume();

    near.resetAndDestroy();

    await closed(far);
  });

  test('breaks off a connection whose target is not there', async () => {
    const { near, server, far } = await connectThroughRelay();
    (await far()).destroy();
    near.destroy();
    await new Promise((resolve) => server.close(resolve));
    const { port } = await openAndCloseServer();
    const relay = await openRelay({ host: '127.0.0.1', port });
    open.push(relay);

    const socket = connect(relay.address);
    socket.on('error', () => {});
    socket.resume();

    await closed(socket);
  });
});

async function openAndCloseServer(): Promise<{ port: number }> {
  const server = createServer().listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return { port };
}
