import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import { SLICE_BYTES, SlicedWrites } from './socket-writes.ts';

/** What a socket was given, one write after the other, each done when the test says. */
class Sink extends Writable {
  readonly writes: Buffer[] = [];
  #done: (() => void) | undefined;

  override _write(bytes: Buffer, _: string, done: () => void): void {
    this.writes.push(bytes);
    this.#done = done;
  }

  /** Ends writes until there is none under way any more. */
  async drain(): Promise<void> {
    while (this.#done !== undefined) {
      const done = this.#done;
      this.#done = undefined;
      done();
      await new Promise(setImmediate);
    }
  }
}

function open(): { sink: Sink; writes: SlicedWrites } {
  const sink = new Sink();
  return { sink, writes: new SlicedWrites(sink as unknown as Socket) };
}

const LARGE = new Uint8Array(3 * SLICE_BYTES + 5).fill(1);
const SMALL = Uint8Array.of(2, 2);

describe('SlicedWrites', () => {
  test('gives the socket one slice at a time, and what follows behind the last', async () => {
    const { sink, writes } = open();
    const flushed: string[] = [];

    writes.write(LARGE, () => flushed.push('large'));
    writes.write(SMALL, () => flushed.push('small'));
    assert.equal(sink.writableLength, SLICE_BYTES);
    await sink.drain();

    const lengths = sink.writes.map(({ length }) => length);
    assert.deepEqual(lengths, [SLICE_BYTES, SLICE_BYTES, SLICE_BYTES, 5, 2]);
    assert.deepEqual(Buffer.concat(sink.writes), Buffer.concat([LARGE, SMALL]));
    assert.deepEqual(flushed, ['large', 'small']);
    assert.equal(writes.queuedBytes, 0);
  });

  test('ends the socket behind all that waits, and takes nothing more', async () => {
    const { sink, writes } = open();

    writes.write(LARGE);
    writes.end();
    assert.ok(writes.isEnded && !sink.writableEnded);
    await sink.drain();

    assert.equal(Buffer.concat(sink.writes).length, LARGE.length);
    assert.ok(sink.writableFinished);
  });

  test('lets go of everything when the socket is closed', async () => {
    const { sink, writes } = open();
    const flushed: string[] = [];

    writes.write(LARGE, () => flushed.push('large'));
    writes.write(SMALL, () => flushed.push('small'));
    sink.destroy();
    writes.abandon();
    await sink.drain();

    assert.deepEqual(flushed, ['large', 'small']);
    assert.equal(sink.writes.length, 1);
  });
});
