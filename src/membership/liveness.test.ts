import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Liveness, type Traffic } from './liveness.ts';
import { DEFAULT_TIMING } from './timing.ts';

const LOADED = { isLoading: false, isLoaded: true };

/** What becomes of a member that was last heard at 0, with so many bytes sent and received. */
function verdictAt(nowMs: number, sentBytes: number, receivedBytes: number): string | undefined {
  const liveness = new Liveness(0);
  liveness.beat({ progress: 0, receivedBytes }, 0);
  const traffic: Traffic = { heardBytes: 0, workBytes: 0, waitingBytes: 0, sentBytes };
  liveness.watch(traffic, nowMs);
  return liveness.judge(LOADED, DEFAULT_TIMING, nowMs)?.kind;
}

describe('Liveness', () => {
  test('gives up who is silent for five seconds, and on a jammed link for thirty', () => {
    assert.deepEqual(
      [1_900, 2_100, 5_100].map((ms) => verdictAt(ms, 300_000, 299_000)),
      [undefined, 'stall', 'evict'],
    );
    assert.deepEqual(
      [1_900, 5_100, 29_900, 30_100].map((ms) => verdictAt(ms, 300_000, 96_000)),
      [undefined, 'stall', 'stall', 'evict'],
    );
  });
});
