/** Links that lose one direction, or one connection, while a worker joins that is behind them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { undisturbedDigest } from './check-history.ts';
import type { Hole } from './peer-faults.ts';
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
const FEW_MOMENTS = [1_170, 1_300];
/** Until it is noticed, and what was in its hands is computed by others. */
const MOST_MS = 3_000;
const WITH_COORDINATOR = ['control', 'data', 'heartbeat'] as const;

/** Virtual time between two commits, at most, and the state at the end. */
function runWith(
  hole: Hole,
  fromMs: number,
  isLed: boolean,
): { readonly gapMs: number; readonly digest: string; readonly stalled: readonly string[] } {
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
      faults.at(JOIN_MS + fromMs, hole.way, () => faults.hold('late', hole, HOLE_MS));
    },
  });
  const { result } = cluster.run();
  const stalled = cluster.events.flatMap((event) =>
    event.kind === 'worker-stalled' ? [`rank ${event.rank}: ${event.reason}`] : [],
  );
  return { gapMs, digest: digestOf(result.state), stalled };
}

const expected = undisturbedDigest(1, STEPS);

describe('a link that loses one direction', () => {
  for (const way of ['up', 'down'] as const)
    for (const isLed of [true, false])
      test(`holds up ${isLed ? 'led' : 'granted'} steps for 3 s at most, ${way}`, () => {
        const hole = { way, channels: WITH_COORDINATOR };
        const runs = MOMENTS[way].map((fromMs) => ({ fromMs, ...runWith(hole, fromMs, isLed) }));
        const late = runs.filter(({ gapMs }) => gapMs > MOST_MS);
        assert.deepEqual(late, []);
        for (const { digest, fromMs } of runs) assert.equal(digest, expected, `at ${fromMs} ms`);
        assert.ok(runs.some(({ stalled }) => stalled.length > 0));
      });
});

describe('one connection of several that passes nothing', () => {
  for (const channel of ['control', 'data', 'peers'] as const)
    test(`holds a run up for 3 s at most: ${channel}`, () => {
      for (const way of ['up', 'down'] as const)
        for (const isLed of [true, false])
          for (const fromMs of FEW_MOMENTS) {
            const { gapMs, digest, stalled } = runWith({ way, channels: [channel] }, fromMs, isLed);
            const what = `${way}, ${isLed ? 'led' : 'granted'}, at ${fromMs} ms: ${stalled.join()}`;
            assert.ok(gapMs <= MOST_MS, `${gapMs} ms, ${what}`);
            assert.equal(digest, expected, what);
            // It is the third, and nobody else is blamed.
            for (const reason of stalled) assert.match(reason, /^rank 2: /, what);
          }
    });
});
