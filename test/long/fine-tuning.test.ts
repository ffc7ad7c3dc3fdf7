import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeGraphFile } from '../../src/graph/file/decode.ts';
import { withoutPreamble } from '../../src/models/preamble.ts';
import type { TensorData } from '../../src/graph/values/types.ts';
import { REPOSITORY } from '../cluster/processes.ts';
import { startRun } from '../cluster/runs.ts';
import { samplesOf, worthOf } from './inference.ts';

/** Trained by PyTorch on the first 1000 images of MNIST: see scripts/export-pretrained-cnn.py. */
const PRETRAINED = join(REPOSITORY, 'test/fixtures/onnx/pretrained-13.onnx');

function weightsOf(path: string): ReadonlyMap<string, TensorData> {
  const { initializers } = withoutPreamble(decodeGraphFile(readFileSync(path))).file;
  return new Map(initializers.map(({ name, data }) => [name, data]));
}

test('a network trained by PyTorch becomes better, and what is frozen stays', async (t) => {
  const { test: held } = await samplesOf({ dataset: 'mnist' });
  const before = await worthOf(PRETRAINED, held);
  const run = startRun(t, [
    ...['--model', PRETRAINED, '--freeze', 'conv1.*,bn1.*', '--dataset', 'mnist', '--epochs', '1'],
    ...['--micro-batch', '64', '--global-batch', '128', '--lr', '0.003', '--schedule', 'cosine'],
    ...['--workers', '2', '--lanes', '1'],
  ]);

  const { summary } = await run.outcome();

  const trained = join(run.folder, 'model.onnx');
  const after = await worthOf(trained, held);
  // Measured: from 0.870 to 0.955, and the loss from 0.460 to 0.153.
  assert.ok(
    after.accuracy > before.accuracy + 0.05,
    `accuracy ${after.accuracy} after ${before.accuracy}`,
  );
  assert.ok(after.loss < before.loss / 2, `loss ${after.loss} after ${before.loss}`);
  assert.ok(
    Math.abs(after.accuracy - summary.testAccuracy!) < 0.001,
    `not ${summary.testAccuracy}`,
  );
  const [old, moved] = [weightsOf(PRETRAINED), weightsOf(trained)];
  assert.deepEqual(new Set(moved.keys()), new Set(old.keys()));
  for (const [name, values] of moved) {
    if (/^(?:conv1|bn1)\./.test(name)) assert.deepEqual(values, old.get(name), name);
    else assert.notDeepEqual(values, old.get(name), name);
  }
});
