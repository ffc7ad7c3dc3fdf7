import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { InPlaceSession } from './in-place-session.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import { createSession } from './session.ts';

const SIZE = 512;
const BYTES = 4 * SIZE * SIZE;
const { Tensor } = onnxRuntime();

/** x + 1 and x x, large; the sum of x, small. */
function makeFile(): Uint8Array {
  const g = new GraphBuilder('outputs');
  const x = g.input('x', 'float32', [SIZE, SIZE]);
  g.output('next', g.add(x, g.scalar(1)));
  g.output('square', g.matMul(x, x));
  g.output('sum', g.reduceSum(x));
  return encodeGraph(g.build());
}

const shapes = { next: [SIZE, SIZE], square: [SIZE, SIZE], sum: [] };
const feeds = {
  x: new Tensor(
    'float32',
    Float32Array.from({ length: SIZE * SIZE }, (_, i) => (i % 7) - 3),
    [SIZE, SIZE],
  ),
};

function makeFetches(): Record<string, InstanceType<typeof Tensor>> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      return [name, new Tensor('float32', data, shape)];
    }),
  );
}

describe('InPlaceSession', () => {
  test('writes what a session computes into the memory it is given', async () => {
    const plain = await createSession(makeFile(), 'test', 'cpu');
    const session = await InPlaceSession.create(makeFile(), 'test', 'cpu');
    const fetches = makeFetches();

    await session.run(feeds, fetches);

    assert.deepEqual([session.inputNames, session.outputNames], [['x'], ['next', 'square', 'sum']]);
    const expected = await plain.run(feeds);
    for (const name of session.outputNames)
      assert.deepEqual(fetches[name]!.data, expected[name]!.data, name);
  });

  test('leaves no copies of the outputs behind', async () => {
    const session = await InPlaceSession.create(makeFile(), 'test', 'cpu');
    const fetches = makeFetches();
    const before = process.memoryUsage().arrayBuffers;

    for (let i = 0; i < 4; i++) await session.run(feeds, fetches);

    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < BYTES, `${grown} bytes more after 4 runs with 2 outputs of ${BYTES} bytes`);
  });

  test('passes on what ONNX Runtime says when it fails', async () => {
    const session = await InPlaceSession.create(makeFile(), 'test', 'cpu');
    const x = new Tensor('float32', new Float32Array(4), [2, 2]);

    await assert.rejects(
      session.run({ x }, makeFetches()),
      /invalid dimensions|Got: 2 Expected: 512/,
    );
  });
});
