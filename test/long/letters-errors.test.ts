/** Errors of the letters system after longer training, as published and as promised. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { run } from '../letters/local-job.ts';

describe('mode seed', () => {
  test("gives 0.324 with 25 rounds, 15 epochs, h 20, each with numpy's error", async () => {
    const fixture = new URL('../fixtures/letters-reference.json', import.meta.url);
    const { runs } = JSON.parse(await readFile(fixture, 'utf8')) as {
      runs: { rounds: number; errors: number[] }[];
    };

    const errors = run({ rounds: 25 });

    assert.equal(errors.at(-1), 0.324);
    assert.deepEqual(errors, runs.find(({ rounds }) => rounds === 25)?.errors);
  });
});

describe('mode default', () => {
  test('gives at most 0.255 with 15 rounds, 50 epochs, h 24 and the eta of the seed system', () => {
    const error = run({ mode: 'default', seed: 42, rounds: 15, epochs: 50, hidden: 24 }).at(-1)!;

    assert.ok(error <= 0.255, `${error}`);
  });

  test('gives at most 0.08 with h 128 and mini-batch Adam', () => {
    const adam = { mode: 'default', optimizer: 'adam', seed: 42, batch: 16, eta: 0.006 } as const;

    const error = run({ ...adam, rounds: 6, epochs: 8, hidden: 128 }).at(-1)!;

    assert.ok(error <= 0.08, `${error}`);
  });
});
