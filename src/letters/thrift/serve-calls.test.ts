import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../base/clock.ts';
import type { ByteStream, ByteStreamHandlers } from '../../transport/byte-stream.ts';
import { MemoryBudget } from '../../transport/memory-budget.ts';
import { type Answer, CALL_MS, IDLE_MS, MAX_CALLS, serveCalls } from './serve-calls.ts';
import { exceptionText } from './seed-interface.ts';
import { ThriftDecoder } from './thrift-decoder.ts';
import { encodeThrift } from './thrift-encoder.ts';
import type { ThriftMessage } from './thrift-values.ts';

/** A stream whose other end is the test. */
class MemoryStream implements ByteStream {
  readonly peer = 'test:1';
  readonly written: Uint8Array[] = [];
  queuedBytes = 0;
  isOver = false;
  handlers: ByteStreamHandlers = { onBytes: () => {}, onClose: () => {} };

  write(bytes: Uint8Array): void {
    this.written.push(bytes);
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.handlers.onClose();
  }

  /** As a stream does: what the handler throws ends it. */
  push(bytes: Uint8Array): void {
    try {
      if (!this.isOver) this.handlers.onBytes(bytes);
    } catch {
      this.destroy();
    }
  }
}

const CALL = encodeThrift('call', 'echo', 1, { 1: { type: 'string', value: 'hello' } });
const ANSWER = encodeThrift('reply', 'echo', 1, {});

function serve(answer: Answer = async () => ANSWER) {
  const clock = new ManualClock();
  const stream = new MemoryStream();
  const budget = new MemoryBudget(1 << 20);
  serveCalls(stream, answer, { clock, budget });
  return { clock, stream, budget };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

describe('serveCalls', () => {
  test('answers one call after the other, with minutes between', async () => {
    const { clock, stream, budget } = serve();
    for (let i = 0; i < 3; i++) {
      stream.push(CALL.subarray(0, 7));
      stream.push(CALL.subarray(7));
      await settled();
      clock.advance(IDLE_MS - 1);
    }

    assert.deepEqual(stream.written, [ANSWER, ANSWER, ANSWER]);
    assert.equal(budget.bytes, 0);
    assert.equal(stream.isOver, false);
  });

  test('makes an exception of what fails', async () => {
    const { stream } = serve(() => Promise.reject(new Error('no such letters')));
    const answers: ThriftMessage[] = [];

    stream.push(CALL);
    await settled();
    new ThriftDecoder((message) => answers.push(message)).push(stream.written[0]!);

    assert.equal(exceptionText(answers[0]!), 'no such letters');
  });

  test('waits for an answer for as long as it takes, and gives up when the caller leaves', async () => {
    let given: AbortSignal | undefined;
    const { clock, stream, budget } = serve((_, signal) => {
      given = signal;
      return new Promise(() => {});
    });
    stream.push(CALL);

    clock.advance(100 * IDLE_MS);
    assert.equal(stream.isOver, false);
    assert.ok(budget.bytes > 0);
    assert.equal(clock.pendingCount(), 0);
    stream.destroy();

    assert.equal(given?.aborted, true);
    assert.equal(budget.bytes, 0);
  });

  test('closes a connection without a first call, and one that is idle between calls', async () => {
    const first = serve();
    first.clock.advance(CALL_MS);
    assert.equal(first.stream.isOver, true);

    const second = serve();
    second.stream.push(CALL);
    await settled();
    second.clock.advance(IDLE_MS);
    assert.equal(second.stream.isOver, true);
  });

  test('closes a connection whose call trickles in, and gives its memory back', () => {
    const { clock, stream, budget } = serve();
    for (const byte of CALL.subarray(0, -1)) {
      stream.push(Uint8Array.of(byte));
      clock.advance(1_000);
    }

    assert.equal(stream.isOver, true);
    assert.equal(budget.bytes, 0);
    assert.equal(clock.pendingCount(), 0);
  });

  test('waits for a long call as long as it comes on', () => {
    const { clock, stream } = serve();
    const text = Buffer.alloc(4 + (64 << 10));
    text.writeInt32BE(64 << 10);
    stream.push(
      Buffer.from('80010001000000017800000001 0f0001 0b00000100'.replaceAll(' ', ''), 'hex'),
    );

    for (let i = 0; i < 6; i++) {
      clock.advance(CALL_MS - 1_000);
      stream.push(text);
    }

    assert.equal(stream.isOver, false);
  });

  const twice: readonly (readonly [string, readonly Uint8Array[]])[] = [
    ['together with the first', [Buffer.concat([CALL, CALL])]],
    ['in part together with the first', [Buffer.concat([CALL, CALL.subarray(0, 5)])]],
    ['before the answer', [CALL, CALL]],
  ];
  for (const [when, pieces] of twice) {
    test(`takes one call at a time: refuses a second one ${when}`, () => {
      let calls = 0;
      const { stream, budget } = serve(() => {
        calls++;
        return new Promise(() => {});
      });

      for (const piece of pieces) stream.push(piece);

      assert.equal(calls, 1);
      assert.equal(stream.isOver, true);
      assert.equal(budget.bytes, 0);
    });
  }

  test('refuses a call of a caller that does not read its answers', async () => {
    const { stream } = serve();
    stream.push(CALL);
    await settled();
    stream.queuedBytes = 1 << 20;

    stream.push(CALL);

    assert.equal(stream.isOver, true);
  });

  test('closes after many calls, and refuses what is no call', async () => {
    const { stream } = serve();
    for (let i = 0; i < MAX_CALLS; i++) {
      stream.push(CALL);
      await settled();
    }
    assert.equal(stream.written.length, MAX_CALLS);
    assert.equal(stream.isOver, true);

    const other = serve();
    other.stream.push(ANSWER);
    assert.equal(other.stream.isOver, true);
  });
});
