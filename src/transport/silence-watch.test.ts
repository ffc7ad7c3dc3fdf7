import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Clock, ManualClock } from '../base/clock.ts';
import { SilenceWatch } from './silence-watch.ts';

function watch(clock: Clock = new ManualClock()) {
  const state = { bytes: 0, silences: 0 };
  const made = new SilenceWatch(clock, {
    limitMs: 10_000,
    onSilent: () => state.silences++,
    bytes: () => state.bytes,
  });
  return { clock: clock as ManualClock, state, made };
}

describe('SilenceWatch', () => {
  test('tells once of a peer that says nothing, in time', () => {
    const { clock, state } = watch();
    clock.advance(10_000);
    assert.equal(state.silences, 0);

    clock.advance(2_000);
    assert.equal(state.silences, 1);
    clock.advance(100_000);

    assert.equal(state.silences, 1);
    assert.equal(clock.pendingCount(), 0);
  });

  test('takes messages, and long messages on their way, for life; a trickle for silence', () => {
    const { clock, state, made } = watch();
    for (let i = 0; i < 10; i++) {
      clock.advance(9_000);
      made.heard();
    }
    for (let i = 0; i < 10; i++) {
      clock.advance(9_000);
      state.bytes += 64 << 10;
    }
    assert.equal(state.silences, 0);

    for (let i = 0; i < 20; i++) {
      clock.advance(1_000);
      state.bytes++;
    }

    assert.equal(state.silences, 1);
  });

  test('gives a peer the time anew after our own sleep', () => {
    const real = new ManualClock();
    let sleptMs = 0;
    const { state, made } = watch({
      now: () => real.now() + sleptMs,
      after: (delayMs, action) => real.after(delayMs, action),
    });
    real.advance(1_000);
    sleptMs += 3_600_000;

    real.advance(1_500);
    made.heard();
    real.advance(9_000);

    assert.equal(state.silences, 0);
  });
});
