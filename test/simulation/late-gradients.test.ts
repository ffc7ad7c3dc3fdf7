/** Steps that do not wait for everybody, in histories of faults. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { messageOf } from '../../src/base/errors.ts';
import type { GradientLate, RunEvent } from '../../src/metrics/events.ts';
import type { StepClosing } from '../../src/plan/closing.ts';
import { checkHistory, undisturbedDigest } from './check-history.ts';
import { type HistoryOptions, SimulatedCluster } from './simulated-cluster.ts';
import { digestOf } from './simulated-engine.ts';

const SEEDS = 30;
const STEPS = 12;
const MAX_STALENESS = 3;
const ONLY_SEED = process.env['LOCKSTEP_HISTORY'];
const DEADLINE: StepClosing = { kind: 'deadline', timeoutMs: 60 };
const STALENESS: StepClosing = { kind: 'staleness', maxStaleness: MAX_STALENESS };

const seeds =
  ONLY_SEED === undefined
    ? Array.from({ length: SEEDS }, (_, i) => 8_000 + i)
    : [Number(ONLY_SEED)];

/** Runs one history; what became of the samples that its steps were closed without. */
function lateIn(seed: number, closing: StepClosing, changes: Partial<HistoryOptions> = {}) {
  const workers = 2 + (seed % 3);
  const size = { seed, workers, steps: STEPS, isDisturbed: true };
  const cluster = new SimulatedCluster({ ...size, closing, ...changes });
  try {
    const { result, events } = cluster.run();
    for (const { stateDigest } of result.replicaDigests)
      assert.equal(stateDigest, digestOf(result.state), 'all replicas are the same');
    assert.equal(result.steps, STEPS);
    const late = events.filter((event) => event.kind === 'gradient-late');
    const { expected, counted, dropped, duplicated } = result.ledger;
    assert.deepEqual([counted + dropped, duplicated], [expected, 0], 'ledger');
    // What a step is closed without that is undone later is told of, and computed again.
    if (events.every(({ kind }) => kind !== 'rolled-back'))
      assert.equal(samplesIn(late, 'left-out') + samplesIn(late, 'lost'), dropped, 'told');
    const waits = events.filter(({ kind }) => kind === 'staleness-bound').length;
    return { late, dropped, waits };
  } catch (error) {
    const faults = cluster.faults.join('; ');
    const message = `history ${seed}, ${closing.kind}: ${messageOf(error)}. Faults: ${faults}`;
    throw new Error(message, { cause: error });
  }
}

function samplesIn(late: readonly GradientLate[], became: GradientLate['became']): number {
  return late
    .filter((event) => event.became === became)
    .reduce((sum, { samples }) => sum + samples, 0);
}

/** How long all steps took but the first, in which speeds are learnt, and the last, which waits. */
function stepsMsOf(events: readonly RunEvent[]): number {
  const steps = events.filter((event) => event.kind === 'step');
  return steps.slice(10, -1).reduce((sum, { stepMs }) => sum + stepMs, 0);
}

describe('a simulated cluster whose steps go through the coordinator', () => {
  test('ends with the undisturbed state when it waits for all gradients', () => {
    const expected = undisturbedDigest(1);
    for (const seed of seeds.slice(0, 15))
      checkHistory(seed, expected, { closing: { kind: 'complete' } }, 'late-gradients');
  });

  test('tells what became of every sample that a deadline left out', () => {
    const all = seeds.map((seed) => lateIn(seed, DEADLINE));
    if (ONLY_SEED !== undefined) return;
    const late = all.flatMap((one) => one.late);
    assert.ok(samplesIn(late, 'left-out') > 100, 'gradients came late');
    assert.ok(samplesIn(late, 'lost') > 10, 'gradients did not come at all');
    assert.equal(samplesIn(late, 'added'), 0);
  });

  test('adds late gradients to later steps, never older than the bound, or tells of them', () => {
    const all = seeds.map((seed) => lateIn(seed, STALENESS));
    const late = all.flatMap((one) => one.late);
    for (const { became, staleness = 0, samples, countedAs = 0 } of late) {
      if (became !== 'added') continue;
      assert.ok(staleness >= 1 && staleness <= MAX_STALENESS, `${staleness} steps old`);
      assert.equal(countedAs, Math.max(1, Math.round(samples / (1 + staleness))));
    }
    if (ONLY_SEED !== undefined) return;
    assert.ok(samplesIn(late, 'added') > 100, 'gradients were added');
    assert.ok(samplesIn(late, 'lost') > 10, 'gradients were lost');
    assert.ok(
      all.some(({ waits }) => waits > 0),
      'steps waited for old gradients',
    );
  });

  test('does as many steps in the same time, all in all, with a worker that is ten times slower', () => {
    if (ONLY_SEED !== undefined) return;
    const closing: StepClosing = { kind: 'staleness', maxStaleness: 8 };
    const calm = { steps: 80, isDisturbed: false, world: 'even', closing } as const;
    const slowness = (name: string): number => (name === 'worker-2' ? 10 : 1);
    let [aloneMs, besideMs, added] = [0, 0, 0];
    for (const seed of seeds.slice(0, 12)) {
      const alone = new SimulatedCluster({ ...calm, seed, workers: 2 }).run();
      const beside = new SimulatedCluster({ ...calm, seed, workers: 3, slowness }).run();
      aloneMs += stepsMsOf(alone.events);
      besideMs += stepsMsOf(beside.events);
      added += beside.events.filter(({ kind }) => kind === 'gradient-late').length;
    }
    assert.ok(aloneMs / besideMs > 0.95, `${aloneMs} ms without it, ${besideMs} ms with it`);
    assert.ok(added > 12 * 10, `${added} gradients of the slow one`);
  });

  test('counts every sample of slow workers that stay', () => {
    for (const seed of seeds.slice(0, 15)) {
      const { dropped, late } = lateIn(seed, STALENESS, { isDisturbed: false });
      assert.equal(dropped, 0);
      assert.ok(late.every(({ became }) => became === 'added'));
    }
  });
});
