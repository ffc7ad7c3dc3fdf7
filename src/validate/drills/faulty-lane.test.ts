import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { injectionIn, injectionLine, parseFaultOrder } from './fault-order.ts';
import { faultyLaneHooks, type FaultyLaneOptions } from './faulty-lane.ts';

/** A lane with a fault from step 3 on, what it slept, and when it said that the fault began. */
function faultyLane(fault: string): {
  readonly hooks: ReturnType<typeof faultyLaneHooks>;
  readonly slept: number[];
  readonly begun: number[];
  readonly clock: Int32Array<SharedArrayBuffer>;
} {
  const slept: number[] = [];
  const begun: number[] = [];
  const clock = new Int32Array(new SharedArrayBuffer(4));
  const options: FaultyLaneOptions = {
    order: { fault, step: 3, seed: 1 },
    clock,
    onInjected: (step) => begun.push(step),
    sleep: async (ms) => Promise.resolve(void slept.push(ms)),
  };
  return { hooks: faultyLaneHooks(options), slept, begun, clock };
}

describe('faultyLaneHooks', () => {
  test('damage gradients from the ordered step on, and say once that it began', async () => {
    const { hooks, begun } = faultyLane('gradient_scale_10');
    const gradients = Float32Array.of(1, 2);

    await hooks.afterGradients?.(gradients, 2, 0);
    assert.deepEqual([...gradients], [1, 2]);
    await hooks.afterGradients?.(gradients, 3, 0);
    await hooks.afterGradients?.(gradients, 4, 1);

    assert.deepEqual([...gradients], [100, 200]);
    assert.deepEqual(begun, [3]);
  });

  test('sleep half a second once in every step', async () => {
    const { hooks, slept, begun } = faultyLane('slow_worker');
    const none = new Float32Array(0);

    for (const [step, microBatch] of [
      [2, 0],
      [3, 0],
      [3, 1],
      [5, 0],
    ] as const)
      await hooks.afterGradients?.(none, step, microBatch);

    assert.deepEqual(slept, [500, 500]);
    assert.deepEqual(begun, [3]);
  });

  test('miss exactly one update', () => {
    const { hooks, begun } = faultyLane('stale_worker');

    assert.deepEqual(
      [2, 3, 4].map((step) => hooks.skipsUpdate?.(step)),
      [false, true, false],
    );
    assert.deepEqual(begun, [3]);
  });

  test('let the clock jump when the ordered step is computed', async () => {
    const { hooks, clock } = faultyLane('clock_jump');
    const none = new Float32Array(0);

    await hooks.afterGradients?.(none, 2, 0);
    assert.equal(clock[0], 0);
    await hooks.afterGradients?.(none, 3, 0);

    assert.equal(clock[0], 1);
  });

  test('do nothing for a fault that is not in a lane', () => {
    assert.deepEqual(faultyLane('kill').hooks, {});
  });
});

describe('injectionIn', () => {
  test('finds when the fault began among the lines of a log', () => {
    const line = injectionLine('stale_worker', { step: 7, atMs: 123 });
    const log =
      '2026-01-01T00:00:00Z joined ' +
      `run\n${line}${injectionLine('stale_worker', { step: 9, atMs: 200 })}`;

    assert.deepEqual(injectionIn(log), { step: 7, atMs: 123 });
    assert.equal(injectionIn('2026-01-01T00:00:00Z joined run\n'), undefined);
  });
});

describe('parseFaultOrder', () => {
  test('takes what fault-test writes, and nothing else', () => {
    const order = { fault: 'kill', step: 1, seed: 2, workerId: 'w' };

    assert.deepEqual(parseFaultOrder(JSON.stringify(order)), order);
    assert.throws(() => parseFaultOrder('{"fault":"kill"}'), /internal error/);
  });
});
