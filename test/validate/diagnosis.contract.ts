/**
 * Tests of what `validate` says of real wrong training: the real model, data and engine, with one
 * mistake.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { compareRuns, type ValidationReport } from '../../src/validate/compare/compare-runs.ts';
import type { Cause } from '../../src/validate/compare/diagnose.ts';
import { type LossCurve, readLossCurve } from '../../src/validate/compare/loss-curve.ts';
import { CORRUPTED_FROM_STEP, trainWrongly, type WrongTrainingOptions } from './wrong-training.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-diagnosis-'));
after(() => rmSync(folder, { recursive: true }));

/** Trains; the files are what `validate` reads, so they are written and read. */
export async function train(options: WrongTrainingOptions): Promise<LossCurve> {
  const path = join(folder, 'run.json');
  writeFileSync(path, JSON.stringify(await trainWrongly(options)));
  return readLossCurve(path);
}

const singles = new Map<number, Promise<LossCurve>>();

async function validate(
  options: WrongTrainingOptions & { readonly seed: number },
): Promise<ValidationReport> {
  const single =
    singles.get(options.seed) ?? train({ mistake: 'none', workers: 1, seed: options.seed });
  singles.set(options.seed, single);
  return compareRuns(await single, await train(options), { tolerance: 0.01, isExact: false });
}

/** Fails unless the report blames `cause`, from `firstStep` on. */
export function assertNamed(report: ValidationReport, cause: Cause, firstStep: number): void {
  assert.equal(report.overall_passed, false);
  assert.deepEqual(
    [report.diagnosis?.cause, report.diagnosis?.first_diverging_step],
    [cause, firstStep],
    report.diagnosis?.evidence.join('\n'),
  );
}

/** Every mistake, and none, in training with this seed. */
export function testDiagnosis(seed: number): void {
  test(`passes right training of equal and unequal shares (seed ${seed})`, async () => {
    for (const shares of [
      [1, 1],
      [3, 1],
    ]) {
      const report = await validate({ mistake: 'none', workers: 2, seed, shares });
      assert.deepEqual(
        [report.overall_passed, report.digests_equal, report.first_different_step],
        [true, true, null],
      );
    }
  });

  test(`names missing gradient exchange (seed ${seed})`, async () => {
    for (const [workers, shares] of [
      [2, [1, 1]],
      [2, [3, 1]],
      [4, [1, 1, 1, 1]],
    ] as const)
      assertNamed(
        await validate({ mistake: 'no-exchange', workers, seed, shares }),
        'missing-exchange',
        1,
      );
  });

  test(`names wrong weighting of unequal shares (seed ${seed})`, async () => {
    for (const [workers, shares] of [
      [2, [3, 1]],
      [3, [2, 1, 1]],
    ] as const)
      assertNamed(
        await validate({ mistake: 'unweighted-average', workers, seed, shares }),
        'wrong-weighting',
        1,
      );
  });

  test(`names a corrupted worker, and the step after its first (seed ${seed})`, async () => {
    for (const workers of [2, 3])
      assertNamed(
        await validate({ mistake: 'corrupted-worker', workers, seed }),
        'corrupted-worker',
        CORRUPTED_FROM_STEP + 1,
      );
  });

  test(`names another learning rate, and its setting in the files (seed ${seed})`, async () => {
    for (const learningRate of [0.005, 0.02]) {
      const report = await validate({ mistake: 'none', workers: 2, seed, learningRate });
      assertNamed(report, 'other-hyperparameters', 1);
      assert.match(report.diagnosis?.evidence.at(-1) ?? '', /learning_rate 0\.01 and 0\.0/);
    }
  });
}
