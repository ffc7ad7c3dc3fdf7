import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import {
  dataPlaces,
  datasetSpecOf,
  jobDatasetOf,
  loadJobData,
  loadRunData,
  localDataDir,
  parseDatasetSpec,
} from './data-source.ts';

const specOf = (flags: Record<string, string>) => datasetSpecOf(parseTrainConfig([], flags).config);
const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('parseDatasetSpec', () => {
  test('gives back what a job carries, with every setting of the data', () => {
    for (const flags of [
      {},
      {
        dataset: './a.csv',
        labelColumn: 'kind',
        onBadRow: 'skip',
        augment: 'crop-flip',
        normalise: 'none',
      },
      {
        dataset: 'synthetic-text',
        classes: '3',
        vocabulary: '50',
        sequenceLength: '9',
        samples: '64',
        seed: '7',
      },
      {
        dataset: 'b.txt',
        textTokens: 'byte',
        imageSize: '16',
        channels: '1',
        validationSplit: '0.25',
      },
    ])
      assert.deepEqual(parseDatasetSpec(overTheWire(specOf(flags))), overTheWire(specOf(flags)));
  });

  test('refuses what is none, naming what is wrong', () => {
    const spec = specOf({});

    for (const [value, part] of [
      [{}, 'name'],
      ['mnist', 'object'],
      [{ ...spec, name: 7 }, 'name'],
      [{ ...spec, validationFraction: 1 }, 'validationFraction'],
      [{ ...spec, settings: { ...spec.settings, samples: 100_000_001 } }, 'samples'],
      [{ ...spec, settings: { ...spec.settings, imageSize: 1025 } }, 'imageSize'],
      [{ ...spec, settings: { ...spec.settings, augment: 'mixup' } }, 'augment'],
    ] as const)
      assert.throws(() => parseDatasetSpec(value), {
        code: 'PROTOCOL_INVALID',
        message: new RegExp(part),
      });
  });
});

describe('loadRunData', () => {
  test(
    "finds the user's file in each worker's own folder, with one digest, and notices another " +
      'content',
    async (t) => {
      const folders = [0, 1, 2].map(() => mkdtempSync(join(tmpdir(), 'lockstep-source-')));
      t.after(() => folders.forEach((folder) => rmSync(folder, { recursive: true })));
      const rows = Array.from({ length: 30 }, (_, i) => `${i},${i % 3}`);
      folders.forEach((folder, i) =>
        writeFileSync(join(folder, 't.csv'), [...rows, `${i === 2 ? 99 : 7},1`].join('\n')),
      );
      const spec = specOf({ dataset: '/home/someone/t.csv' });

      const [first, second, third] = await Promise.all(
        folders.map((folder) => loadRunData(spec, dataPlaces(folder, {}))),
      );

      assert.equal(second?.digest, first?.digest);
      assert.notEqual(third?.digest, first?.digest);
      assert.equal(first?.evaluateSplit, 'test');
    },
  );
});

/** A table of 30 rows in a folder of its own, which it gives. */
function tableFolder(t: TestContext, name = 't.csv'): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-source-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, name),
    Array.from({ length: 30 }, (_, i) => `${i},${i % 3}`).join('\n'),
  );
  return folder;
}

describe('jobDatasetOf', () => {
  const nameOf = (dataset: string) => jobDatasetOf(parseTrainConfig([], { dataset }).config).name;

  test("names the user's file or folder without the folders that it lies in", () => {
    assert.equal(nameOf('/home/someone/t.csv'), './t.csv');
    assert.equal(nameOf('../pictures/'), './pictures');
    assert.equal(nameOf('.'), `./${process.cwd().split('/').at(-1)}`);
    assert.equal(nameOf('mnist'), 'mnist');
  });
});

describe('loadJobData', () => {
  test("never reads a path that the job names, but the worker's own file of that name", async (t) => {
    const [theirs, own] = [tableFolder(t), tableFolder(t)];
    const path = join(theirs, 't.csv');
    const { digest } = await loadRunData(specOf({ dataset: path }), dataPlaces(undefined, {}));

    for (const name of [path, join(own, 'other', '..', 't.csv'), 'C:\\data\\t.csv', './t.csv']) {
      const spec = { ...specOf({}), name };
      assert.equal((await loadJobData(spec, dataPlaces(own, {}))).digest, digest, name);
      await assert.rejects(loadJobData(spec, dataPlaces(undefined, {})), {
        code: 'DATA_INVALID',
        message:
          'data of the run: expected "t.csv", a file or folder of the coordinator\'s user. A ' +
          'worker reads it from its own folder only: put a copy into one and start the worker ' +
          'again with --data-dir <folder>.',
      });
    }
  });

  test('says where it looked, and takes no name that leads out of the folder', async (t) => {
    const own = tableFolder(t);
    mkdirSync(join(own, 'inner'));
    const places = dataPlaces(join(own, 'inner'), {});
    const load = (name: string) => loadJobData({ ...specOf({}), name }, places);

    await assert.rejects(load('../t.csv'), {
      code: 'DATA_INVALID',
      message: /^data of the run: expected "t.csv".*, found none in --data-dir \S+inner\. Put a /,
    });
    await assert.rejects(
      loadJobData({ ...specOf({}), name: './docs' }, dataPlaces('.', {})),
      /^DataError: .*docs/,
    );
    for (const name of ['..', '.', 'x/', '../..', '..\\..', './a\0.csv'])
      await assert.rejects(
        load(name),
        /^DataError: data of the run: expected the name of a /,
        name,
      );
  });
});

describe('localDataDir', () => {
  test("is the folder of the user's file, else what the user says", (t) => {
    const folder = tableFolder(t);
    const dataDir = '/data';

    assert.equal(localDataDir({ dataset: join(folder, 't.csv'), dataDir }), folder);
    assert.equal(localDataDir({ dataset: join(folder, 'none.csv'), dataDir }), dataDir);
    assert.equal(localDataDir({ dataset: 'mnist', dataDir }), dataDir);
    assert.equal(localDataDir({ dataset: 'mnist', dataDir: undefined }), undefined);
  });
});
