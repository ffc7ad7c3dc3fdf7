import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareRuns } from '../../src/validate/compare/compare-runs.ts';
import { assertNamed, testDiagnosis, train } from '../validate/diagnosis.contract.ts';

describe('the diagnosis of a failed validation', () => {
  testDiagnosis(42);

  test('names another seed', async () => {
    const [single, multi] = [
      await train({ mistake: 'none', seed: 1 }),
      await train({ mistake: 'none', seed: 2 }),
    ];

    const report = compareRuns(single, multi, { tolerance: 0.01, isExact: false });

    assertNamed(report, 'different-data', 0);
    assert.match(report.diagnosis?.evidence.at(-1) ?? '', /seed 1 and 2/);
  });
});

describe('the diagnosis of a failed validation, with another seed', () => testDiagnosis(7));
