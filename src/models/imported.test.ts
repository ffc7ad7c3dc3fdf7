import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { checkWithOnnx, onnxCheckerMissing } from '../../test/onnx-checker.ts';
import { runGraph } from '../../test/run-graph.ts';
import { gradientName } from '../autodiff/differentiate.ts';
import { ConfigError, GraphError, ShapeError } from '../base/errors.ts';
import { checkGraph } from '../graph/check.ts';
import { decodeGraphFile } from '../graph/decode.ts';
import { encodeGraph } from '../graph/encode.ts';
import type { GraphFile } from '../graph/types.ts';
import { type ImportedModel, importModel } from './imported.ts';
import { initialParameter } from './initial-parameter.ts';
import type { ModelTask } from './model.ts';
import { makeStepGraphs } from './step-graphs.ts';

const FOLDER = new URL('../../test/fixtures/onnx/', import.meta.url);
const BATCH = 4;

interface Sketch {
  readonly norm: number;
  readonly waves: number;
}

/** What scripts/export-pytorch-models.py recorded of a file. */
interface Recorded extends ModelTask {
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly output: readonly number[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, Sketch>>;
  readonly moved: Readonly<Record<string, Sketch>>;
}

const RECORDED = JSON.parse(readFileSync(new URL('recorded.json', FOLDER), 'utf8')) as Readonly<
  Record<string, Recorded>
>;
const REFUSED = ['multi-head-fixed-17'];
const TRAINED = Object.keys(RECORDED).filter((name) => !REFUSED.includes(name));

function bytesOf(name: string): Uint8Array {
  return readFileSync(new URL(`${name}.onnx`, FOLDER));
}

function fileOf(name: string): GraphFile {
  return { ...decodeGraphFile(bytesOf(name)), name: `${name}.onnx` };
}

function taskOf({ features, target, vocabulary }: Recorded): ModelTask {
  return { features, target, ...(vocabulary !== undefined && { vocabulary }) };
}

function modelOf(name: string, freeze: readonly string[] = []): ImportedModel {
  return importModel(fileOf(name), taskOf(RECORDED[name]!), { freeze });
}

function valuesOf(model: ImportedModel): Map<string, Float32Array> {
  return new Map(model.parameters.map((spec, index) => [spec.name, initialParameter(spec, 0, index)]));
}

/** One training pass over the recorded batch, with the mask that drops every fourth element. */
async function trainOnce(model: ImportedModel, { x, y }: Recorded): Promise<ReadonlyMap<string, number[]>> {
  const { train, masks } = makeStepGraphs(model, BATCH);
  const dropped = masks.map(({ name, shape, rate }) => {
    assert.equal(rate, 0.25);
    const length = shape.reduce((a, b) => a * b, 1);
    return [name, Float32Array.from({ length }, (_, i) => (i % 4 === 0 ? 0 : 1 / 0.75))] as const;
  });
  return runGraph(train, {
    ...Object.fromEntries([...valuesOf(model), ...dropped]),
    x,
    y,
    sampleWeight: Array<number>(BATCH).fill(1),
  });
}

function sketch(values: readonly number[]): Sketch {
  return {
    norm: Math.hypot(...values),
    waves: values.reduce((sum, value, i) => sum + value * Math.sin(i + 1), 0),
  };
}

function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  const difference = Math.abs(actual - expected);
  assert.ok(difference <= tolerance * Math.max(1, Math.abs(expected)), `${what}: ${actual}, not ${expected}`);
}

function assertSketch(values: readonly number[], expected: Sketch, what: string): void {
  const { norm, waves } = sketch(values);
  assertClose(norm, expected.norm, 2e-4, `${what}, norm`);
  assertClose(waves, expected.waves, 2e-4, `${what}, waves`);
}

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

      assertClose(outputs.get('loss')![0]!, recorded.loss, 1e-4, 'loss');
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
      const trained = model.parameters.filter(({ statisticMomentum }) => statisticMomentum === undefined);
      const isFolded = name === 'cnn-inference-17';
      if (!isFolded)
        assert.deepEqual(
          known.map(([parameter]) => parameter).sort(),
          trained.map((spec) => spec.name).sort(),
        );
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
});
