/** What workers told when they were ready: how long one micro-batch took them that they tried. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { undisturbedDigest } from './check-history.ts';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const STEPS = 8;
/** So that it has time to try. */
const MANY_STEPS = 320;
const SEEDS = [1, 2, 3];

interface Course {
  /** Virtual time from when the last of those had joined who were there at the first commit. */
  readonly firstStepMs: number;
  readonly troubles: readonly string[];
  readonly digest: string;
}

function runWith(options: Partial<HistoryOptions> & { readonly seed: number }): Course {
  let [joinedMs, firstStepMs] = [0, 0];
  const cluster = new SimulatedCluster({
    ...{ workers: 2, steps: STEPS, isDisturbed: false },
    onEvent: ({ kind }, nowMs) => {
      if (firstStepMs > 0) return;
      if (kind === 'worker-joined') joinedMs = nowMs;
      if (kind === 'step') firstStepMs = nowMs - joinedMs;
    },
    ...options,
  });
  const { result } = cluster.run();
  const troubles = cluster.events
    .map(({ kind }) => kind)
    .filter((kind) => kind === 'worker-stalled' || kind === 'worker-lost');
  return { firstStepMs, troubles, digest: digestOf(result.state) };
}

describe('before anybody has computed a micro-batch', () => {
  const expected = undisturbedDigest(1, STEPS);

  test('a worker that never comes to an end with it holds a run up for 3 s at most', () => {
    for (const seed of SEEDS) {
      // All but what it tried.
      let tried = 0;
      const slowness = (name: string): number => (name === 'worker-0' && tried++ > 0 ? 1e7 : 1);

      const { firstStepMs, digest } = runWith({ seed, slowness });

      assert.ok(firstStepMs < 3_000, `seed ${seed}: ${firstStepMs} ms`);
      assert.equal(digest, expected);
    }
  });
});

describe('a newcomer that is four hundred times as slow as the others', () => {
  const expected = undisturbedDigest(1, MANY_STEPS);

  test('is not taken for stuck', () => {
    for (const seed of SEEDS) {
      const { troubles, digest } = runWith({
        seed,
        steps: MANY_STEPS,
        slowness: (name) => (name === 'late' ? 400 : 1),
        onStart: (cluster) => cluster.at(500, 'join', () => cluster.join('late')),
      });

      assert.deepEqual(troubles, [], `seed ${seed}`);
      assert.equal(digest, expected);
    }
  });
});
