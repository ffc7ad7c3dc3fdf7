import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runGraph } from '../../test/run-graph.ts';
import { ConfigError } from '../base/errors.ts';
import type { DatasetTarget } from '../data/dataset.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { outputShapeOf } from './model.ts';
import { drawObjective, lossOf, targetTypeOf, type ObjectiveOptions } from './objective.ts';

interface Samples {
  readonly prediction: readonly number[];
  readonly y: readonly number[];
  readonly sampleWeight: readonly number[];
}

async function measure(
  target: DatasetTarget,
  { sampleWeight, ...feeds }: Samples,
  options: ObjectiveOptions = {},
): Promise<{ loss: number; correct: number | undefined }> {
  const samples = sampleWeight.length;
  const g = new GraphBuilder('objective');
  const prediction = g.input('prediction', 'float32', [samples, ...outputShapeOf({ target })]);
  const { type, shape } = targetTypeOf(target, samples);
  const weights = g.input('sampleWeight', 'float32', [samples]);
  const objective = drawObjective(
    g,
    target,
    prediction,
    g.input('y', type, shape),
    weights,
    options,
  );
  g.output('loss', objective.loss);
  if (objective.correct) g.output('correct', objective.correct);
  const outputs = await runGraph(g.build(), { ...feeds, sampleWeight });
  return { loss: outputs.get('loss')![0]!, correct: outputs.get('correct')?.[0] };
}

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-5, `expected ${expected}, got ${actual}`);
}

/** -log softmax(row)[label] */
function crossEntropy(row: readonly number[], label: number): number {
  return Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[label]!;
}

const BINARY: DatasetTarget = { kind: 'binary', outputs: 2 };
const REGRESSION: DatasetTarget = { kind: 'regression', outputs: 2 };

describe('drawObjective', () => {
  test('measures every position of a sequence or image alike, and leaves out the ignored ones', async () => {
    const rows = [
      [1, 2, 3],
      [0, 1, 0],
      [4, 4, 5],
      [2, 0, 1],
    ];
    const samples = {
      prediction: rows.flat(),
      y: [2, 3, 0, 0], // 3 is the label of ignored positions
      sampleWeight: [1, 0.5],
    };

    const { loss, correct } = await measure({ kind: 'sequence', classes: 3, length: 2 }, samples);
    const pixels = await measure({ kind: 'segmentation', classes: 3, size: [2, 1] }, samples);

    const [a, c, d] = [
      crossEntropy(rows[0]!, 2),
      crossEntropy(rows[2]!, 0),
      crossEntropy(rows[3]!, 0),
    ];
    assertNear(loss, a / 2 + (0.5 * (c + d)) / 2);
    assert.equal(correct, 1 / 2 + 0.5 / 2);
    assert.deepEqual(pixels, { loss, correct });
  });

  test('spreads a part of the label over all classes', async () => {
    const row = [1, 2, 4];
    const samples = { prediction: row, y: [1], sampleWeight: [2] };

    const { loss } = await measure({ kind: 'classification', classes: 3 }, samples, {
      labelSmoothing: 0.3,
    });

    const mean = (crossEntropy(row, 0) + crossEntropy(row, 1) + crossEntropy(row, 2)) / 3;
    assertNear(loss, 2 * (0.7 * crossEntropy(row, 1) + 0.3 * mean));
  });

  test('counts answers on the right side: of 0 for logits, of one half for numbers', async () => {
    const samples = { prediction: [0.2, 0.7, -0.1, 0.4], y: [1, 1, 0, 1], sampleWeight: [1, 0.5] };

    const logits = await measure(BINARY, samples);
    const numbers = await measure(BINARY, samples, { loss: 'mse' });

    const bce = (x: number, y: number): number => Math.log(1 + Math.exp(x)) - x * y;
    assertNear(logits.loss, (bce(0.2, 1) + bce(0.7, 1)) / 2 + (bce(-0.1, 0) + bce(0.4, 1)) / 4);
    assertNear(numbers.loss, (0.64 + 0.09) / 2 + (0.01 + 0.36) / 4);
    assert.deepEqual([logits.correct, numbers.correct], [1.5, 0.75]);
  });

  test('takes a regression by cross-entropy when asked, without right answers', async () => {
    const samples = { prediction: [0, 0], y: [0.25, 1], sampleWeight: [1] };

    assert.deepEqual(await measure(REGRESSION, samples, { loss: 'bce' }), {
      loss: Math.fround(Math.LN2),
      correct: undefined,
    });
  });

  test('gives a sample of weight 0 no part, whatever its numbers', async () => {
    const targets: readonly DatasetTarget[] = [
      { kind: 'classification', classes: 2 },
      { kind: 'sequence', classes: 2, length: 1 },
      BINARY,
      REGRESSION,
    ];
    for (const target of targets) {
      const perSample =
        target.kind === 'classification' || target.kind === 'sequence' ? [1] : [1, 0];
      const samples = {
        prediction: [1, 2, 1e30, -1e30],
        y: [...perSample, ...perSample.map(() => -999)],
        sampleWeight: [1, 0],
      };
      const alone = { prediction: [1, 2], y: perSample, sampleWeight: [1] };

      assert.deepEqual(await measure(target, samples), await measure(target, alone), target.kind);
    }
  });
});

describe('lossOf', () => {
  test('takes the usual loss of each kind of data', () => {
    const kinds: readonly DatasetTarget[] = [
      { kind: 'classification', classes: 2 },
      { kind: 'sequence', classes: 2, length: 3 },
      BINARY,
      REGRESSION,
    ];

    assert.deepEqual(
      kinds.map((target) => lossOf(target)),
      ['cross-entropy', 'cross-entropy', 'bce', 'mse'],
    );
  });

  test('throws ConfigError for a loss that does not fit the data, naming those that do', () => {
    assert.throws(() => lossOf({ kind: 'sequence', classes: 2, length: 3 }, { loss: 'mse' }), {
      name: 'ConfigError',
      message: 'loss: expected auto or cross-entropy, for sequence data, got mse.',
    });
    assert.throws(
      () => lossOf(REGRESSION, { loss: 'cross-entropy' }),
      /auto or mse or bce, for regression data/,
    );
  });

  test(
    'throws ConfigError for a smoothing that is no part of 1, or without classes to spread it ' +
      'over',
    () => {
      const classes: DatasetTarget = { kind: 'classification', classes: 2 };
      for (const labelSmoothing of [-0.1, 1, Number.NaN]) {
        assert.throws(() => lossOf(classes, { labelSmoothing }), ConfigError);
      }
      assert.throws(
        () => lossOf(REGRESSION, { labelSmoothing: 0.1 }),
        /label_smoothing: expected 0 with the loss mse/,
      );
    },
  );
});
