import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parts } from '../../../test/patterns.ts';
import type { DatasetSplits } from '../dataset.ts';
import type { DatasetSettings } from '../dataset-settings.ts';
import { loadOwnDataset } from './own-dataset.ts';

const settings: DatasetSettings = {
  samples: 10,
  channels: 3,
  sequenceLength: 4,
  textTokens: 'char',
  onBadRow: 'stop',
  normalise: 'auto',
  augment: 'none',
};
const FIXTURES = join(import.meta.dirname, '../../../test/fixtures/data');

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-own-'));
});
after(() => rm(root, { recursive: true, force: true }));

const load = (
  path: string,
  changes: Partial<DatasetSettings> = {},
  dataDir?: string,
): Promise<DatasetSplits> =>
  loadOwnDataset({ path, dataDir, settings: { ...settings, ...changes }, seed: 1 });

async function fileWith(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(root, name);
  await writeFile(path, content);
  return path;
}

interface Array_ {
  readonly type: '<f4' | '<i8' | '|u1' | '|b1';
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** A .npy file, version 1.0. */
function npy({ type, shape, values }: Array_): Buffer {
  const sizes = shape.join(', ');
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': (${sizes},), }\n`;
  const start = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${header}`, 'latin1');
  start.writeUInt16LE(header.length, 8);
  const content = {
    '<f4': () => new Float32Array(values),
    '<i8': () => BigInt64Array.from(values, BigInt),
    '|u1': () => new Uint8Array(values),
    '|b1': () => new Uint8Array(values),
  }[type]();
  return Buffer.concat([start, Buffer.from(content.buffer)]);
}

let folders = 0;
async function folderOf(arrays: Readonly<Record<string, Array_>>): Promise<string> {
  const folder = join(root, `arrays-${folders++}`);
  await mkdir(folder);
  for (const [name, array] of Object.entries(arrays))
    await writeFile(join(folder, `${name}.npy`), npy(array));
  return folder;
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const TOKENS: Array_ = { type: '<i8', shape: [4, 3], values: range(12) };
const FLOATS: Array_ = { type: '<f4', shape: [4, 2], values: range(8) };
const LABELS: Array_ = { type: '<i8', shape: [4], values: [0, 1, 2, 1] };

describe('loadOwnDataset from arrays', () => {
  test('reads the .npz of NumPy, in train and test, and brings channels to the front', async () => {
    const { train, test: held, origin } = await load(join(FIXTURES, 'images.npz'));

    assert.equal(origin, join(FIXTURES, 'images.npz'));
    assert.deepEqual([train.sampleCount, held.sampleCount, train.features], [5, 2, [3, 4, 4]]);
    assert.deepEqual(train.target, { kind: 'classification', classes: 3 });
    assert.deepEqual([...train.y], [0, 2, 1, 1, 0]);
    const pixel = (n: number, c: number, h: number, w: number) =>
      train.x[((n * 3 + c) * 4 + h) * 4 + w];
    assert.equal(pixel(4, 2, 3, 1), 40 * 4 + 10 * 3 + 3 * 1 + 2);
    assert.equal(pixel(1, 0, 0, 2), 40 + 6);
  });

  test('takes a tenth for the test when there is none, without losing a sample', async () => {
    const x: Array_ = { type: '<f4', shape: [30, 1], values: range(30) };
    const folder = await folderOf({
      x,
      y: { type: '<i8', shape: [30], values: range(30).map((i) => i % 3) },
    });

    const { train, test: held } = await load(folder);

    assert.deepEqual([train.sampleCount, held.sampleCount], [27, 3]);
    assert.deepEqual(
      [...train.x, ...held.x].sort((a, b) => a - b),
      range(30),
    );
    assert.deepEqual(
      [...train.y],
      [...train.x].map((value) => value % 3),
    );
  });

  test('tells regressions, yes-or-no answers, tokens and sequences by their types', async () => {
    const target = async (x: Array_, y: Array_) => {
      const { train } = await load(await folderOf({ x, y }));
      return [train.x.constructor.name, train.vocabulary, train.target];
    };

    assert.deepEqual(await target(FLOATS, LABELS), [
      'Float32Array',
      undefined,
      { kind: 'classification', classes: 3 },
    ]);
    assert.deepEqual(await target(FLOATS, { ...FLOATS, shape: [4, 1], values: [1, 2, 3, 4] }), [
      'Float32Array',
      undefined,
      { kind: 'regression', outputs: 1 },
    ]);
    assert.deepEqual(
      await target(FLOATS, { type: '|b1', shape: [4, 2], values: [0, 1, 1, 0, 0, 0, 1, 1] }),
      ['Float32Array', undefined, { kind: 'binary', outputs: 2 }],
    );
    assert.deepEqual(await target({ type: '|u1', shape: [4, 2, 2], values: range(16) }, LABELS), [
      'Uint8Array',
      undefined,
      { kind: 'classification', classes: 3 },
    ]);
    assert.deepEqual(await target(TOKENS, LABELS), [
      'Int32Array',
      12,
      { kind: 'classification', classes: 3 },
    ]);
    assert.deepEqual(await target(TOKENS, TOKENS), [
      'Int32Array',
      12,
      { kind: 'sequence', classes: 12, length: 3 },
    ]);
  });

  test('takes whole numbers of the shape of images as labels of pixels, others as they are', async () => {
    const x: Array_ = { type: '<f4', shape: [2, 3, 2, 2], values: range(24) };
    const target = async (y: Array_) => (await load(await folderOf({ x, y }))).train.target;
    const values = [0, 1, 2, 1, 0, 0, 1, 2];
    const pixels = { kind: 'segmentation', classes: 3, size: [2, 2] };

    assert.deepEqual(await target({ type: '<i8', shape: [2, 2, 2], values }), pixels);
    assert.deepEqual(await target({ type: '|u1', shape: [2, 1, 2, 2], values }), pixels);
    assert.deepEqual(await target({ type: '<f4', shape: [2, 1, 2, 2], values }), {
      kind: 'regression',
      outputs: 4,
      shape: [1, 2, 2],
    });
    const masks = { kind: 'binary', outputs: 4, shape: [2, 2] };
    const bits = values.map((value) => value % 2);
    assert.deepEqual(await target({ type: '|b1', shape: [2, 2, 2], values: bits }), masks);
    await assert.rejects(
      target({ type: '<i8', shape: [2, 4], values }),
      /expected labels of shape \(N\); .*beside images \(N, H, W\); .*Found integers of shape \(N, 4\)/,
    );
  });

  test('refuses masks of 0 and 255, which would be 256 classes', async () => {
    const x: Array_ = { type: '<f4', shape: [2, 1, 2, 2], values: range(8) };
    const y: Array_ = { type: '|u1', shape: [2, 2, 2], values: [0, 255, 255, 0, 0, 0, 255, 0] };

    await assert.rejects(load(await folderOf({ x, y })), {
      code: 'DATA_INVALID',
      message: /y\.npy: expected classes .*found 0 and 255 only\. Divide such a mask by 255/,
    });
  });

  test('takes numbers of classes and tokens from the settings, and refuses others', async () => {
    const folder = await folderOf({ x: TOKENS, y: LABELS });

    const { train } = await load(folder, { classes: 5, vocabulary: 100 });
    assert.deepEqual(
      [train.vocabulary, train.target],
      [100, { kind: 'classification', classes: 5 }],
    );
    await assert.rejects(load(folder, { classes: 2 }), {
      code: 'DATA_INVALID',
      message: /y\.npy: sample 2: expected a label from 0 to 1 \(classes 2\), found 2$/,
    });
    await assert.rejects(
      load(folder, { vocabulary: 8 }),
      /x\.npy: sample 2: expected a token from 0 to 7 \(vocabulary 8\), found 8$/,
    );
    const negative = await folderOf({ x: FLOATS, y: { ...LABELS, values: [0, -1, 1, 0] } });
    await assert.rejects(load(negative), /sample 1: expected a label from 0 to 16777215, found -1/);
  });

  test('refuses features that are not finite, naming the sample', async () => {
    const x: Array_ = { ...FLOATS, values: [0, 1, 2, 3, 4, NaN, 6, 7] };

    await assert.rejects(load(await folderOf({ x, y: LABELS })), {
      code: 'DATA_INVALID',
      message: /x\.npy: sample 2: expected finite float32 numbers, found NaN/,
    });
  });

  test('refuses arrays that do not fit, with both shapes, and arrays of other names', async () => {
    await assert.rejects(
      load(await folderOf({ x: FLOATS, y: { ...LABELS, shape: [3], values: [0, 1, 2] } })),
      /y\.npy: expected one target for each of the 4 samples of .*x\.npy, found shape \(3\)/,
    );
    await assert.rejects(
      load(await folderOf({ x: { ...FLOATS, shape: [8] }, y: LABELS })),
      /expected samples with features, shape \(N, \.\.\.\), found shape \(8\)/,
    );
    await assert.rejects(
      load(await folderOf({ x: FLOATS, y: TOKENS })),
      /expected labels of shape \(N\).*Found integers of shape \(N, 3\)/,
    );
    await assert.rejects(
      load(await folderOf({ x_train: FLOATS, y_train: LABELS, x_test: TOKENS, y_test: LABELS })),
      parts(
        /x_test\.npy: expected floats of shape \(N, 2\) as in .*x_train\.npy, /,
        /found integers of shape \(N, 3\)/,
      ),
    );
    await assert.rejects(
      load(await folderOf({ features: FLOATS, y: LABELS })),
      /expected arrays x_train, y_train, x_test and y_test, or x and y; found features, y/,
    );
    await assert.rejects(
      load(
        await folderOf({
          x: { ...FLOATS, shape: [0, 2], values: [] },
          y: { ...LABELS, shape: [0], values: [] },
        }),
      ),
      /found shape \(0, 2\)/,
    );
  });
});

describe('loadOwnDataset', () => {
  test('reads tables and texts, and looks in the data folder for what has moved', async () => {
    await fileWith(
      'table.csv',
      range(20)
        .map((i) => `${i},${i % 2}`)
        .join('\r\n'),
    );
    await fileWith('story.txt', 'once upon a time '.repeat(20));

    const table = await load('/elsewhere/table.csv', {}, root);
    const story = await load(join(root, 'story.txt'));

    assert.deepEqual([table.train.sampleCount, table.test.sampleCount], [18, 2]);
    assert.equal(table.origin, join(root, 'table.csv'));
    assert.deepEqual(story.train.features, [4]);
    assert.equal(story.train.vocabulary, 11);
  });

  test('counts the rows that it left out', async () => {
    const path = await fileWith('bad.csv', 'a,b\n1,x\n2\n3,y\n4,x\n');

    const { notes } = await load(path, { onBadRow: 'skip' });

    assert.deepEqual(notes, [`${path}: 1 of 4 rows skipped (line 3: expected 2 cells, found 1)`]);
  });

  test('refuses paths where nothing is, files of other kinds, and empty files', async () => {
    await assert.rejects(load('./nowhere.csv', {}, root), {
      code: 'CONFIG_INVALID',
      message: parts(
        /dataset: expected a \.npz, \.csv.*found nothing at \.\/nowhere\.csv or /,
        /.*nowhere\.csv\.$/,
      ),
    });
    await assert.rejects(load(await fileWith('model.onnx', 'x')), {
      code: 'CONFIG_INVALID',
      message: /with the ending "\.onnx"/,
    });
    for (const name of ['empty.npz', 'empty.csv', 'empty.txt'])
      await assert.rejects(load(await fileWith(name, '')), {
        code: 'DATA_INVALID',
        message: /the file is empty/,
      });
  });
});

describe('loadOwnDataset from a folder of images', () => {
  async function imageFolder(
    name: string,
    files: Readonly<Record<string, string>>,
  ): Promise<string> {
    for (const [path, fixture] of Object.entries(files)) {
      await mkdir(join(root, name, path, '..'), { recursive: true });
      await copyFile(join(FIXTURES, fixture), join(root, name, path));
    }
    return join(root, name);
  }

  test('takes folders as classes in the order of their names, a tenth for the test', async () => {
    const folder = await imageFolder('pets', {
      'dog/1.png': 'grey.png',
      'cat/2.jpg': 'colour.jpg',
      'cat/1.png': 'colour.png',
      'cat/.hidden': 'colour.png',
    });

    const { train, test: held } = await load(folder);

    assert.deepEqual([train.sampleCount, held.sampleCount, train.features], [2, 1, [3, 6, 8]]);
    assert.deepEqual(train.classNames, ['cat', 'dog']);
    assert.deepEqual(
      [...train.y, ...held.y].sort((a, b) => a - b),
      [0, 0, 1],
    );
  });

  test('takes train and test folders when they are there', async () => {
    const folder = await imageFolder('split', {
      'train/a/1.png': 'grey.png',
      'train/b/1.png': 'colour.png',
      'test/b/1.png': 'alpha.png',
    });

    const { train, test: held } = await load(folder, { channels: 1 });

    assert.deepEqual([[...train.y], [...held.y]], [[0, 1], [1]]);
    assert.deepEqual(held.x.slice(), train.x.slice(48));
  });

  test('refuses images of other sizes unless resized, and files that are none', async () => {
    const folder = await imageFolder('mixed', { 'a/1.png': 'grey.png', 'b/1.png': 'grey.png' });
    await writeFile(join(folder, 'b', '2.txt'), 'no image');
    await writeFile(join(folder, 'b', '3.png'), 'no image either');

    await assert.rejects(load(folder), {
      code: 'DATA_INVALID',
      message: /2\.txt: expected an image \(\.png, \.jpg, \.jpeg\)/,
    });
    const { train, test: held, notes } = await load(folder, { onBadRow: 'skip', imageSize: 4 });
    assert.match(
      notes?.join() ?? '',
      parts(
        /: 2 files skipped \(reading .*2\.txt: expected an image .*; /,
        /reading .*3\.png: expected a PNG/,
      ),
    );
    assert.deepEqual([train.sampleCount + held.sampleCount, train.features], [2, [3, 4, 4]]);
    await assert.rejects(load(folder, { channels: 2 }), {
      code: 'CONFIG_INVALID',
      message: /expected 1 \(grey\) or 3/,
    });
  });

  test('refuses to read what is no file under the name of an image', async () => {
    const folder = await imageFolder('odd', { 'a/1.png': 'grey.png', 'b/1.png': 'grey.png' });
    await mkdir(join(folder, 'b', '2.png'));
    await assert.rejects(load(folder), /2\.png: expected an image .* found no file but a device/);
    await rm(join(folder, 'b', '2.png'), { recursive: true });
    await symlink('/dev/zero', join(folder, 'b', '2.png'));

    await assert.rejects(load(folder), /2\.png: expected an image .* found no file but a device/);
  });

  test('refuses folders without two classes', async () => {
    await assert.rejects(
      load(await imageFolder('one', { 'a/1.png': 'grey.png' })),
      /expected folders named for at least 2 classes.*found 1 folders and 1 images/,
    );
    await mkdir(join(root, 'nothing'));
    await assert.rejects(load(join(root, 'nothing')), /found 0 folders and 0 images/);
  });
});
