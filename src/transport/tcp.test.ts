import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { type LockstepError, PeerLostError, ProtocolError } from '../base/errors.ts';
import { type Connection, type FrameLimits, GREETING_LIMITS } from './connection.ts';
import { encodeFrameHead, NO_PAYLOAD, payloadFactsOf } from './frame.ts';
import { connect, listen, type Listener } from './tcp.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const WIDE: FrameLimits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 64 << 20 };
const CONNECT_MS = 5_000;

/** What to close after the test, whatever became of it. */
const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

interface Frame {
  readonly header: unknown;
  readonly payload: Uint8Array;
}

/** One end of a connection with everything that it was told. */
class End {
  readonly connection: Connection;
  readonly frames: Frame[] = [];
  readonly ends: (LockstepError | undefined)[] = [];
  readonly #waiting: { isMet: () => boolean; resolve: () => void }[] = [];

  constructor(connection: Connection, onFrame: (end: End) => void = () => {}) {
    this.connection = connection;
    connection.limits = WIDE;
    connection.handlers = {
      onFrame: (header, payload) => {
        this.frames.push({ header, payload: payload.slice() });
        onFrame(this);
        this.#check();
      },
      onClose: (error) => {
        this.ends.push(error);
        this.#check();
      },
    };
    open.push(() => connection.destroy());
  }

  async receivesFrames(count: number): Promise<void> {
    await this.#until(() => this.frames.length >= count);
  }

  /** The reason of its end. */
  async ended(): Promise<LockstepError | undefined> {
    await this.#until(() => this.ends.length > 0);
    return this.ends[0];
  }

  #until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ isMet, resolve });
      this.#check();
    });
  }

  #check(): void {
    for (const { isMet, resolve } of this.#waiting) if (isMet()) resolve();
  }
}

async function openDoor(onConnection: (connection: Connection) => void): Promise<Listener> {
  const door = await listen(LOOPBACK, onConnection);
  open.push(() => door.close());
  return door;
}

/** A connection over loopback; both ends may send anything of reasonable size. */
async function connectPair(
  onFrame?: (end: End) => void,
): Promise<{ near: End; far: End; door: Listener }> {
  let arrived: (end: End) => void = () => {};
  const far = new Promise<End>((resolve) => (arrived = resolve));
  const door = await openDoor((connection) => arrived(new End(connection, onFrame)));
  const near = new End(await connect(door.address, CONNECT_MS));
  return { near, far: await far, door };
}

/** A plain socket at a door of ours, for a peer that is not Lockstep. */
async function connectPlainSocket(): Promise<{ socket: Socket; far: End }> {
  let arrived: (end: End) => void = () => {};
  const far = new Promise<End>((resolve) => (arrived = resolve));
  const door = await openDoor((connection) => arrived(new End(connection)));
  const socket = connectSocket(door.address.port, door.address.host);
  socket.on('error', () => {});
  open.push(() => socket.destroy());
  await once(socket, 'connect');
  return { socket, far: await far };
}

