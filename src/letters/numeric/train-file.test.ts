import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseLettersText } from './letters-text.ts';
import { readPackedLetters } from './packed-letters.ts';
import { outputWeightCount, seedParameters } from './parameters.ts';
import { type Recipe, seedRecipe } from './recipe.ts';
import { trainOnFile } from './train-file.ts';

const FIXTURE = new URL('../../../test/fixtures/letters-reference.json', import.meta.url);
const SHAPE = { features: 16, hidden: 20, classes: 26 };

interface Reference {
  readonly file: {
    readonly trainingError: number;
    readonly deltaV: readonly number[];
    readonly deltaW: readonly number[];
  };
}

async function firstFile(): Promise<ReturnType<typeof parseLettersText>> {
  const packed = await readPackedLetters();
  const lines = Array.from({ length: 1500 }, (_, row) =>
    packed.subarray(row * 17, (row + 1) * 17).join(','),
  );
  return parseLettersText(lines.join('\n'), { name: 'first', classes: 26 });
}

function task(recipe: Recipe): Parameters<typeof trainOnFile>[1] {
  return { shape: SHAPE, recipe, start: seedParameters(SHAPE), seed: 42, round: 0, file: 0 };
}

describe('trainOnFile', () => {
  test('computes what numpy does with the rules of the seed system', async () => {
    const { file } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as Reference;

    const result = trainOnFile(await firstFile(), task(seedRecipe(15, 0.0001)))!;

    const start = outputWeightCount(SHAPE);
    const deltaV = [...result.delta.subarray(0, start)].filter(
      (_, i) => (i % 26) % 5 === 0 && Math.floor(i / 26) % 5 === 0,
    );
    const deltaW = [...result.delta.subarray(start)].filter(
      (_, i) => (i % 20) % 4 === 0 && Math.floor(i / 20) % 4 === 0,
    );
    const close = (found: number[], expected: readonly number[]): void => {
      assert.equal(found.length, expected.length);
      found.forEach((value, i) =>
        assert.ok(Math.abs(value - expected[i]!) < 1e-9, `${i}: ${value} ${expected[i]}`),
      );
    };
    close(deltaV, file.deltaV);
    close(deltaW, file.deltaW);
    assert.equal(result.trainingError, file.trainingError);
    assert.equal(result.epochs, 15);
  });

  test('stops when the cross-entropy changes by no more than asked', async () => {
    const recipe: Recipe = {
      activation: 'seed',
      optimizer: { kind: 'gradient', stopBelow: 1e9 },
      epochs: 10,
      eta: 0.0001,
    };

    assert.equal(trainOnFile(await firstFile(), task(recipe))!.epochs, 1);
  });

  test('gives the same bits again, also with mini-batches in a drawn order', async () => {
    const rows = await firstFile();
    const recipe: Recipe = {
      activation: 'relu',
      optimizer: { kind: 'adam', batch: 60 },
      epochs: 2,
      eta: 0.003,
    };

    const [one, other] = [trainOnFile(rows, task(recipe))!, trainOnFile(rows, task(recipe))!];
    const nextRound = trainOnFile(rows, { ...task(recipe), round: 1 })!;

    assert.deepEqual(one, other);
    assert.notDeepEqual(nextRound.delta, one.delta);
  });

  test('gives up before the next epoch when it is told to', async () => {
    let asked = 0;

    const result = trainOnFile(
      await firstFile(),
      task(seedRecipe(100, 0.0001)),
      () => ++asked === 3,
    );

    assert.equal(result, undefined);
    assert.equal(asked, 3);
  });
});
