/** Every step is computed by all workers together: a part of it is a micro-batch. */
import { stepsPerEpoch } from '../data/batches.ts';
import { LanePool } from '../runtime/lanes/lane-pool.ts';
import type { Strategy } from './strategy.ts';

/** The strategy `sync`. */
export const SYNC: Strategy = {
  plan({ config, sampleCount, optimizer, schedule }) {
    const { microBatch, globalBatch, steps, epochs } = config;
    return {
      spec: { kind: 'sync' },
      stepBatch: globalBatch,
      totalSteps: steps ?? epochs * stepsPerEpoch(sampleCount, globalBatch),
      train: { sampleCount, globalBatch, microBatch },
      passesPerEpoch: 1,
      update: { optimizer, schedule },
      units: { step: 'step', part: 'micro-batch', lanesPerPart: 'one' },
      notes: [],
    };
  },
  extraRegions: 0,
  async createEngine(options) {
    const { pool, ...found } = await LanePool.create(options);
    return { engine: pool, pool, ...found };
  },
};
