import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkSizes } from './bench-collective.ts';
import { busBandwidth, figuresOf, MEBIBYTE } from './bench-collective-figures.ts';
import { fillContribution, isTotal } from './bench-collective-numbers.ts';

describe('busBandwidth', () => {
  test('is 2 (n - 1) / n times bytes by seconds, in units of 1e9', () => {
    assert.equal(busBandwidth(2, 1e9, 1), 1);
    assert.equal(busBandwidth(4, 1e9, 1), 1.5);
    assert.equal(busBandwidth(4, 2e9, 0.5), 6);
  });
});

describe('figuresOf', () => {
  test('gives mean, percentiles and least of the bandwidths, and of the times', () => {
    const figures = figuresOf(1, {
      ...{ workers: 2, byteLength: 1e6, socketBytes: 0 },
      times: [1, 2, 4, 5],
    });

    assert.deepEqual(
      [figures.mean_bandwidth_gbps, figures.p50_bandwidth_gbps, figures.min_bandwidth_gbps].map(
        (value) => Number(value.toFixed(6)),
      ),
      [0.4875, 0.375, 0.2],
    );
    assert.equal(Number(figures.p99_bandwidth_gbps.toFixed(6)), 0.985);
    assert.deepEqual([figures.mean_time_ms, figures.p50_time_ms, figures.max_time_ms], [3, 3, 5]);
    assert.equal(figures.iterations, 4);
  });
});

describe('checkSizes', () => {
  test('refuses what would not fit into memory, and says what would', () => {
    const free = 1000 * MEBIBYTE;
    // Two workers hold two buffers each: their own sum and the total.
    checkSizes([250], 2, free);
    assert.throws(
      () => checkSizes([1, 251], 2, free),
      /--size-mb 251: 2 workers need 1.0 GiB.*Choose at most 250/,
    );
    assert.throws(() => checkSizes([250], 3, free), { code: 'CONFIG_INVALID' });
  });
});

describe('isTotal', () => {
  const WORKERS = 3;
  const sumOf = (round: number): Int32Array => {
    const total = new Int32Array(1000);
    const part = new Int32Array(1000);
    for (let rank = 0; rank < WORKERS; rank++) {
      fillContribution(part, rank, round);
      for (const [index, value] of part.entries()) total[index] = (total[index] ?? 0) + value;
    }
    return total;
  };

  test('accepts the sum of all contributions, in every round', () => {
    for (const round of [0, 1, 2, 1000, 1_000_003])
      assert.ok(isTotal(sumOf(round), WORKERS, round));
  });

  test('refuses one wrong element, another round, and a sum of fewer or of the same one twice', () => {
    const wrong = sumOf(5);
    wrong[999]! ^= 1;
    assert.ok(!isTotal(wrong, WORKERS, 5));
    assert.ok(!isTotal(sumOf(4), WORKERS, 5));
    assert.ok(!isTotal(sumOf(5), 2, 5));
    const twice = new Int32Array(1000);
    fillContribution(twice, 0, 5);
    assert.ok(
      !isTotal(
        twice.map((value) => value * 2),
        2,
        5,
      ),
    );
  });
});
