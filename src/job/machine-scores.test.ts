import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { readScores } from './machine-scores.ts';

function fileWith(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-scores-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'gpu_profiles.json');
  writeFileSync(file, text);
  return file;
}

describe('readScores', () => {
  test('gives the score of every rank, in the order of the file or as it says', (t) => {
    const [first, second] = [{ compute_score: 4.5, name: 'RTX' }, { compute_score: 1 }];

    assert.deepEqual(readScores(fileWith(t, JSON.stringify([first, second]))), [4.5, 1]);
    const named = [
      { ...first, rank: 1 },
      { ...second, rank: 0 },
    ];
    assert.deepEqual(readScores(fileWith(t, JSON.stringify(named))), [1, 4.5]);
  });

  test('refuses whatever is no score above 0 for each rank, with the reason', (t) => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['', /got Unexpected end of JSON input/],
      ['{}', /expected array/],
      ['[]', /got .*>=1/],
      ['[{"compute_score": 0}]', /got 0\.compute_score: .*>0/],
      ['[{"compute_score": "NaN"}]', /got 0\.compute_score: .*expected number/],
      ['[{"compute_score": 1, "rank": 1}]', /got no record of rank 0/],
      ['[{"compute_score": 1, "rank": 0}, {"compute_score": 1, "rank": 0}]', /got rank 0 twice/],
    ];
    for (const [text, reason] of wrong)
      assert.throws(
        () => readScores(fileWith(t, text)),
        (error) => error instanceof ConfigError && reason.test(error.message),
        text,
      );
    assert.throws(() => readScores('nowhere.json'), /gpu_profiles: .*ENOENT/);
  });
});
