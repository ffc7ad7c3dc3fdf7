import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diagnose } from './diagnose.ts';
import type { LossCurve } from './loss-curve.ts';

/** A run that learns; real wrong runs are in test/long/diagnosis.test.ts. */
const LOSSES = Array.from(
  { length: 60 },
  (_, step) => 10 * Math.exp(-step / 15) * (1 + 0.05 * Math.sin(step * 7)),
);

function curve(
  losses: readonly number[],
  more: Partial<LossCurve> = {},
  samplesOf: (step: number) => readonly number[] = () => [],
): LossCurve {
  const steps = losses.map((loss, step) => ({
    step,
    loss,
    samples: new Map(samplesOf(step).entries()),
  }));
  return { path: 'run.json', config: {}, steps, ...more };
}

function changed(from: number, factor: (step: number) => number): number[] {
  return LOSSES.map((loss, step) => (step < from ? loss : loss * factor(step)));
}

describe('diagnose', () => {
  test('names different data or weights when the first losses differ, with the settings that do', () => {
    const { cause, first_diverging_step, evidence } = diagnose(
      curve(LOSSES, { config: { seed: 42, num_processes: 1 } }, () => [32]),
      curve(
        changed(0, (step) => 1.2 + 0.1 * Math.sin(step)),
        { config: { seed: 7, num_processes: 2 } },
        () => [8, 8],
      ),
      0.01,
    );

    assert.deepEqual([cause, first_diverging_step], ['different-data', 0]);
    assert.deepEqual(evidence.slice(1), [
      'the first step has 32 samples in one and 16 in the other',
      'the files name different settings: seed 42 and 7',
    ]);
  });

  test('sees that all losses are the same times one factor', () => {
    const { cause, evidence } = diagnose(curve(LOSSES), curve(changed(0, () => 2)), 0.01);

    assert.equal(cause, 'different-loss');
    assert.deepEqual(evidence, ["every loss of the multi run is 2.00000 times the single run's"]);
  });

  test('blames the first update with unequal shares when everything agreed until then', () => {
    const shares = (step: number): number[] => (step < 20 ? [16, 16] : [24, 8]);

    const { cause, first_diverging_step, evidence } = diagnose(
      curve(LOSSES),
      curve(
        changed(21, () => 1.02),
        {},
        shares,
      ),
      0.01,
    );

    assert.deepEqual([cause, first_diverging_step], ['wrong-weighting', 21]);
    assert.match(
      evidence[1]!,
      /step 20 is the first with unequal shares \(worker 0: 24, worker 1: 8\)/,
    );
  });

  test('names a corrupted worker after agreement, and a newcomer in the step before', () => {
    const workers = (step: number): number[] => (step < 20 ? [32] : [16, 16]);

    const { cause, evidence } = diagnose(
      curve(LOSSES),
      curve(
        changed(21, () => 3),
        {},
        workers,
      ),
      0.01,
    );

    assert.equal(cause, 'corrupted-worker');
    assert.match(evidence[0]!, /steps 0 to 20 agree exactly; step 21 differs by 200%/);
    assert.equal(evidence[1], 'step 20 is the first with work of worker 1');
  });

  test('tells rounding that grows from a mistake, also without any tolerance', () => {
    const drifting = changed(1, (step) => 1 + Math.min(0.1, 1e-8 * 1.6 ** step));

    for (const tolerance of [0, 0.01])
      assert.equal(diagnose(curve(LOSSES), curve(drifting), tolerance).cause, 'rounding');
  });

  test('names other hyperparameters when the files do, or when the run learns faster at once', () => {
    const faster = LOSSES.map((_, step) => LOSSES[Math.min(59, 2 * step)]!);
    const slightly = changed(1, (step) => 1 + 0.02 * Math.sin(step));

    assert.equal(diagnose(curve(LOSSES), curve(faster), 0.01).cause, 'other-hyperparameters');
    const named = diagnose(
      curve(LOSSES, { config: { learning_rate: 0.01 } }),
      curve(slightly, { config: { learning_rate: 0.011 } }),
      0.01,
    );
    assert.equal(named.cause, 'other-hyperparameters');
    assert.match(named.evidence.at(-1)!, /learning_rate 0\.01 and 0\.011/);
  });

  test('does not speak of exchange or weighting when there was one worker', () => {
    const alone = curve(
      changed(1, () => 1.03),
      { workerCount: 1 },
    );

    const { cause, alternatives } = diagnose(curve(LOSSES), alone, 0.01);

    assert.deepEqual([cause, alternatives], ['other-hyperparameters', ['corrupted-worker']]);
  });

  test('says that a run does not learn at all', () => {
    const exploding = changed(1, (step) => Math.exp(step / 5));

    assert.equal(diagnose(curve(LOSSES), curve(exploding), 0.01).cause, 'diverging-updates');
  });

  test('speaks of the final state when all losses are the same', () => {
    const { cause, first_diverging_step } = diagnose(curve(LOSSES), curve(LOSSES), 0);

    assert.deepEqual([cause, first_diverging_step], ['final-state', null]);
  });
});
