import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { ProtocolError } from '../base/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import { connect, connectBytes, listen } from './tcp.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** A door that answers frames with a frame, and other bytes in capital letters; what it is told. */
async function door(onBytes?: (stream: ByteStream, bytes: Uint8Array) => void) {
  const ends: (string | undefined)[] = [];
  const listener = await listen(
    LOOPBACK,
    (connection) => {
      connection.handlers = {
        onFrame: () => connection.send({ kind: 'framed' }),
        onClose: () => {},
      };
    },
    {
      onForeign: (stream) => {
        stream.handlers = {
          onBytes: (bytes) =>
            onBytes === undefined
              ? stream.write(Buffer.from(Buffer.from(bytes).toString().toUpperCase()))
              : onBytes(stream, bytes),
          onClose: (error) => ends.push(error?.message),
        };
      },
    },
  );
  open.push(() => listener.close());
  return { address: listener.address, ends };
}

describe('a door with two interfaces', () => {
  test('gives frames to one and other bytes to the other, none of them lost', async () => {
    const { address } = await door();

    const framed = await connect(address, 5_000);
    open.push(() => framed.destroy());
    const answer = new Promise((resolve) => {
      framed.handlers = { onFrame: resolve, onClose: () => {} };
    });
    framed.send({ kind: 'hello' });
    const foreign = await connectBytes(address, 5_000);
    open.push(() => foreign.destroy());
    const reply = new Promise<string>((resolve) => {
      foreign.handlers = {
        onBytes: (bytes) => resolve(Buffer.from(bytes).toString()),
        onClose: () => {},
      };
    });
    foreign.write(Buffer.from('hello'));

    assert.deepEqual(await answer, { kind: 'framed' });
    assert.equal(await reply, 'HELLO');
  });

  test('tells of an end, once', async () => {
    const { address, ends } = await door();
    const socket = connectSocket(address.port, address.host);
    socket.write('x');
    await once(socket, 'data');

    socket.end();
    await once(socket, 'close');
    while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));

    assert.deepEqual(ends, [undefined]);
  });

  test('ends a stream whose bytes are refused, with the reason', async () => {
    const { address, ends } = await door(() => {
      throw new ProtocolError('not ours');
    });
    const socket = connectSocket(address.port, address.host);
    socket.write('x');
    await once(socket, 'close');
    while (ends.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));

    assert.deepEqual(ends, ['not ours']);
  });

  test('delivers what was written before a close', async () => {
    const { address } = await door((stream) => {
      stream.write(Buffer.alloc(1 << 20, 7));
      stream.close();
    });
    const socket = connectSocket(address.port, address.host);
    let received = 0;
    socket.on('data', (bytes: Buffer) => (received += bytes.length));
    socket.write('x');

    await once(socket, 'close');

    assert.equal(received, 1 << 20);
  });
});
