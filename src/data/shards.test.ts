import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { microBatchesOfStep, sampleRange, stepsPerEpoch } from './batches.ts';
import {
  localStepAt,
  localStepCount,
  roundAsStep,
  type RoundLayout,
  shardCount,
} from './shards.ts';

const layouts = fc
  .record({
    sampleCount: fc.integer({ min: 1, max: 500 }),
    microBatch: fc.integer({ min: 1, max: 16 }),
    microBatches: fc.integer({ min: 1, max: 4 }),
    shards: fc.integer({ min: 1, max: 12 }),
    localEpochs: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ microBatches, ...rest }): RoundLayout => ({
    ...rest,
    globalBatch: rest.microBatch * microBatches,
  }));

const ROUND = 3;

/** Samples that a shard trains on in one round. */
function samplesOfShard(layout: RoundLayout, shard: number): number {
  let samples = 0;
  for (let index = 0; index < localStepCount(layout, ROUND, shard); index++)
    samples += microBatchesOfStep(
      layout,
      localStepAt(layout, 0, shard, index).stepInEpoch,
    ).sampleCount;
  return samples;
}

describe('shards', () => {
  test('have every step of every local epoch once', () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        const seen: string[] = [];
        for (let shard = 0; shard < shardCount(layout); shard++)
          for (let index = 0; index < localStepCount(layout, ROUND, shard); index++) {
            const { epoch, stepInEpoch } = localStepAt(layout, ROUND, shard, index);
            seen.push(`${epoch} ${stepInEpoch}`);
          }
        const all: string[] = [];
        for (let epoch = 0; epoch < layout.localEpochs; epoch++)
          for (let step = 0; step < Math.ceil(layout.sampleCount / layout.globalBatch); step++)
            all.push(`${ROUND * layout.localEpochs + epoch} ${step}`);

        assert.deepEqual(seen.sort(), all.sort());
      }),
    );
  });

  test('are the micro-batches of one step, with as many samples as they train on', () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        const step = roundAsStep(layout);
        const { microBatchCount, sampleCount } = microBatchesOfStep(step, 0);

        assert.equal(microBatchCount, shardCount(layout));
        assert.equal(sampleCount, layout.sampleCount * layout.localEpochs);
        for (let shard = 0; shard < microBatchCount; shard++)
          assert.equal(sampleRange(step, 0, shard).count, samplesOfShard(layout, shard));
      }),
    );
  });

  test('have every step of an epoch once when it holds several rounds', () => {
    const several = fc
      .tuple(layouts, fc.integer({ min: 1, max: 7 }))
      .map(([layout, roundsPerEpoch]) => ({ ...layout, localEpochs: 1, roundsPerEpoch }));
    fc.assert(
      fc.property(several, (layout) => {
        const step = roundAsStep(layout);
        const rounds = stepsPerEpoch(step.sampleCount, step.globalBatch);
        const seen: number[] = [];
        const samples: number[] = [];
        for (let round = rounds; round < 2 * rounds; round++)
          for (let shard = 0; shard < shardCount(layout); shard++) {
            let ofShard = 0;
            for (let index = 0; index < localStepCount(layout, round, shard); index++) {
              const { epoch, stepInEpoch } = localStepAt(layout, round, shard, index);
              assert.equal(epoch, 1);
              seen.push(stepInEpoch);
              ofShard += microBatchesOfStep(layout, stepInEpoch).sampleCount;
            }
            assert.equal(ofShard, sampleRange(step, round - rounds, shard).count);
            samples.push(ofShard);
          }

        assert.ok(rounds <= layout.roundsPerEpoch);
        assert.deepEqual(
          seen,
          Array.from(
            { length: stepsPerEpoch(layout.sampleCount, layout.globalBatch) },
            (_, i) => i,
          ),
        );
        assert.equal(
          samples.reduce((sum, count) => sum + count, 0),
          layout.sampleCount,
        );
      }),
    );
  });

  test('are as many as asked for where there are steps enough, and never empty', () => {
    const layout = { sampleCount: 80, globalBatch: 10, microBatch: 5, localEpochs: 2 };
    const counts = [1, 2, 3, 4, 8, 9].map((shards) => shardCount({ ...layout, shards }));

    assert.deepEqual(counts, [1, 2, 3, 4, 8, 8]);
    assert.equal(shardCount({ ...layout, sampleCount: 90, shards: 8 }), 5, 'nine steps, two each');
    assert.equal(samplesOfShard({ ...layout, sampleCount: 90, shards: 8 }, 4), 2 * 10);
  });
});
