import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { dataPlaces, datasetSpecOf, loadRunData, parseDatasetSpec } from './data-source.ts';

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
      [{ ...spec, settings: { ...spec.settings, samples: 1e12 } }, 'samples'],
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
