import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import type { Normalisation } from '../data/dataset.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { makeModel } from '../models/models.ts';
import { withPreamble } from '../models/preamble.ts';
import { makeInferenceFile } from '../models/step-graphs.ts';
import { chooseModel, readModelFile } from './model-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-model-source-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const task = { features: [3], target: { kind: 'classification', classes: 2 } } as const;
const model = makeModel('mlp', task, { hidden: [4] });
const weights = new Map(
  model.parameters.map(({ name, shape }, tensor) => [
    name,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => tensor + i / 8),
  ]),
);
const AS_IS: Normalisation = { scale: [1], shift: [0] };
const SCALED: Normalisation = { scale: [2, 4, 8], shift: [0, 1, -1] };

/** A `model.onnx` of a run on a table that was scaled so. */
function fileOf(name: string, normalisation: Normalisation): string {
  const form = { ...task, storedAs: 'float32', normalisation } as const;
  const file = withPreamble(makeInferenceFile(model, weights), form);
  const metadata = new Map([...(file.metadata ?? []), ['input', '{}'] as const]);
  const path = join(folder, name);
  writeFileSync(path, encodeGraph({ ...file, metadata }));
  return path;
}

describe('a model.onnx of a run that is trained on', () => {
  const scaled = fileOf('scaled.onnx', SCALED);
  const asIs = fileOf('as-is.onnx', AS_IS);
  const chosen = (path: string, normalisation: Normalisation): readonly string[] =>
    chooseModel(parseTrainConfig([], { model: path }).config, { ...task, normalisation }).notes ??
    [];

  test('is the network behind its preamble, with the weights that it had', () => {
    const { config } = parseTrainConfig([], { model: scaled });

    const { parameters } = chooseModel(config, { ...task, normalisation: SCALED }).model;

    const values = parameters.map(({ name, init }) => [
      name,
      init.kind === 'values' ? init.values : undefined,
    ]);
    assert.deepEqual(values, [...weights]);
    const { graph, preamble } = readModelFile(scaled);
    assert.deepEqual(graph.inputs, [{ name: 'input', type: 'float32', shape: ['batch', 3] }]);
    assert.deepEqual(preamble?.normalisation, SCALED);
  });

  test('comes with a note when its data are scaled otherwise, and only then', () => {
    const isToldOf = /^it was trained on features that were scaled otherwise/;

    assert.deepEqual([chosen(scaled, SCALED), chosen(asIs, AS_IS)], [[], []]);
    assert.match(chosen(scaled, AS_IS).join(), isToldOf);
    assert.match(chosen(asIs, SCALED).join(), isToldOf);
  });
});
