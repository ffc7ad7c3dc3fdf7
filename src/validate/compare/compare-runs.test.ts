import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareRuns, percentText } from './compare-runs.ts';
import type { LossCurve } from './loss-curve.ts';
import { StructureError } from '../results/read-result.ts';
import { bitsOf } from '../watch/step-recorder.ts';

function curve(path: string, losses: readonly number[], stateDigest?: string): LossCurve {
  const steps = losses.map((loss, step) => ({
    step,
    loss,
    lossBits: bitsOf(loss),
    samples: new Map(),
  }));
  return { path, config: {}, steps, ...(stateDigest !== undefined && { stateDigest }) };
}

const LOOSE = { tolerance: 0.01, isExact: false };
const EXACT = { tolerance: 0, isExact: true };

describe('compareRuns', () => {
  test('passes steps within the tolerance and fails those beyond, with the keys of MiniCluster', () => {
    const report = compareRuns(curve('a', [2, 1, 0.5]), curve('b', [2, 1.009, 0.506]), LOOSE);

    const { step_comparisons: steps, diagnosis, ...rest } = report;
    assert.deepEqual(rest, {
      single_run_path: 'a',
      multi_run_path: 'b',
      tolerance: 0.01,
      num_steps_compared: 3,
      num_steps_passed: 2,
      num_steps_failed: 1,
      overall_passed: false,
      summary:
        'FAILED: 1 of 3 steps are not the same within 1.00% tolerance; the first is step 2: ' +
        'loss 0.5 and loss 0.506',
      exact: false,
      digests_equal: null,
      first_different_step: 1,
      first_failed_step: 2,
    });
    assert.notEqual(diagnosis, undefined);
    assert.deepEqual(steps[2], {
      step: 2,
      single_loss: 0.5,
      multi_loss: 0.506,
      delta: 0.506 - 0.5,
      delta_percent: ((0.506 - 0.5) / 0.5) * 100,
      passed: false,
      tolerance: 0.01,
    });
  });

  test('counts 0 and 0 as equal, and anything as infinitely far from 0', () => {
    const { step_comparisons: steps } = compareRuns(
      curve('a', [0, 0]),
      curve('b', [0, 1e-9]),
      LOOSE,
    );

    assert.deepEqual([steps[0]?.delta_percent, steps[0]?.passed], [0, true]);
    assert.deepEqual(
      [steps[1]?.delta, steps[1]?.delta_percent, steps[1]?.passed],
      [1e-9, null, false],
    );
  });

  test('fails losses that are not finite, even when both are', () => {
    for (const loss of [NaN, Infinity]) {
      const report = compareRuns(curve('a', [1, loss]), curve('b', [1, loss]), LOOSE);
      assert.equal(report.overall_passed, false);
      assert.deepEqual(report.diagnosis?.evidence[0], `the loss of step 1 in a is ${loss}`);
    }
  });

  test('with --exact fails a difference in the last bit, and passes none', () => {
    const losses = [2, 0.1 + 0.2];

    const report = compareRuns(curve('a', losses, 'ab'), curve('b', [2, 0.3], 'ab'), EXACT);

    assert.deepEqual([report.overall_passed, report.first_failed_step], [false, 1]);
    assert.equal(
      compareRuns(curve('a', losses, 'ab'), curve('b', losses, 'AB'), EXACT).overall_passed,
      true,
    );
  });

  test('with --exact tells 0 from -0', () => {
    assert.equal(
      compareRuns(curve('a', [0], 'ab'), curve('b', [-0], 'ab'), EXACT).overall_passed,
      false,
    );
  });

  test('with --exact fails other digests, and missing ones, though all losses are the same', () => {
    const other = compareRuns(curve('a', [1], 'ab'), curve('b', [1], 'cd'), EXACT);
    const missing = compareRuns(curve('a', [1], 'ab'), curve('b', [1]), EXACT);

    assert.deepEqual([other.overall_passed, other.diagnosis?.cause], [false, 'final-state']);
    assert.deepEqual([missing.overall_passed, missing.digests_equal], [false, null]);
    assert.match(missing.summary, /not both files have a digest/);
  });

  test('refuses runs of different lengths, of different steps, and --exact without bits', () => {
    const refused: [LossCurve, LossCurve, RegExp][] = [
      [curve('a', [1, 2]), curve('b', [1]), /got 2 in a and 1 in b/],
      [
        curve('a', [1]),
        { ...curve('b', [1]), steps: [{ step: 5, loss: 1, samples: new Map() }] },
        /expected step 0 at position 0 of both, got step 5 in b/,
      ],
      [
        curve('a', [1]),
        { ...curve('b', [1]), steps: [{ step: 0, loss: 1, samples: new Map() }] },
        /b bit for bit: step 0 has no loss_bits/,
      ],
    ];
    for (const [one, other, pattern] of refused)
      assert.throws(
        () => compareRuns(one, other, EXACT),
        (error) => error instanceof StructureError && pattern.test(error.message),
      );
  });
});

describe('percentText', () => {
  test('has two places, and more where these would all be 0', () => {
    assert.deepEqual([0, 1e-6, 1e-4, 0.01, 1].map(percentText), [
      '0.00%',
      '0.00010%',
      '0.01%',
      '1.00%',
      '100.00%',
    ]);
  });
});
