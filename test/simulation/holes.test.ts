/** Links on which one direction is lost, while a worker joins that is behind them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { undisturbedDigest } from './check-history.ts';
import { SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 80;
const JOIN_MS = 500;
const HOLE_MS = 20_000;
/** From when it dials to when it has been in a group for long. */
const MOMENTS = {
  up: Array.from({ length: 8 }, (_, i) => 190 * i),
  down: Array.from({ length: 20 }, (_, i) => 75 * i),
};
/** Until it is noticed, and what was in its hands is computed by others. */
const MOST_MS = 3_000;

/** Virtual time between two commits, at most, and the state at the end. */
function runWith(
  way: 'up' | 'down',
  fromMs: number,
  isLed: boolean,
): { readonly gapMs: number; readonly digest: string; readonly stalls: number } {
  let [lastMs, gapMs] = [Infinity, 0];
  const cluster = new SimulatedCluster({
    ...{ seed: 1 + fromMs, workers: 2, steps: STEPS, isDisturbed: false, isLed },
    onEvent: ({ kind }, nowMs) => {
      if (kind !== 'step') return;
      gapMs = Math.max(gapMs, nowMs - lastMs);
      lastMs = nowMs;
    },
    onStart: (faults) => {
      faults.at(JOIN_MS, 'join', () => faults.join('late'));
      faults.at(JOIN_MS + fromMs, way, () => faults.holdOneWay('late', way, HOLE_MS));
    },
  });
  const { result } = cluster.run();
  const stalls = cluster.events.filter(({ kind }) => kind === 'worker-stalled').length;
  return { gapMs, digest: digestOf(result.state), stalls };
}

describe('a link that loses one direction', () => {
  const expected = undisturbedDigest(1, STEPS);
  for (const way of ['up', 'down'] as const)
    for (const isLed of [true, false])
      test(`holds up ${isLed ? 'led' : 'granted'} steps for 3 s at most, ${way}`, () => {
        const runs = MOMENTS[way].map((fromMs) => ({ fromMs, ...runWith(way, fromMs, isLed) }));
        const late = runs.filter(({ gapMs }) => gapMs > MOST_MS);
        assert.deepEqual(late, []);
        for (const { digest, fromMs } of runs) assert.equal(digest, expected, `at ${fromMs} ms`);
        assert.ok(runs.some(({ stalls }) => stalls > 0));
      });
});
