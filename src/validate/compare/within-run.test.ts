import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { spreadOf, withinRunOf } from './within-run.ts';

const steps = (rates: readonly unknown[]): unknown[] =>
  rates.map((rate) => ({ throughput_samples_per_sec: rate }));

describe('withinRunOf', () => {
  test('gives the throughput of ten parts without the first step, and who has the same bits', () => {
    const rates = [1, ...Array.from({ length: 40 }, (_, i) => (i < 20 ? 100 : 50))];
    const within = withinRunOf({ steps: steps(rates), numerics_classes: ['abc'] });

    assert.deepEqual(within?.rates, [100, 100, 100, 100, 100, 50, 50, 50, 50, 50]);
    assert.equal(within.exactAmong, '["abc"]');
  });

  test('adds up times, not rates', () => {
    assert.deepEqual(withinRunOf({ steps: steps([9, 100, 50]) })?.rates, [2 / (1 / 100 + 1 / 50)]);
  });

  test('knows nothing of files without steps, with one, or with steps that have no throughput', () => {
    for (const some of [undefined, [], steps([5]), steps([5, 5, 0]), steps([5, 5, 'x']), [null]])
      assert.equal(withinRunOf({ steps: some }), undefined);
    assert.deepEqual(withinRunOf({ numericsClasses: ['abc'] }), {
      rates: [],
      exactAmong: '["abc"]',
    });
  });
});

describe('spreadOf', () => {
  test('is the deviation of the logarithms of the parts', () => {
    const { ofLogarithm, freedom } = spreadOf([50, 100, 200])!;

    assert.ok(Math.abs(ofLogarithm - Math.log(2)) < 1e-12);
    assert.equal(freedom, 2);
    assert.equal(spreadOf([100]), undefined);
  });
});
