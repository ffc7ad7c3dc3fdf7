/**
 * What Python makes of a trained model: Debian's python3-onnx reads and checks the file, and each of
 * its nodes is computed with numpy from what the data files hold. No program of ours is used.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { RandomWords } from '../../src/base/random.ts';
import { loadData } from '../../src/index.ts';
import { temporaryFolder } from '../cluster/processes.ts';
import { type Run, startRun } from '../cluster/runs.ts';
import { onnxCheckerMissing } from '../onnx-checker.ts';

/** Prints what `read()` makes of the rows of its data file, and what the file says of itself. */
const CLASSIFY = `
import json, sys
import numpy as np, onnx
from onnx import helper, numpy_helper

def gemm(a, b, c=0, alpha=1.0, beta=1.0, transA=0, transB=0):
    return alpha * (a.T if transA else a) @ (b.T if transB else b) + beta * c

COMPUTE = {
    "Cast": lambda x, to: x.astype(helper.tensor_dtype_to_np_dtype(to)
                                   if hasattr(helper, "tensor_dtype_to_np_dtype")
                                   else onnx.mapping.TENSOR_TYPE_TO_NP_TYPE[to]),
    "Mul": np.multiply, "Add": np.add, "Relu": lambda x: np.maximum(x, 0), "Gemm": gemm,
    "MatMul": np.matmul,
    "Reshape": lambda x, sizes: x.reshape([n or x.shape[i] for i, n in enumerate(sizes)]),
    "Flatten": lambda x, axis=1: x.reshape(int(np.prod(x.shape[:axis])), -1),
}

def scores_of(model, x):
    graph = model.graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    values[graph.input[0].name] = x
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [values[name] for name in node.input]
        values[node.output[0]] = COMPUTE[node.op_type](*inputs, **attributes)
    return values[graph.output[0].name]

path, kind = sys.argv[1:]
onnx.checker.check_model(path, full_check=True)
model = onnx.load(path)
facts = {entry.key: entry.value for entry in model.metadata_props}
shape = json.loads(facts["input"])["shape"]
rows = json.load(sys.stdin)
x = np.array(rows, dtype=kind).reshape([len(rows), *shape[1:]])
best = scores_of(model, x).argmax(axis=1)
names = json.loads(facts["classNames"])
print(json.dumps({"classes": [names[i] for i in best], "digest": facts["stateDigest"]}))
`;

interface Said {
  readonly classes: readonly string[];
  readonly digest: string;
}

function python(run: Run, kind: 'uint8' | 'float32', rows: readonly (readonly number[])[]): Said {
  const file = join(run.folder, 'model.onnx');
  const { status, stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', CLASSIFY, file, kind], {
    input: JSON.stringify(rows),
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as Said;
}

/** The test samples of a data set: as they are in its file, and the names of their classes. */
async function heldOf(
  dataset: string,
): Promise<{ readonly rows: number[][]; readonly labels: string[] }> {
  const { test: held, classNames, features } = await loadData({ dataset });
  const size = features.reduce((a, b) => a * b, 1);
  const inputs = held.inputs();
  const rows = Array.from({ length: held.count }, (_, i) =>
    Array.from(inputs.subarray(i * size, (i + 1) * size)),
  );
  return { rows, labels: Array.from(held.targets, (label) => classNames?.[label] ?? `${label}`) };
}

/** Python is right as often as the summary says; float32 sums in another order may turn one. */
async function assertAsGood(
  t: TestContext,
  dataset: string,
  kind: 'uint8' | 'float32',
): Promise<void> {
  const run = startRun(t, ['--dataset', dataset, '--epochs', '8', '--workers', '1']);
  const { summary } = await run.outcome();
  const { rows, labels } = await heldOf(dataset);

  const { classes, digest } = python(run, kind, rows);

  const right = classes.filter((name, i) => name === labels[i]).length;
  assert.ok(Math.abs(right / labels.length - summary.testAccuracy!) <= 1 / labels.length);
  assert.ok(summary.testAccuracy! > 0.85, `accuracy ${summary.testAccuracy}`);
  assert.equal(digest, summary.stateDigest);
}

describe('model.onnx in Python', { skip: onnxCheckerMissing() }, () => {
  test('is as good as the summary says on pixels of digits as they are', async (t) => {
    await assertAsGood(t, 'digits', 'uint8');
  });

  test('is as good as the summary says on rows of a table as they are', async (t) => {
    const words = new RandomWords(5, 'synthetic', 0);
    const lines = Array.from({ length: 400 }, (_, i) => {
      const kind = words.below(3 * i, 2);
      const noise = (column: number): number => words.uniform(3 * i + column) - 0.5;
      const width = 3000 + 500 * kind + 700 * noise(1);
      const depth = 0.002 * kind + 0.003 * noise(2);
      return `${width.toFixed(1)},${depth.toFixed(6)},${kind === 0 ? 'dry' : 'wet'}`;
    });
    const table = join(temporaryFolder(t), 'table.csv');
    writeFileSync(table, `width,depth,kind\n${lines.join('\n')}\n`);

    await assertAsGood(t, table, 'float32');
  });
});
