import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { parseLettersText } from './numeric/letters-text.ts';
import { initialParameters } from './numeric/parameters.ts';
import { measureScaling, scaleRows } from './numeric/scaling.ts';
import { errorRate } from './numeric/train-file.ts';
import type { JobResult } from './client.ts';
import { LETTER_CLASSES, SEED_DEFAULTS } from './job-spec.ts';
import { modelAsOnnx, timingText, writeJobFiles } from './model-files.ts';
import { predictFile } from './predict.ts';

const SHAPE = { features: 3, hidden: 5, classes: 4 };
const TEXT = Array.from({ length: 40 }, (_, i) =>
  [i % 7, (i * 5) % 11, (i * i) % 13, i % 4].join(','),
).join('\n');
const ROWS = parseLettersText(TEXT, { name: 'rows', classes: 4 });

function result(activation: 'relu' | 'seed'): JobResult {
  const scaling = activation === 'relu' ? measureScaling([ROWS]) : null;
  return {
    parameters: initialParameters(SHAPE, 3),
    done: {
      kind: 'done',
      errors: [0.5],
      shape: SHAPE,
      activation,
      scaling: scaling === null ? null : { shift: [...scaling.shift], factor: [...scaling.factor] },
    },
  };
}

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'letters-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('modelAsOnnx', () => {
  test("is valid for ONNX's own checker", { skip: onnxCheckerMissing() }, () => {
    assert.equal(checkWithOnnx([modelAsOnnx(result('relu')), modelAsOnnx(result('seed'))]), '');
  });

  for (const activation of ['relu', 'seed'] as const) {
    test(`predicts in ONNX Runtime what the network with activation ${activation} does`, async () => {
      const { parameters, done } = result(activation);
      const rows = done.scaling === null ? ROWS : scaleRows(ROWS, done.scaling);
      await writeFile(join(folder, 'model.onnx'), modelAsOnnx({ parameters, done }));
      await writeFile(join(folder, 'rows.txt'), TEXT);

      const { classes, errorRate: found } = await predictFile(
        join(folder, 'model.onnx'),
        join(folder, 'rows.txt'),
      );

      assert.equal(found, errorRate(rows, SHAPE, activation, parameters));
      assert.ok(new Set(classes).size > 1, 'predictions that are all the same say nothing');
    });
  }

  test('predicts for rows without classes, and refuses rows of another width', async () => {
    const model = join(folder, 'model.onnx');
    await writeFile(model, modelAsOnnx(result('relu')));
    await writeFile(join(folder, 'bare.txt'), '1,2,3\n4,5,6\n');
    await writeFile(join(folder, 'wide.txt'), '1,2,3,4,5\n');

    const { classes, errorRate: found } = await predictFile(model, join(folder, 'bare.txt'));

    assert.deepEqual([classes.length, found], [2, undefined]);
    await assert.rejects(
      predictFile(model, join(folder, 'wide.txt')),
      /expected 3 numbers and a class, .* got more values/,
    );
    await assert.rejects(predictFile(join(folder, 'bare.txt'), model), {
      code: 'CHECKPOINT_INVALID',
    });
    await assert.rejects(predictFile(join(folder, 'none'), model), {
      code: 'CONFIG_INVALID',
      message: /none.*: there is no such file/,
    });
  });
});

describe('writeJobFiles', () => {
  test('writes model, errors and times', async () => {
    const tasks = [
      {
        file: 'train_letters1.txt',
        node: 'a:1',
        transferMs: 1.25,
        computeMs: 20,
        injectedMs: null,
      },
    ];
    const rounds = [{ kind: 'round', round: 1, validationError: 0.5, wallMs: 30, tasks }] as const;
    const spec = {
      ...SEED_DEFAULTS,
      directory: 'd',
      rounds: 1,
      epochs: 1,
      hidden: 5,
      classes: LETTER_CLASSES,
      eta: 0.1,
    };

    await writeJobFiles(join(folder, 'deep/er'), spec, result('relu'), rounds);

    const text = (name: string): Promise<string> =>
      readFile(join(folder, 'deep/er', name), 'latin1');
    assert.equal(await text('errors.csv'), 'round,validation_error,wall_ms\n1,0.5,30\n');
    assert.match(await text('timing.txt'), /^1 +train_letters1\.txt +a:1 +20\.0 +1\.3 +-$/m);
    assert.match(await text('model.safetensors'), /"W":\{"dtype":"F32","shape":\[4,5\]/);
    assert.match(
      timingText(rounds),
      /in all: wall 30\.0 ms, compute 20\.0 ms, transfer 1\.3 ms, injected 0\.0 ms\n$/,
    );
  });
});
