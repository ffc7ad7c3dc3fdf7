import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  createBatchFiller,
  epochOrder,
  microBatchesOfStep,
  sampleRange,
  stepsPerEpoch,
} from './batches.ts';
import type { EpochLayout } from './batches.ts';
import { AS_STORED } from './dataset.ts';
import type { Dataset } from './dataset.ts';
import { makeDataset } from './dataset-digest.ts';
import { makeSyntheticRegression } from './sources/synthetic-regression.ts';

function labelled(sampleCount: number, width: number): Dataset {
  const x = new Uint8Array(new SharedArrayBuffer(sampleCount * width));
  const y = new Int32Array(new SharedArrayBuffer(4 * sampleCount));
  x.forEach((_, i) => (x[i] = (i * 31 + 7) & 255));
  y.forEach((_, i) => (y[i] = i % 10));
  return makeDataset({
    name: 'tiny',
    sampleCount,
    features: [width],
    target: { kind: 'classification', classes: 10 },
    x,
    y,
    normalisation: AS_STORED,
  });
}

describe('microBatchesOfStep', () => {
  const layout: EpochLayout = { sampleCount: 1000, globalBatch: 192, microBatch: 32 };

  test('gives full steps all their micro-batches and the last step what is left', () => {
    assert.equal(stepsPerEpoch(1000, 192), 6);
    assert.deepEqual(microBatchesOfStep(layout, 0), { microBatchCount: 6, sampleCount: 192 });
    assert.deepEqual(microBatchesOfStep(layout, 5), { microBatchCount: 2, sampleCount: 40 });
    assert.deepEqual(microBatchesOfStep(layout, 6), { microBatchCount: 0, sampleCount: 0 });
  });

  test('cuts MNIST as the default configuration does', () => {
    assert.equal(stepsPerEpoch(60_000, 192), 313);
    assert.deepEqual(microBatchesOfStep({ ...layout, sampleCount: 60_000 }, 312), {
      microBatchCount: 3,
      sampleCount: 96,
    });
  });

  test('together with sampleRange visits every sample exactly once', () => {
    const layouts = fc.record({
      sampleCount: fc.integer({ min: 1, max: 500 }),
      microBatch: fc.integer({ min: 1, max: 40 }),
      microBatches: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(layouts, ({ sampleCount, microBatch, microBatches }) => {
        const cut: EpochLayout = {
          sampleCount,
          microBatch,
          globalBatch: microBatch * microBatches,
        };
        let next = 0;
        for (let step = 0; step < stepsPerEpoch(sampleCount, cut.globalBatch); step++) {
          const { microBatchCount, sampleCount: ofStep } = microBatchesOfStep(cut, step);
          const before = next;
          for (let index = 0; index < microBatchCount; index++) {
            const range = sampleRange(cut, step, index);
            assert.equal(range.start, next);
            assert.ok(range.count >= 1 && range.count <= microBatch);
            next += range.count;
          }
          assert.equal(next - before, ofStep);
          assert.equal(
            sampleRange(cut, step, microBatchCount).count === 0 || microBatchCount === microBatches,
            true,
          );
        }
        assert.equal(next, sampleCount);
      }),
    );
  });
});

describe('epochOrder', () => {
  test('is the same for everyone and another one in the next epoch', () => {
    assert.deepEqual(epochOrder(42, 3, 100), epochOrder(42, 3, 100));
    assert.notDeepEqual(epochOrder(42, 3, 100), epochOrder(42, 4, 100));
    assert.notDeepEqual(epochOrder(42, 3, 100), epochOrder(43, 3, 100));
  });
});

describe('createBatchFiller', () => {
  for (const width of [8, 7]) {
    test(`gathers rows of ${width} bytes and zeroes the rest of the micro-batch`, () => {
      const dataset = labelled(20, width);
      const x = new Uint8Array(4 * width).fill(255);
      const y = new Int32Array(4).fill(-1);
      const sampleWeight = new Float32Array(4).fill(9);
      const order = epochOrder(1, 0, 20);

      createBatchFiller(dataset, { x, y, sampleWeight }).fill(order, 17, 3);

      const rows = [17, 18, 19].map((at) => order[at]!);
      const expected = rows.flatMap((row) => [
        ...dataset.x.subarray(row * width, (row + 1) * width),
      ]);
      assert.deepEqual([...x], [...expected, ...Array.from({ length: width }, () => 0)]);
      assert.deepEqual([...y], [...rows.map((row) => row % 10), 0]);
      assert.deepEqual([...sampleWeight], [1, 1, 1, 0]);
    });
  }

  test('takes natural order when none is given, and can be used again', () => {
    const dataset = labelled(20, 8);
    const destination = {
      x: new Uint8Array(16),
      y: new Int32Array(2),
      sampleWeight: new Float32Array(2),
    };
    const filler = createBatchFiller(dataset, destination);

    filler.fill(undefined, 4, 1);
    filler.fill(undefined, 5, 2);

    assert.deepEqual([...destination.x], [...dataset.x.subarray(40, 56)]);
    assert.deepEqual([...destination.y], [5, 6]);
    assert.deepEqual([...destination.sampleWeight], [1, 1]);
  });

  test('gathers float features and targets', () => {
    const { train } = makeSyntheticRegression({
      seed: 1,
      sampleCount: 10,
      testSampleCount: 1,
      features: 3,
      outputs: 2,
    });
    const x = new Float32Array(6);
    const y = new Float32Array(4);

    createBatchFiller(train, { x, y, sampleWeight: new Float32Array(2) }).fill(undefined, 9, 1);

    assert.deepEqual([...x], [...train.x.subarray(27), 0, 0, 0]);
    assert.deepEqual([...y], [...train.y.subarray(18), 0, 0]);
  });

  test('refuses destinations that do not fit, and ranges outside the data set', () => {
    const dataset = labelled(20, 8);
    const fits = { x: new Uint8Array(16), y: new Int32Array(2), sampleWeight: new Float32Array(2) };

    assert.throws(() => createBatchFiller(dataset, { ...fits, x: new Uint8Array(15) }), {
      code: 'INTERNAL',
    });
    assert.throws(() => createBatchFiller(dataset, { ...fits, x: new Float32Array(16) }), {
      code: 'INTERNAL',
    });
    assert.throws(() => createBatchFiller(dataset, fits).fill(undefined, 19, 2), {
      code: 'INTERNAL',
    });
    assert.throws(() => createBatchFiller(dataset, fits).fill(undefined, 0, 3), {
      code: 'INTERNAL',
    });
  });
});
