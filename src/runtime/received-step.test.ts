import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { modelOf } from '../../test/exported-networks.ts';
import {
  OBEYED,
  SECRET_COUNT,
  SECRET_FILE,
  STEPS_THAT_READ_FILES,
} from '../../test/steps-that-read-files.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { Graph } from '../graph/types.ts';
import { CASES } from '../models/model-cases.contract.ts';
import { makeStepGraphs } from '../models/step-graphs.ts';
import { rewriteStep } from './received-step.ts';
import { createSession } from './session.ts';

const SECRET = Float32Array.from({ length: SECRET_COUNT }, (_, i) => i + 0.5);

/** Images, sequences, text. */
const KINDS: readonly string[] = ['simple_cnn', 'resnet18', 'transformer', 'bert', 'gpt'];

/** y = x with `sizes`, or with symbols for them. */
function copyOf(sizes: readonly (number | string)[]): Uint8Array {
  const g = new GraphBuilder('copy');
  g.output('y', g.relu(g.input('x', 'float32', sizes)));
  return encodeGraph(g.build());
}

describe('rewriteStep', () => {
  for (const name of OBEYED) {
    test(`guards against what ONNX Runtime does: it reads a file named in ${name}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'lockstep-step-'));
      const before = process.cwd();
      t.after(() => {
        process.chdir(before);
        rmSync(folder, { recursive: true });
      });
      writeFileSync(join(folder, SECRET_FILE), SECRET);
      process.chdir(folder);

      const session = await createSession(STEPS_THAT_READ_FILES[name]!, 'test', 'cpu');

      assert.deepEqual((await session.run({}))['y']?.data, SECRET);
    });
  }

  for (const [name, file] of Object.entries(STEPS_THAT_READ_FILES)) {
    test(`refuses a step that names another file in ${name}`, () => {
      assert.throws(() => rewriteStep(file, 'training'), {
        code: 'GRAPH_UNSUPPORTED',
        message: /^the training step that the coordinator sent was refused: /,
      });
    });
  }

  test('refuses a step whose sizes are not known, and bytes that are no graph', () => {
    assert.throws(() => rewriteStep(copyOf(['n', 3]), 'training'), {
      code: 'GRAPH_UNSUPPORTED',
      message: /was refused: x: expected sizes that are numbers, got \[n, 3\]/,
    });
    assert.throws(() => rewriteStep(Uint8Array.of(1, 2, 3), 'evaluation'), {
      code: 'GRAPH_UNSUPPORTED',
      message: /^the evaluation step that the coordinator sent was refused: reading /,
    });
  });

  test('says what the results of the nodes take, beside what is put out', () => {
    assert.equal(rewriteStep(copyOf([2 ** 20, 2 ** 10]), 'training').valueBytes, 0);

    const g = new GraphBuilder('sum');
    const x = g.input('x', 'float32', [2 ** 20, 2 ** 10]);
    g.output('y', g.reduceSum(g.relu(x)));
    assert.equal(rewriteStep(encodeGraph(g.build()), 'training').valueBytes, 2 ** 32);
  });

  const isUnchanged = (graph: Graph): boolean => {
    const sent = encodeGraph(graph);
    return Buffer.compare(rewriteStep(sent, 'training').file, sent) === 0;
  };

  test('writes the steps of models of every kind as they came, byte for byte', () => {
    for (const { name, model } of CASES.filter(({ name: kind }) => KINDS.includes(kind))) {
      const { train, evaluate } = makeStepGraphs(model, 4);
      assert.ok(isUnchanged(train) && isUnchanged(evaluate), name);
    }
  });

  test('writes the steps of networks from PyTorch as they came, byte for byte', () => {
    for (const name of ['cnn-13', 'residual-11', 'multi-head-13', 'causal-text-17']) {
      const { train, evaluate } = makeStepGraphs(modelOf(name), 4);
      assert.ok(isUnchanged(train) && isUnchanged(evaluate), name);
    }
  });
});
