import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { makeDataset } from '../dataset-digest.ts';
import { loadIdxDataset } from './idx-dataset.ts';
import { MNIST } from './mnist.ts';
import { loadDigits, readMobyDick } from './vendored.ts';

describe('loadDigits', () => {
  test('has the 1797 images of UCI, 16 grey values each, a tenth of them in the test', async () => {
    const { train, test: held } = await loadDigits(42);

    assert.deepEqual([train.sampleCount, held.sampleCount, train.features], [1617, 180, [1, 8, 8]]);
    const labels = [...train.y, ...held.y];
    // Counts of the digits 0 .. 9 in UCI's optdigits.tes.
    assert.deepEqual(
      [...Array(10).keys()].map((digit) => labels.filter((label) => label === digit).length),
      [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
    );
    const pixels = [...train.x, ...held.x];
    assert.equal(Math.max(...new Set(pixels)), 16);
    // The mean of all pixels, as scikit-learn gives it.
    assert.ok(
      Math.abs(pixels.reduce((sum, value) => sum + value, 0) / pixels.length - 4.884164579855314) <
        1e-12,
    );
  });

  test('gives another tenth for another seed, the same for the same', async () => {
    const [first, again, other] = [await loadDigits(1), await loadDigits(1), await loadDigits(2)];

    assert.equal(again.test.digest, first.test.digest);
    assert.notEqual(other.test.digest, first.test.digest);
  });
});

describe('readMobyDick', () => {
  test('gives the text as its source has it', async () => {
    const text = await readMobyDick();

    assert.equal(
      createHash('sha256').update(text).digest('hex'),
      'fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240',
    );
  });
});

describe('MNIST as it comes with Lockstep', () => {
  test('is what its files were packed from, and has the digests that are known', async () => {
    const { carried = '', files } = MNIST;

    const { train, test: held } = await loadIdxDataset(MNIST, { cacheDir: '/none' }, undefined);

    for (const split of [train, held]) {
      const { digest, ...content } = split;
      assert.equal(makeDataset(content).digest, digest);
    }
    for (const file of Object.values(files)) {
      const packed = await readFile(join(carried, `${file.fileName}.runs`));
      assert.equal(createHash('sha256').update(packed).digest('hex'), file.runsSha256);
    }
    const header = Buffer.alloc(16);
    [0x803, 60_000, 28, 28].forEach((word, i) => header.writeUInt32BE(word, 4 * i));
    const images = createHash('sha256').update(header).update(train.x).digest('hex');
    assert.equal(images, files.trainImages.sha256);
  });

  test('is refused with one changed byte', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-mnist-'));
    try {
      const { carried = '', files } = MNIST;
      for (const { fileName } of Object.values(files))
        await copyFile(join(carried, `${fileName}.runs`), join(folder, `${fileName}.runs`));
      const path = join(folder, `${files.testLabels.fileName}.runs`);
      const bytes = await readFile(path);
      const last = bytes.length - 1;
      await writeFile(path, bytes.with(last, bytes[last]! ^ 1));

      const loading = loadIdxDataset(
        { ...MNIST, carried: folder },
        { cacheDir: '/none' },
        undefined,
      );
      await assert.rejects(loading, /t10k-labels-idx1-ubyte\.runs: .*the content was changed/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
