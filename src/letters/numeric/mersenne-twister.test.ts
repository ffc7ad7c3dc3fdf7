import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MersenneTwister } from './mersenne-twister.ts';

const FIXTURE = new URL('../../../test/fixtures/letters-reference.json', import.meta.url);

describe('MersenneTwister', () => {
  test("gives numpy's numbers after seed(1), every hundredth of the first 700", () => {
    const { uniform } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as { uniform: number[] };
    const twister = new MersenneTwister(1);

    const found = Array.from({ length: 700 }, () => twister.uniform()).filter(
      (_, i) => i % 100 === 0,
    );

    assert.equal(uniform[0], 0.417022004702574);
    assert.deepEqual(found, uniform);
  });
});
