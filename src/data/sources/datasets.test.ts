import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import type { ConfigError } from '../../base/errors.ts';
import type { Dataset } from '../dataset.ts';
import type { DatasetSettings } from '../dataset-settings.ts';
import { DATASETS, loadDataset } from './datasets.ts';
import type { DatasetRequest } from './datasets.ts';
import { describeDataset } from '../describe-dataset.ts';

const request: DatasetRequest = {
  places: { cacheDir: '/nonexistent' },
  network: {
    fetch: () => Promise.reject(new TypeError('no network in tests')),
    clock: systemClock,
  },
  seed: 42,
  validationFraction: 0,
  settings: {
    samples: 64,
    channels: 3,
    sequenceLength: 32,
    textTokens: 'char',
    onBadRow: 'stop',
    normalise: 'auto',
    augment: 'none',
  },
};

const lacksFashionMnist =
  !existsSync('/usr/share/datasets/fashion-mnist') &&
  'the package dataset-fashion-mnist is not installed';

/** A request with some settings changed. */
function withSettings(changes: Partial<DatasetSettings>): DatasetRequest {
  return { ...request, settings: { ...request.settings, ...changes } };
}

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
  test('loads MNIST, which comes with Lockstep, every image and label of it', async () => {
    const splits = await loadDataset('mnist', request);
    const description = describeDataset(splits);

    assert.equal(description.origin, 'part of Lockstep');
    assert.deepEqual(description.features, [1, 28, 28]);
    assert.deepEqual(
      description.splits.map(({ split, sampleCount, classCounts }) => ({
        split,
        sampleCount,
        classCounts,
      })),
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
    assert.ok(
      Math.abs(mean - 0.13066) < 1e-5 && Math.abs(std - 0.30811) < 1e-5,
      `mean ${mean}, std ${std}`,
    );
    const { scale, shift } = splits.train.normalisation;
    assert.ok(Math.abs(255 * mean * scale[0]! + shift[0]!) < 1e-3, 'normalised mean is 0');
    assert.ok(Math.abs(255 * std * scale[0]! - 1) < 1e-3, 'normalised standard deviation is 1');
  });

  test(
    'loads Fashion-MNIST from the Debian package, every image of it',
    { skip: lacksFashionMnist },
    async () => {
      const splits = await loadDataset('fashion_mnist', request);

      const { splits: described, origin, classNames } = describeDataset(splits);
      assert.equal(origin, '/usr/share/datasets/fashion-mnist');
      assert.equal(classNames?.[9], 'Ankle boot');
      for (const { classCounts, sampleCount } of described)
        assert.deepEqual(new Set(classCounts), new Set([sampleCount / 10]));
      const { mean, std } = momentsOf(splits.train);
      assert.ok(
        Math.abs(mean - 0.28604) < 1e-5 && Math.abs(std - 0.35302) < 1e-5,
        `mean ${mean}, std ${std}`,
      );
    },
  );

  test("makes SmolCluster's 90/10 split by seed, with no sample lost or doubled", async () => {
    const options = { ...request, validationFraction: 0.1 };

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
    assert.equal(validation.normalisation, train.normalisation);
  });

  test('makes synthetic sets of the size asked for, and a quarter for the test', async () => {
    const names = [
      'synthetic_image',
      'synthetic_text',
      'synthetic_regression',
      'linear_regression',
      'number_sequences',
      'token_bags',
    ];
    for (const name of names) {
      const { train, test: held } = await loadDataset(name, request);
      assert.deepEqual([train.sampleCount, held.sampleCount, train.name], [64, 16, name]);
    }
    const text = await loadDataset(
      'synthetic_text',
      withSettings({ classes: 3, vocabulary: 40, sequenceLength: 9 }),
    );
    assert.deepEqual(
      [text.train.features, text.train.vocabulary, text.train.target],
      [[9], 40, { kind: 'classification', classes: 3 }],
    );
    const image = await loadDataset(
      'synthetic_image',
      withSettings({ classes: 4, imageSize: 8, channels: 1 }),
    );
    assert.deepEqual(
      [image.train.features, image.train.target],
      [[1, 8, 8], { kind: 'classification', classes: 4 }],
    );
  });

  test('takes names with - for _, and has the data sets that come along', async () => {
    assert.equal((await loadDataset('synthetic-text', request)).name, 'synthetic_text');
    const novel = await loadDataset('moby-dick', request);

    assert.deepEqual([novel.train.vocabulary, novel.train.classNames?.length], [83, 83]);
    assert.ok(novel.train.sampleCount > 33_000 && novel.test.sampleCount > 3_700);
    assert.equal((await loadDataset('digits', request)).train.sampleCount, 1617);
    for (const { about, from } of Object.values(DATASETS)) assert.ok(about !== '' && from !== '');
  });

  test('leaves features as they are when normalise is none', async () => {
    const { train, test: held } = await loadDataset('digits', withSettings({ normalise: 'none' }));

    assert.deepEqual(train.normalisation, { scale: [1], shift: [0] });
    assert.deepEqual(held.normalisation, train.normalisation);
  });

  test('augments the training part only, by an eighth, and refuses what is no image', async () => {
    const augmented = { ...withSettings({ augment: 'crop-flip' }), validationFraction: 0.5 };

    const { train, test: held, validation } = await loadDataset('synthetic_image', augmented);

    assert.deepEqual(train.augmentation, { cropPadding: 4, flips: true });
    assert.deepEqual([held.augmentation, validation?.augmentation], [undefined, undefined]);
    for (const name of ['synthetic_text', 'synthetic_regression'])
      await assert.rejects(loadDataset(name, augmented), {
        code: 'CONFIG_INVALID',
        message: /augment: expected none, got crop-flip: the samples of synthetic_.* are no images/,
      });
  });

  test("reads the user's own files, with the normalisation of their training samples", async () => {
    const path = join(import.meta.dirname, '../../../test/fixtures/data/images.npz');

    const { train, test: held } = await loadDataset(path, request);

    assert.deepEqual(train.features, [3, 4, 4]);
    assert.equal(train.normalisation.scale.length, 3);
    assert.equal(held.normalisation, train.normalisation);
  });

  test('refuses a data folder that does not exist', async () => {
    const places = { ...request.places, dataDir: '/no/such/folder' };

    await assert.rejects(loadDataset('digits', { ...request, places }), {
      code: 'CONFIG_INVALID',
      message: '--data-dir: expected a folder with data files, found none at /no/such/folder',
    });
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
    const tiny = withSettings({ samples: 4 });

    for (const validationFraction of [0.01, 0.99])
      await assert.rejects(loadDataset('synthetic_regression', { ...tiny, validationFraction }), {
        code: 'CONFIG_INVALID',
      });
  });
});
