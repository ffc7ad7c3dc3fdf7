/**
 * Coordinators that die and are started again, besides everything else that goes wrong: the run
 * goes on where its workers stand, or else from a checkpoint, and comes to the same end.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHistory } from './check-history.ts';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];
const FILE = 'coordinator-deaths';
const DEATHS = 3;

/** What coordinators after the first did in all histories together. */
type Counts = SimulatedCluster['records']['counts'];

/** The end of a run in which nothing goes wrong, and the loss of each of its steps. */
interface Expected {
  readonly digest: string;
  readonly losses: readonly number[];
}

function undisturbed(steps: number): Expected {
  const cluster = new SimulatedCluster({ seed: 0, workers: 1, steps, isDisturbed: false });
  const digest = digestOf(cluster.run().result.state);
  return { digest, losses: lossesOf(cluster) };
}

function lossesOf({ events }: SimulatedCluster): number[] {
  return events.flatMap((event) => (event.kind === 'step' ? event.lossMean : []));
}

function countsOf(
  seeds: readonly number[],
  { digest, losses }: Expected,
  changesOf: (seed: number) => Partial<HistoryOptions>,
): Counts {
  const sum = { fromWorkers: 0, fromCheckpoint: 0, told: 0, restored: 0, lostSteps: 0 };
  for (const seed of seeds) {
    const changes = { coordinatorDeaths: DEATHS, ...changesOf(seed) };
    const cluster = checkHistory(seed, digest, changes, FILE);
    // Also of steps that only workers could tell of; what was undone is told twice.
    const isUndone = cluster.events.some((event) => event.kind === 'rolled-back');
    if (!isUndone) assert.deepEqual(lossesOf(cluster), losses, `losses of history ${seed}`);
    const { counts } = cluster.records;
    for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += counts[key];
  }
  return sum;
}

function seedsFrom(first: number, count: number): number[] {
  if (ONLY_SEED !== undefined) return [Number(ONLY_SEED)];
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Tests `count` histories of each kind, drawn from the seeds from `first` on. */
export function testCoordinatorDeaths(first: number, count: number): void {
  const steps = 40;
  const expected = undisturbed(steps);
  const seeds = seedsFrom(first, count);

  describe('a coordinator that dies and is started again in a simulated cluster', () => {
    test('loses no step that its workers have committed, if nothing else goes wrong', () => {
      const counts = countsOf(seeds, expected, (seed) => ({
        ...{ steps, isDisturbed: false, world: 'even', ranksPerHost: 1 + (seed % 3) },
      }));

      assert.equal(counts.lostSteps, 0, JSON.stringify(counts));
      if (ONLY_SEED !== undefined) return;
      for (const often of ['fromWorkers', 'told', 'restored'] as const)
        assert.ok(counts[often] >= count / 6, JSON.stringify(counts));
    });

    test('comes to the same end in every history of other faults', () => {
      const counts = countsOf(seeds, expected, (seed) => ({
        ...{ steps, world: seed % 2 === 0 ? 'quick' : 'lan', ranksPerHost: 1 + (seed % 3) },
      }));

      if (ONLY_SEED !== undefined) return;
      for (const often of ['fromWorkers', 'fromCheckpoint'] as const)
        assert.ok(counts[often] >= count / 6, JSON.stringify(counts));
    });
  });
}
