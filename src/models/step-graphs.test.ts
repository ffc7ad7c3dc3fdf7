import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { loadGraph, runGraph, withBatch, type Feeds } from '../../test/run-graph.ts';
import { gradientName } from '../autodiff/differentiate.ts';
import { readRecorded } from '../autodiff/gradient-cases.contract.ts';
import { LockstepError } from '../base/errors.ts';
import { targetCountOf } from '../data/dataset.ts';
import { checkGraph } from '../graph/check.ts';
import { decodeGraph } from '../graph/file/decode.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { staticElementCount } from '../graph/values/shape.ts';
import type { Graph } from '../graph/types.ts';
import { initialParameter } from './initial-parameter.ts';
import type { Model, ModelTask } from './model.ts';
import { makeModel } from './models.ts';
import { makeInferenceGraph, makeStepGraphs } from './step-graphs.ts';

const DIGITS: ModelTask = { features: [4, 3], target: { kind: 'classification', classes: 5 } };
const CURVE: ModelTask = { features: [6], target: { kind: 'regression', outputs: 2 } };
const SEED = 11;

const MODEL_KINDS: readonly Model[] = [
  makeModel('mlp', DIGITS, { hidden: [] }),
  makeModel('mlp', DIGITS, { hidden: [7, 3], activation: 'relu' }),
  makeModel('mlp', DIGITS, { hidden: [7], activation: 'tanh' }),
  makeModel('mlp', CURVE, { hidden: [7], activation: 'sigmoid' }),
  makeModel('mlp', CURVE, { hidden: [] }),
];

function initialParameters(model: Model): Map<string, Float32Array> {
  return new Map(model.parameters.map((spec, i) => [spec.name, initialParameter(spec, SEED, i)]));
}

/** The numbers that scripts/record-pytorch-gradients.py computes for the same shape and salt. */
function pattern(count: number, salt: number, bound = 1): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    const word = ((i + 1) * 2654435761 + salt * 40503) % 2 ** 32;
    return ((2 * Math.floor(word / 256)) / 2 ** 24 - 1) * bound;
  });
}

function feedsFor(
  model: Model,
  samples: number,
  sampleWeight: readonly number[],
): Record<string, ArrayLike<number>> {
  const { target } = model;
  const y =
    target.kind === 'classification'
      ? Array.from({ length: samples }, (_, i) => (i * 3) % target.classes)
      : pattern(samples * targetCountOf({ target }), 51);
  const x = pattern(samples * staticElementCount(model.features), 50);
  return { ...Object.fromEntries(initialParameters(model)), x, y, sampleWeight };
}

function signatureOf(graph: Graph): string[] {
  return [...graph.inputs, ...graph.outputs].map(
    ({ name, type, shape }) => `${name} ${type} [${shape.join()}]`,
  );
}

/** Whether element `i` belongs to a sample of odd number, `size` elements each. */
function isPadding(i: number, size: number): boolean {
  return Math.floor(i / size) % 2 === 1;
}