/** A server that accepts and then does what it is told: never reads, or hangs up. */
async function openPlainDoor(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

describe('connect and listen', () => {
  test('carry frames both ways in order, with payloads of 5 MB', async () => {
    const { near, far } = await connectPair();
    const large = pattern(5_000_000);

    near.connection.send({ n: 1 });
    near.connection.send({ n: 2 }, large);
    near.connection.send({ n: 3 }, Uint8Array.of(7));
    far.connection.send({ n: 4 }, large);
    await far.receivesFrames(3);
    await near.receivesFrames(1);

    assert.deepEqual(
      far.frames.map(({ header }) => header),
      [{ n: 1 }, { n: 2 }, { n: 3 }],
    );
    assert.ok(Buffer.from(far.frames[1]!.payload).equals(large));
    assert.deepEqual([...far.frames[2]!.payload], [7]);
    assert.deepEqual(near.frames[0]!.header, { n: 4 });
    assert.ok(Buffer.from(near.frames[0]!.payload).equals(large));
    assert.equal(near.connection.bytesSent, far.connection.bytesReceived);
    assert.equal(far.connection.bytesSent, near.connection.bytesReceived);
    assert.equal(near.connection.framesSent, far.connection.framesReceived);
    assert.equal(far.connection.framesSent, near.connection.framesReceived);
  });

  test('name the other end by address and port', async () => {
    const { near, far, door } = await connectPair();

    assert.equal(near.connection.peer, `127.0.0.1:${door.address.port}`);
    assert.match(far.connection.peer, /^127\.0\.0\.1:\d+$/);
  });

  test('write payloads to where the receiver wants them', async () => {
    const { near, far } = await connectPair();
    const target = new Uint8Array(1 << 20);
    const { handlers } = far.connection;
    far.connection.handlers = { ...handlers, payloadTarget: () => target };

    near.connection.send({}, pattern(1 << 20));
    await far.receivesFrames(1);

    assert.ok(Buffer.from(target).equals(pattern(1 << 20)));
  });
});

describe('a TCP connection that is closed', () => {
  test('delivers what was sent before, and both ends are told once, without an error', async () => {
    const { near, far } = await connectPair();

    near.connection.send({ kind: 'last' }, pattern(3_000_000));
    near.connection.close();
    near.connection.close();
    await far.receivesFrames(1);

    assert.equal(await far.ended(), undefined);
    assert.equal(await near.ended(), undefined);
    assert.equal(far.frames[0]!.payload.length, 3_000_000);
    assert.deepEqual([near.ends.length, far.ends.length], [1, 1]);
  });

  test('delivers what was sent before although the peer is sending at the same time', async () => {
    const { near, far } = await connectPair();

    for (let n = 0; n < 20; n++) far.connection.send({ n }, pattern(500_000));
    near.connection.send({ kind: 'last' }, pattern(3_000_000));
    near.connection.close();
    await far.receivesFrames(1);

    assert.equal(far.frames[0]!.payload.length, 3_000_000);
    assert.equal(await near.ended(), undefined);
  });

  test('calls onFlushed once per frame, also for frames sent after the end', async () => {
    const { near, far } = await connectPair();
    const calls = [0, 0, 0];

    near.connection.send({}, pattern(1_000_000), () => calls[0]!++);
    near.connection.send({}, undefined, () => calls[1]!++);
    near.connection.close();
    near.connection.send({}, pattern(10), () => calls[2]!++);
    await Promise.all([near.ended(), far.ended()]);

    assert.deepEqual(calls, [1, 1, 1]);
    assert.equal(far.frames.length, 2);
  });

  test('calls onFlushed once for all in its queue when the peer dies without reading', async () => {
    const hangUp: (() => void)[] = [];
    const port = await openPlainDoor((socket) => hangUp.push(() => socket.resetAndDestroy()));
    const near = new End(await connect({ host: '127.0.0.1', port }, CONNECT_MS));
    const calls = new Map<number, number>();

    for (let frame = 0; frame < 8; frame++) {
      near.connection.send({ frame }, pattern(4_000_000), () =>
        calls.set(frame, (calls.get(frame) ?? 0) + 1),
      );
    }
    assert.ok(near.connection.queuedBytes > 0);
    assert.ok(calls.size < 8);
    while (hangUp.length === 0) await new Promise(setImmediate);
    hangUp[0]!();
    const error = await near.ended();
    await new Promise(setImmediate);

    assert.ok(error instanceof PeerLostError);
    assert.deepEqual([...calls.values()], [1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('shows how one large frame leaves little by little', async () => {
    const readers: Socket[] = [];
    const port = await openPlainDoor((socket) => readers.push(socket.pause()));
    const near = new End(await connect({ host: '127.0.0.1', port }, CONNECT_MS));
    near.connection.send({}, pattern(60_000_000));
    const seen = new Set<number>();
    let bytes = 0;

    while (near.connection.queuedBytes > 0) {
      seen.add(near.connection.queuedBytes);
      await new Promise(setImmediate);
      for (const reader of readers) bytes += (reader.read() as Uint8Array | null)?.length ?? 0;
    }

    assert.ok(seen.size > 10, `${seen.size} different numbers, ${bytes} bytes read`);
    const falling = [...seen];
    assert.deepEqual(
      falling,
      falling.toSorted((a, b) => b - a),
    );
    near.connection.destroy();
  });

  test('calls onFlushed once when it is destroyed with a full queue', async () => {
    const port = await openPlainDoor(() => {});
    const near = new End(await connect({ host: '127.0.0.1', port }, CONNECT_MS));
    let calls = 0;

    near.connection.send({}, pattern(16_000_000), () => calls++);
    near.connection.destroy();
    await near.ended();
    await new Promise(setImmediate);

    assert.equal(calls, 1);
    assert.equal(near.ends.length, 1);
  });

  test('delivers no frame after its owner has destroyed it, though more had arrived', async () => {
    const { near, far } = await connectPair((end) => end.connection.destroy());

    for (let n = 0; n < 5; n++) near.connection.send({ n });
    await far.ended();

    assert.deepEqual(
      far.frames.map(({ header }) => header),
      [{ n: 0 }],
    );
    assert.deepEqual(far.ends, [undefined]);
  });

  test('tells handlers that come after its end', async () => {
    const { near, far } = await connectPair();
    near.connection.destroy();
    await far.ended();
    const ends: unknown[] = [];

    far.connection.handlers = { onFrame: () => {}, onClose: (error) => ends.push(error) };

    assert.deepEqual(ends, [undefined]);
  });
});

describe('a TCP connection to a peer that misbehaves', () => {
  test('ends with PeerLostError when the peer goes inside a frame', async () => {
    for (const keptBytes of [3, 30, 50]) {
      const { socket, far } = await connectPlainSocket();
      const frame = Buffer.concat([
        encodeFrameHead({ kind: 'x' }, payloadFactsOf(new Uint8Array(100))),
        new Uint8Array(100),
      ]);

      socket.end(frame.subarray(0, keptBytes));
      const error = await far.ended();

      assert.ok(error instanceof PeerLostError, `after ${keptBytes} bytes`);
      assert.match(error.message, /ended inside a frame/);
      assert.equal(far.frames.length, 0);
    }
  });

  test('refuses an HTTP request and hangs up', async () => {
    const { socket, far } = await connectPlainSocket();
    const hungUp = once(socket, 'close');

    socket.resume();
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\n\r\n');

    const error = await far.ended();
    await hungUp;
    assert.ok(error instanceof ProtocolError);
    assert.match(error.message, /Is the other end Lockstep\?/);
    assert.equal(far.frames.length, 0);
  });

  test('refuses a frame larger than its limits before the payload has arrived', async () => {
    const { socket, far } = await connectPlainSocket();
    far.connection.limits = { maxHeaderBytes: 100, maxPayloadBytes: 1000 };

    socket.write(encodeFrameHead({ kind: 'x' }, { byteLength: 1001, checksum: 0 }));

    assert.ok((await far.ended()) instanceof ProtocolError);
  });

  test('ends when a file is offered before the greeting, and looks at no file', async () => {
    const { socket, far } = await connectPlainSocket();
    far.connection.limits = GREETING_LIMITS;
    const offer = { processId: process.pid, descriptor: 0, nonce: '' };

    socket.write(encodeFrameHead({ offer }, NO_PAYLOAD, 'link'));

    assert.match((await far.ended())!.message, /expected a greeting before it speaks of files/);
  });

  test('ends with the error of a handler that refuses a frame; the peer hears it too', async () => {
    const { near, far } = await connectPair(() => {
      throw new ProtocolError('message from a test: not wanted');
    });

    near.connection.send({});

    assert.equal((await far.ended())?.message, 'message from a test: not wanted');
    assert.match(
      (await near.ended())!.message,
      /^127\.0\.0\.1:\d+ could not go on: message from a test: not wanted$/,
    );
  });
});

describe('a connection whose owner cannot go on', () => {
  /** What both ends hear when handling a frame throws. */
  async function endsOf(fail: () => unknown): Promise<(LockstepError | undefined)[]> {
    const { near, far } = await connectPair(() => {
      fail();
    });
    near.connection.send({});
    return [await far.ended(), await near.ended()];
  }

  test('says that memory is lacking here, with what to do, and that nobody sent rubbish', async () => {
    const ends = await endsOf(() => new ArrayBuffer(2 ** 45));

    assert.deepEqual(
      ends.map((error) => error?.code),
      ['OUT_OF_RESOURCES', 'PEER_LOST'],
    );
    for (const error of ends)
      assert.match(error!.message, /not at fault: this machine gives no more memory .*--lanes/);
  });

  test('knows memory of WebAssembly, and files, by the words of Node.js', async () => {
    const [memory] = await endsOf(() => {
      throw new RangeError('WebAssembly.Memory(): could not allocate memory');
    });
    const [files] = await endsOf(() => {
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    });

    assert.equal(memory?.code, 'OUT_OF_RESOURCES');
    assert.match(files!.message, /as many files and connections open as it may .*ulimit -n/);
  });

  test('calls a mistake of its own a mistake of its own', async () => {
    const ends = await endsOf(() => {
      throw new TypeError('x is not a function');
    });

    assert.deepEqual(
      ends.map((error) => error?.code),
      ['INTERNAL', 'PEER_LOST'],
    );
    assert.match(ends[1]!.message, /could not go on: .*internal error: x is not a function/);
  });

  test('finds no memory for a payload no fault of the sender', async () => {
    const { near, far } = await connectPair();
    far.connection.handlers.payloadTarget = () => new Uint8Array(new ArrayBuffer(2 ** 45));

    near.connection.send({}, pattern(1000));

    assert.equal((await far.ended())?.code, 'OUT_OF_RESOURCES');
  });
});

describe('connect', () => {
  test('gives PeerLostError when nobody listens there', async () => {
    const door = await listen(LOOPBACK, () => {});
    await door.close();

    await assert.rejects(connect(door.address, CONNECT_MS), {
      name: 'PeerLostError',
      message: new RegExp(`127\\.0\\.0\\.1:${door.address.port}: ECONNREFUSED`),
    });
  });

  test('gives PeerLostError when there is no answer in time', async () => {
    // A connection to a network for documentation (RFC
    // 5737) is refused or never answered; both end in time.
    await assert.rejects(connect({ host: '192.0.2.1', port: 9 }, 1), PeerLostError);
  });
});

describe('listen', () => {
  test('names the port and the remedy when the port is taken', async () => {
    const door = await openDoor(() => {});
    const { port } = door.address;

    await assert.rejects(
      listen(door.address, () => {}),
      {
        name: 'PeerLostError',
        message:
          `listening on 127.0.0.1:${port}: port ${port} is in use. Stop the program that ` +
          'holds it, or choose another with --port (0 takes any free one).',
      },
    );
  });

  test('says that an address is not of this machine', async () => {
    await assert.rejects(
      listen({ host: '192.0.2.1', port: 0 }, () => {}),
      { name: 'PeerLostError', message: /192\.0\.2\.1 is not an address of this machine/ },
    );
  });

  test('ends the connections of its door when it is closed', async () => {
    const { near, far, door } = await connectPair();

    await door.close();

    await Promise.all([near.ended(), far.ended()]);
    assert.deepEqual([near.ends.length, far.ends.length], [1, 1]);
  });
});
