/**
 * Networks that PyTorch exported, and what it computed with them: see
 * scripts/export-pytorch-models.py.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gradientName } from '../src/autodiff/differentiate.ts';
import { decodeGraphFile } from '../src/graph/file/decode.ts';
import type { GraphFile } from '../src/graph/types.ts';
import { type ImportedModel, importModel } from '../src/models/imported/imported.ts';
import { initialParameter } from '../src/models/initial-parameter.ts';
import type { ModelTask } from '../src/models/model.ts';
import { makeStepGraphs } from '../src/models/step-graphs.ts';
import { loadGraph } from './run-graph.ts';

const FOLDER = new URL('fixtures/onnx/', import.meta.url);
/** Samples that were recorded of each. */
export const BATCH = 4;
/** The learning rate of the recorded steps, for the mean loss. */
const RATE = 0.1;

export interface Sketch {
  readonly norm: number;
  readonly waves: number;
}

/** What scripts/export-pytorch-models.py recorded of a file. */
export interface Recorded extends ModelTask {
  readonly x: readonly number[];
  readonly y: readonly number[];
  readonly output: readonly number[];
  /** Of the first steps of gradient descent, sums over the batch. */
  readonly losses: readonly number[];
  readonly gradients: Readonly<Record<string, Sketch>>;
  readonly moved: Readonly<Record<string, Sketch>>;
}

export const RECORDED = JSON.parse(
  readFileSync(new URL('recorded.json', FOLDER), 'utf8'),
) as Readonly<Record<string, Recorded>>;
function bytesOf(name: string): Uint8Array {
  return readFileSync(new URL(`${name}.onnx`, FOLDER));
}

export function fileOf(name: string): GraphFile {
  return { ...decodeGraphFile(bytesOf(name)), name: `${name}.onnx` };
}

export function taskOf({ features, target, vocabulary }: Recorded): ModelTask {
  return { features, target, ...(vocabulary !== undefined && { vocabulary }) };
}

export function modelOf(name: string, freeze: readonly string[] = []): ImportedModel {
  return importModel(fileOf(name), taskOf(RECORDED[name]!), { freeze });
}

export function valuesOf(model: ImportedModel): Map<string, Float32Array> {
  return new Map(
    model.parameters.map((spec, index) => [spec.name, initialParameter(spec, 0, index)]),
  );
}

/** One training pass over the recorded batch, with the mask that drops every fourth element. */
export async function trainOnce(
  model: ImportedModel,
  recorded: Recorded,
): Promise<ReadonlyMap<string, number[]>> {
  const run = await loadStep(model, recorded);
  return run(valuesOf(model));
}

/** The losses of as many steps of gradient descent as were recorded. */
export async function trainSteps(model: ImportedModel, recorded: Recorded): Promise<number[]> {
  const run = await loadStep(model, recorded);
  const values = valuesOf(model);
  const losses: number[] = [];
  for (const _ of recorded.losses) {
    const outputs = await run(values);
    losses.push(outputs.get('loss')![0]!);
    for (const { name, statisticMomentum } of model.parameters) {
      if (statisticMomentum !== undefined) continue;
      const gradient = outputs.get(gradientName(name))!;
      values.set(
        name,
        values.get(name)!.map((value, i) => value - (RATE / BATCH) * gradient[i]!),
      );
    }
  }
  return losses;
}

async function loadStep(
  model: ImportedModel,
  { x, y }: Recorded,
): Promise<(values: ReadonlyMap<string, Float32Array>) => Promise<ReadonlyMap<string, number[]>>> {
  const { train, masks } = makeStepGraphs(model, BATCH);
  const dropped = masks.map(({ name, shape, rate }) => {
    assert.equal(rate, 0.25);
    const length = shape.reduce((a, b) => a * b, 1);
    return [name, Float32Array.from({ length }, (_, i) => (i % 4 === 0 ? 0 : 1 / 0.75))] as const;
  });
  const run = await loadGraph(train);
  return (values) =>
    run({
      ...Object.fromEntries([...values, ...dropped]),
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

export function assertClose(
  actual: number,
  expected: number,
  tolerance: number,
  what: string,
): void {
  const difference = Math.abs(actual - expected);
  assert.ok(
    difference <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, not ${expected}`,
  );
}

export function assertSketch(values: readonly number[], expected: Sketch, what: string): void {
  const { norm, waves } = sketch(values);
  assertClose(norm, expected.norm, 2e-4, `${what}, norm`);
  assertClose(waves, expected.waves, 2e-4, `${what}, waves`);
}