describe('makeStepGraphs', () => {
  test("gives PyTorch's loss, accuracy and gradients for a 784-128-10 MLP", async () => {
    const { sizes, batch, loss, correct, gradients } = readRecorded().mlp;
    const task: ModelTask = { features: [784], target: { kind: 'classification', classes: 10 } };
    const model = makeModel('mlp', task, { hidden: sizes.slice(1, -1) });
    const feeds: Record<string, ArrayLike<number>> = {
      x: pattern(batch * 784, 100).map((value) => (value + 1) / 2),
      y: Array.from({ length: batch }, (_, i) => (i * 7) % 10),
      sampleWeight: Array.from({ length: batch }, (_, i) => (i % 8 === 7 ? 0 : 1)),
    };
    for (const [salt, { name, shape, init }] of model.parameters.entries()) {
      assert.ok(init.kind === 'uniform');
      feeds[name] = pattern(staticElementCount(shape), salt, init.bound);
    }

    const outputs = await runGraph(makeStepGraphs(model, batch).train, feeds);

    assert.ok(Math.abs(outputs.get('loss')![0]! - loss) < 1e-5 * loss);
    assert.deepEqual(outputs.get('correct'), [correct]);
    for (const [name, { norm, first }] of Object.entries(gradients)) {
      const gradient = outputs.get(gradientName(name))!;
      assert.ok(Math.abs(Math.hypot(...gradient) - norm) < 1e-5 * norm, name);
      for (const [i, value] of first.entries()) {
        assert.ok(
          Math.abs(gradient[i]! - value) < 1e-5 * norm,
          `${name}[${i}]: ${value}, got ${gradient[i]}`,
        );
      }
    }
  });

  test('declares the inputs and outputs of its contract, in order', () => {
    const { train, evaluate } = makeStepGraphs(MODEL_KINDS[2]!, 4);

    const inputs = [
      'layers.0.weight float32 [7,12]',
      'layers.0.bias float32 [7]',
      'layers.1.weight float32 [5,7]',
      'layers.1.bias float32 [5]',
      'x float32 [4,4,3]',
      'y int32 [4]',
      'sampleWeight float32 [4]',
    ];
    assert.deepEqual(signatureOf(evaluate), [...inputs, 'loss float32 []', 'correct float32 []']);
    assert.deepEqual(signatureOf(train), [
      ...inputs,
      'loss float32 []',
      'correct float32 []',
      'gradient.layers.0.weight float32 [7,12]',
      'gradient.layers.0.bias float32 [7]',
      'gradient.layers.1.weight float32 [5,7]',
      'gradient.layers.1.bias float32 [5]',
    ]);
  });

  for (const [index, model] of MODEL_KINDS.entries()) {
    const kind = `model ${index} (${model.target.kind}, ${model.parameters.length / 2} layers)`;

    test(`gives a sample of weight 0 no bit of influence: ${kind}`, async () => {
      const run = await loadGraph(makeStepGraphs(model, 4).train);
      const clean = feedsFor(model, 4, [1, 0, 0.5, 0]);
      const features = staticElementCount(model.features);
      const zeros = Array.from(clean['x']!, (value, i) => (isPadding(i, features) ? 0 : value));
      const garbage = Array.from(clean['x']!, (value, i) =>
        isPadding(i, features) ? value * -1e30 : value,
      );
      const targets = clean['y']!.length / 4;
      const y = Array.from(clean['y']!, (value, i) => (isPadding(i, targets) ? -999 : value));

      const expected = await run({ ...clean, x: zeros });
      const actual = await run({ ...clean, x: garbage, y });

      // Maps of numbers compare by Object.is here: signs of zeros count, too.
      assert.deepStrictEqual(actual, expected);
    });

    test(`gives exact zeros when every weight is 0: ${kind}`, async () => {
      const outputs = await runGraph(
        makeStepGraphs(model, 4).train,
        feedsFor(model, 4, [0, 0, 0, 0]),
      );

      for (const [name, values] of outputs)
        assert.ok(
          values.every((value) => value === 0),
          name,
        );
    });

    test(`adds up over samples whatever the micro-batch: ${kind}`, async () => {
      const feeds = feedsFor(model, 4, [1, 2, 0.5, 1]);
      const part = (from: number): Feeds => {
        const cut = (values: ArrayLike<number>) =>
          Array.from(values).slice(...[from, from + 2].map((i) => (i * values.length) / 4));
        return {
          ...feeds,
          x: cut(feeds['x']!),
          y: cut(feeds['y']!),
          sampleWeight: cut(feeds['sampleWeight']!),
        };
      };

      const whole = await runGraph(makeStepGraphs(model, 4).train, feeds);
      const run = await loadGraph(makeStepGraphs(model, 2).train);
      const [first, second] = [await run(part(0)), await run(part(2))];

      for (const [name, values] of whole) {
        for (const [i, value] of values.entries()) {
          const sum = first.get(name)![i]! + second.get(name)![i]!;
          assert.ok(
            Math.abs(sum - value) < 1e-5 * (1 + Math.abs(value)),
            `${name}[${i}]: ${value}, got ${sum}`,
          );
        }
      }
    });

    test(`makes sound graphs that survive encoding: ${kind}`, () => {
      const { train, evaluate } = makeStepGraphs(model, 4);
      for (const graph of [train, evaluate, makeInferenceGraph(model, initialParameters(model))]) {
        checkGraph(graph);
        assert.deepEqual(decodeGraph(encodeGraph(graph)), graph);
      }
    });
  }

  test(
    "makes models that ONNX's own checker accepts, of every kind",
    { skip: onnxCheckerMissing() },
    () => {
      const models = MODEL_KINDS.flatMap((model) => {
        const { train, evaluate } = makeStepGraphs(model, 4);
        return [train, evaluate, makeInferenceGraph(model, initialParameters(model))].map(
          encodeGraph,
        );
      });

      assert.equal(checkWithOnnx(models), '');
    },
  );
});

describe('makeInferenceGraph', () => {
  test('predicts what evaluation counted, for any batch', async () => {
    const model = MODEL_KINDS[1]!;
    const feeds = feedsFor(model, 6, Array<number>(6).fill(1));
    const graph = makeInferenceGraph(model, initialParameters(model));

    const evaluated = await runGraph(makeStepGraphs(model, 6).evaluate, feeds);
    // The same file as a user's program loads it, told the size of this batch.
    const logits = (await runGraph(withBatch(graph, 6), { input: feeds['x']! })).get('logits')!;

    const rows = Array.from({ length: 6 }, (_, i) => logits.slice(i * 5, i * 5 + 5));
    const right = rows.filter((row, i) => row.indexOf(Math.max(...row)) === feeds['y']![i]).length;
    assert.deepEqual(evaluated.get('correct'), [right]);
  });

  test('names a parameter that has no values, or too few', () => {
    const model = MODEL_KINDS[0]!;

    assert.throws(() => makeInferenceGraph(model, new Map()), /layers\.0\.weight/);
    assert.throws(
      () => makeInferenceGraph(model, new Map([['layers.0.weight', new Float32Array(3)]])),
      (error) => error instanceof LockstepError && error.message.includes('layers.0.weight'),
    );
  });
});
