import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { loadGraph, runGraph, withBatch, type Feeds } from '../../test/run-graph.ts';
import { gradientName } from '../autodiff/differentiate.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { staticElementCount } from '../graph/values/shape.ts';
import { CASES, numbersFor, recordedModels, type ModelCase } from './model-cases.contract.ts';
import type { Model } from './model.ts';
import { makeInferenceGraph, makeStepGraphs } from './step-graphs.ts';

const BATCH = 4;
const WEIGHTS = [1, 0, 1, 1];

function parametersOf(model: Model): Map<string, Float32Array> {
  return new Map(
    model.parameters.map(({ name, shape }) => [name, Float32Array.from(numbersFor(name, shape))]),
  );
}

/** All inputs of a training step; without dropout unless the case says how masks are made. */
function feedsFor({ model, x, y, mask }: ModelCase): Feeds {
  const { masks } = makeStepGraphs(model, BATCH);
  const drawn = masks.map(({ name, shape }) => [
    name,
    mask?.(shape) ?? Array(staticElementCount(shape)).fill(1),
  ]);
  return {
    ...Object.fromEntries(parametersOf(model)),
    ...(Object.fromEntries(drawn) as Feeds),
    x,
    y,
    sampleWeight: WEIGHTS,
  };
}

/** The feeds with other numbers in the sample that does not count. */
function withGarbage(feeds: Feeds, { model }: ModelCase): Feeds {
  const size = staticElementCount(model.features);
  const isTokens = model.vocabulary !== undefined;
  const x = Array.from(feeds['x']!, (value, i) =>
    Math.floor(i / size) === 1 ? (isTokens ? 0 : value * -1e6) : value,
  );
  return { ...feeds, x };
}

function assertClose(
  actual: readonly number[],
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
) {
  for (const [i, value] of Array.from(expected).entries())
    assert.ok(
      Math.abs(actual[i]! - value) <= tolerance,
      `${what}[${i}]: ${value}, got ${actual[i]}`,
    );
}

for (const sample of CASES) {
  const { name, model } = sample;

  describe(`the model ${name}`, () => {
    test("gives PyTorch's loss, gradients and running statistics", async () => {
      const recorded = recordedModels().find((candidate) => candidate.name === name)!;

      const outputs = await runGraph(makeStepGraphs(model, BATCH).train, feedsFor(sample));

      assertClose(outputs.get('loss')!, [recorded.loss], 2e-6 * recorded.loss, 'loss');
      assert.deepEqual(
        Object.keys(recorded.gradients).sort(),
        model.parameters.map((spec) => spec.name).sort(),
      );
      for (const [parameter, { norm, first }] of Object.entries(recorded.gradients)) {
        const gradient = outputs.get(gradientName(parameter))!;
        const tolerance = 2e-5 * norm + 1e-6;
        assertClose([Math.hypot(...gradient)], [norm], tolerance, `norm of ${parameter}`);
        assertClose(gradient, first, tolerance, parameter);
      }
    });

    test('gives a sample of weight 0 no bit of influence, and zeros when all are', async () => {
      const run = await loadGraph(makeStepGraphs(model, BATCH).train);
      const feeds = feedsFor(sample);

      const expected = await run(feeds);
      const actual = await run(withGarbage(feeds, sample));
      const nothing = await run({ ...feeds, sampleWeight: [0, 0, 0, 0] });

      assert.deepEqual(actual, expected);
      for (const [output, values] of nothing)
        assert.ok(
          values.every((value) => value === 0),
          `${output}: ${values.slice(0, 3).join()}`,
        );
    });

    test('predicts after training what evaluation measures', async () => {
      const parameters = parametersOf(model);
      const inference = withBatch(makeInferenceGraph(model, parameters), BATCH);
      const feeds = { ...feedsFor(sample), sampleWeight: [1, 1, 1, 1] };

      const evaluated = await runGraph(makeStepGraphs(model, BATCH).evaluate, feeds);
      const [[, predicted]] = [...(await runGraph(inference, { input: sample.x }))] as [
        [string, number[]],
      ];

      const loss = lossOf(model, predicted, sample.y);
      assertClose(evaluated.get('loss')!, [loss], 1e-5 * loss, 'loss');
    });
  });
}

describe('MODELS', () => {
  test("draw graphs that ONNX's own checker accepts", { skip: onnxCheckerMissing() }, () => {
    const models = CASES.flatMap(({ model }) => {
      const { train, evaluate } = makeStepGraphs(model, BATCH);
      return [train, evaluate, makeInferenceGraph(model, parametersOf(model))].map(encodeGraph);
    });

    assert.equal(checkWithOnnx(models), '');
  });
});

/** Sum over samples of the loss, from what the inference graph says. */
function lossOf({ target }: Model, predicted: readonly number[], y: ArrayLike<number>): number {
  if (target.kind === 'regression')
    return predicted.reduce((sum, value, i) => sum + (value - y[i]!) ** 2 / target.outputs, 0);
  assert.ok(target.kind === 'classification' || target.kind === 'sequence');
  const { classes } = target;
  const positions = target.kind === 'sequence' ? target.length : 1;
  return Array.from(y).reduce((sum, label, row) => {
    if (label === classes) return sum;
    const logits = predicted.slice(row * classes, (row + 1) * classes);
    const total = Math.log(logits.reduce((all, value) => all + Math.exp(value), 0));
    return sum + (total - logits[label]!) / positions;
  }, 0);
}
