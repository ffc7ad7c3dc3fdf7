import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AS_STORED, type Dataset } from '../../data/dataset.ts';
import { makeDataset } from '../../data/dataset-digest.ts';
import { GraphBuilder } from '../../graph/builder.ts';
import { encodeGraph } from '../../graph/file/encode.ts';
import { Arena } from '../../kernels/arena.ts';
import { loadKernels } from '../../kernels/kernels.ts';
import { targetTypeOf } from '../../models/objective.ts';
import { batchRegions, BoundGraph } from './batch.ts';
import { InPlaceSession } from '../in-place-session.ts';
import { onnxRuntime } from '../onnx-runtime.ts';

const BATCH = 3;

function shared<T extends Uint8Array | Int32Array | Float32Array>(
  type: new (buffer: SharedArrayBuffer) => T,
  bytes: number,
  values: ArrayLike<number>,
): T {
  const array = new type(new SharedArrayBuffer(bytes * values.length));
  array.set(values);
  return array;
}

/** What the graph of a session saw of the samples 1 and 2 of `dataset`, with one row of padding. */
async function seenBy(
  dataset: Dataset,
): Promise<{ x: number[]; y: number[]; sampleWeight: number[] }> {
  const g = new GraphBuilder('echo');
  const isTokens = dataset.vocabulary !== undefined;
  const target = targetTypeOf(dataset.target, BATCH);
  const x = g.input('x', isTokens ? 'int32' : 'float32', [BATCH, ...dataset.features]);
  const y = g.input('y', target.type, target.shape);
  g.output('seen.x', g.add(g.cast(x, 'float32'), g.scalar(0)));
  g.output('seen.y', g.add(g.cast(y, 'float32'), g.scalar(0)));
  g.output('seen.sampleWeight', g.add(g.input('sampleWeight', 'float32', [BATCH]), g.scalar(0)));
  const { Tensor } = onnxRuntime();
  const seen = { x: [BATCH, ...dataset.features], y: target.shape, sampleWeight: [BATCH] };
  const views = Object.entries(seen).map(([name, shape]) => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return { name, values, tensor: new Tensor('float32', values, shape) };
  });
  const arena = new Arena(batchRegions('train', dataset, BATCH));
  const graph = new BoundGraph({
    session: await InPlaceSession.create(encodeGraph(g.build()), 'echo', 'cpu'),
    arena,
    kernels: loadKernels(arena.memory, false),
    prefix: 'train',
    dataset,
    batchSize: BATCH,
    tensors: new Map(views.map(({ name, tensor }) => [`seen.${name}`, tensor])),
  });
  graph.fill(Uint32Array.of(2, 1), 0, 2);
  await graph.run();
  const [seenX, seenY, seenWeight] = views.map(({ values }) => [...values]);
  return { x: seenX!, y: seenY!, sampleWeight: seenWeight! };
}

const f = Math.fround;

describe('BoundGraph', () => {
  test('feeds images normalised per channel, whatever the size of a channel', async () => {
    const bytes = Array.from({ length: 3 * 2 * 3 }, (_, i) => (i * 37) % 256);
    const scale = [0.5, 0.25].map(f);
    const shift = [-1, 0.1].map(f);
    const dataset = makeDataset({
      name: 'images',
      sampleCount: 3,
      features: [2, 1, 3],
      target: { kind: 'classification', classes: 4 },
      x: shared(Uint8Array<SharedArrayBuffer>, 1, bytes),
      y: shared(Int32Array<SharedArrayBuffer>, 4, [0, 1, 3]),
      normalisation: { scale, shift },
    });

    const { x, y, sampleWeight } = await seenBy(dataset);

    const normalised = (byte: number, i: number): number => {
      const channel = Math.floor((i % 6) / 3);
      return f(f(byte * scale[channel]!) + shift[channel]!);
    };
    const rows = [...bytes.slice(12), ...bytes.slice(6, 12), ...Array<number>(6).fill(0)];
    assert.deepEqual(x, rows.map(normalised));
    assert.deepEqual(y, [3, 1, 0]);
    assert.deepEqual(sampleWeight, [1, 1, 0]);
  });

  test('feeds float features normalised, and several targets per sample', async () => {
    const values = Array.from({ length: 12 }, (_, i) => f(i / 7));
    const dataset = makeDataset({
      name: 'table',
      sampleCount: 3,
      features: [4],
      target: { kind: 'binary', outputs: 2 },
      x: shared(Float32Array<SharedArrayBuffer>, 4, values),
      y: shared(Float32Array<SharedArrayBuffer>, 4, [0, 1, 1, 0, 1, 1]),
      normalisation: { scale: [2], shift: [0.5] },
    });

    const { x, y } = await seenBy(dataset);

    const rows = [...values.slice(8), ...values.slice(4, 8), 0, 0, 0, 0];
    assert.deepEqual(
      x,
      rows.map((value) => f(f(value * 2) + 0.5)),
    );
    assert.deepEqual(y, [1, 1, 1, 0, 0, 0]);
  });

  test('feeds tokens and a label per position as they are stored', async () => {
    const dataset = makeDataset({
      name: 'text',
      sampleCount: 3,
      features: [2],
      target: { kind: 'sequence', classes: 300, length: 2 },
      vocabulary: 300,
      x: shared(Int32Array<SharedArrayBuffer>, 4, [1, 2, 3, 4, 299, 6]),
      y: shared(Int32Array<SharedArrayBuffer>, 4, [2, 3, 4, 5, 6, 300]),
      normalisation: AS_STORED,
    });

    const { x, y } = await seenBy(dataset);

    assert.deepEqual(x, [299, 6, 3, 4, 0, 0]);
    assert.deepEqual(y, [6, 300, 4, 5, 0, 0]);
  });
});
