import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkJobSpec, type JobSpec, shapeOf } from './job-spec.ts';

const SPEC: JobSpec = {
  directory: 'letters',
  rounds: 1,
  epochs: 1,
  hidden: 24,
  classes: 26,
  eta: 0.1,
  mode: 'default',
  optimizer: 'gradient',
  batch: 64,
  seed: 0,
};

describe('checkJobSpec', () => {
  const bad: readonly (readonly [Partial<JobSpec>, RegExp])[] = [
    [{ rounds: 0 }, /^rounds: expected a whole number from 1/],
    [{ epochs: 1.5 }, /^epochs: /],
    [{ hidden: 70_000 }, /^h: expected a whole number from 1 to 65536, got 70000/],
    [{ classes: 300 }, /^k: /],
    [{ eta: 0 }, /^eta: expected a number above 0/],
    [{ eta: Number.NaN }, /^eta: /],
    [{ batch: 0 }, /^batch: /],
    [{ directory: '' }, /^dir: /],
    [{ mode: 'seed', optimizer: 'adam' }, /^optimizer: expected gradient in mode seed/],
    [{ rounds: -1, eta: -1 }, /^rounds: .*; eta: /],
  ];
  for (const [change, message] of bad) {
    test(`refuses ${JSON.stringify(change)}`, () => {
      assert.throws(() => checkJobSpec({ ...SPEC, ...change }), {
        code: 'CONFIG_INVALID',
        message,
      });
    });
  }

  test('takes what is in range', () => {
    checkJobSpec(SPEC);
  });
});

describe('shapeOf', () => {
  test('refuses networks that are too large for their data', () => {
    assert.throws(
      () => shapeOf({ ...SPEC, hidden: 65_536 }, 4096),
      /^ConfigError: h: expected a network of at most/,
    );
  });
});
