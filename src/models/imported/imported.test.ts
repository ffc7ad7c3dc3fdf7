import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import {
  assertClose,
  assertSketch,
  BATCH,
  modelOf,
  RECORDED,
  type Recorded,
  trainOnce,
  trainSteps,
  valuesOf,
} from '../../../test/exported-networks.ts';
import { checkWithOnnx, onnxCheckerMissing } from '../../../test/onnx-checker.ts';
import { gradientName } from '../../autodiff/differentiate.ts';
import { checkGraph } from '../../graph/check.ts';
import { encodeGraph } from '../../graph/file/encode.ts';
import { makeStepGraphs } from '../step-graphs.ts';

const REFUSED = ['multi-head-fixed-17'];
const TRAINED = Object.keys(RECORDED).filter((name) => !REFUSED.includes(name));

/** Runs a file in ONNX Runtime, as anybody would. */
async function runFile(
  bytes: Uint8Array,
  { x, features, vocabulary }: Recorded,
  batch: number,
): Promise<number[]> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 });
  const part = x.slice(0, (batch * x.length) / BATCH);
  const tensor =
    vocabulary === undefined
      ? new Tensor('float32', Float32Array.from(part), [batch, ...features])
      : new Tensor('int64', BigInt64Array.from(part, BigInt), [batch, ...features]);
  assert.deepEqual(session.inputNames, ['image']);
  assert.deepEqual(session.outputNames, ['scores']);
  const { scores } = await session.run({ image: tensor });
  return Array.from(scores!.data as Float32Array);
}

describe('importModel', () => {
  for (const name of TRAINED) {
    const recorded = RECORDED[name]!;

    test(`trains ${name} with the loss and the gradients of PyTorch`, async () => {
      const model = modelOf(name);

      const outputs = await trainOnce(model, recorded);

      assertClose(outputs.get('loss')![0]!, recorded.losses[0]!, 1e-4, 'loss');
      const known = Object.entries(recorded.gradients);
      for (const [parameter, expected] of known) {
        assertSketch(outputs.get(gradientName(parameter))!, expected, parameter);
      }
      for (const { name: statistic, statisticMomentum } of model.parameters) {
        if (statisticMomentum === undefined) continue;
        const moved = outputs
          .get(gradientName(statistic))!
          .map((value) => (-statisticMomentum * value) / BATCH);
        assertSketch(moved, recorded.moved[statistic]!, statistic);
      }
      const trained = model.parameters.filter(
        ({ statisticMomentum }) => statisticMomentum === undefined,
      );
      const isFolded = name === 'cnn-inference-17';
      if (!isFolded)
        assert.deepEqual(
          known.map(([parameter]) => parameter).sort(),
          trained.map((spec) => spec.name).sort(),
        );
    });

    // Its BatchNorm was folded into the weights: steps that change these are others.
    if (name !== 'cnn-inference-17')
      test(`trains ${name} as PyTorch does for ${recorded.losses.length} steps`, async () => {
        const losses = await trainSteps(modelOf(name), recorded);

        for (const [i, loss] of losses.entries())
          assertClose(loss, recorded.losses[i]!, 1e-5, `loss of step ${i + 1}`);
      });

    test(`writes ${name} as an inference model again, for any batch`, async () => {
      const model = modelOf(name);

      const bytes = encodeGraph(model.inference(valuesOf(model)));

      for (const batch of [BATCH, 1]) {
        const output = await runFile(bytes, recorded, batch);
        assert.equal(output.length, (recorded.output.length * batch) / BATCH);
        for (const [i, value] of output.entries())
          assertClose(value, recorded.output[i]!, 1e-5, `output ${i}`);
      }
    });
  }

  test('draws graphs that our own checker accepts', () => {
    for (const name of TRAINED) {
      const { train, evaluate } = makeStepGraphs(modelOf(name), BATCH);
      checkGraph(train);
      checkGraph(evaluate);
    }
  });

  test("draws graphs that ONNX's own checker accepts", { skip: onnxCheckerMissing() }, () => {
    const graphs = TRAINED.flatMap((name) => {
      const model = modelOf(name);
      const { train, evaluate } = makeStepGraphs(model, BATCH);
      return [train, evaluate, model.inference(valuesOf(model))].map(encodeGraph);
    });

    assert.equal(checkWithOnnx(graphs), '');
  });

  test('draws every number of the file that depends on nothing as a constant', () => {
    const { train } = makeStepGraphs(modelOf('attention-11'), BATCH);

    const operators = new Set(
      train.nodes.filter(({ name }) => name.startsWith('net/')).map(({ operator }) => operator),
    );
    for (const operator of ['Shape', 'Unsqueeze', 'Concat', 'Cast', 'Gather'] as const)
      assert.ok(!operators.has(operator), operator);
  });

  test('finds masks in the weights by their having no gradient', () => {
    const { trained, fixed, statistics, frozen } = modelOf('causal-text-17').sorted;

    assert.deepEqual(fixed, ['mask']);
    assert.ok(trained.some(({ name }) => name === 'position.weight'));
    assert.deepEqual([statistics, frozen], [[], []]);
  });

  test("takes BatchNorm's running statistics as such, with the momentum of the node", () => {
    const { statistics } = modelOf('cnn-13').sorted;

    assert.deepEqual(
      statistics.map(({ name, statisticMomentum }) => [name, statisticMomentum]),
      [
        ['bn1.running_mean', 0.1],
        ['bn1.running_var', 0.1],
        ['bn2.running_mean', 0.3],
        ['bn2.running_var', 0.3],
      ],
    );
  });
});
