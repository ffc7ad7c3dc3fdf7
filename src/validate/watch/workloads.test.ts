import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeModel } from '../../models/models.ts';
import { architectureOf } from '../../models/architecture-settings.ts';
import { parameterCountOf } from '../../models/model.ts';
import { DATASETS } from '../../data/sources/datasets.ts';
import { datasetSpecOf } from '../../job/data-source.ts';
import {
  DEFAULT_WORKLOAD,
  microBatchOf,
  WORKLOAD_DATA,
  WORKLOAD_NAMES,
  WORKLOAD_SAMPLES,
  workloadConfig,
} from './workloads.ts';

const SIZES = { mlp: 1_537, transformer: 790_017, embedding: 1_313_281 };

describe('workloadConfig', () => {
  for (const workload of WORKLOAD_NAMES) {
    test(`has the original's model and data: ${workload}`, async () => {
      const config = workloadConfig({ ...DEFAULT_WORKLOAD, workload });
      const { settings, seed } = datasetSpecOf(config);
      const places = { cacheDir: '' };
      const { train } = await DATASETS[config.dataset]!.load({
        places,
        network: { fetch, clock: { now: () => 0, after: () => ({ cancel: () => {} }) } },
        seed,
        validationFraction: 0,
        settings,
      });
      const model = makeModel(config.model, train, architectureOf(config));

      assert.equal(parameterCountOf(model), SIZES[workload]);
      assert.equal(train.sampleCount, WORKLOAD_SAMPLES);
      assert.equal(train.features.at(-1), WORKLOAD_DATA[workload].inputSize);
    });
  }

  test('obeys every option, and leaves the step as it is whatever the workers', () => {
    const options = {
      steps: 7,
      batchSize: 24,
      learningRate: 0.5,
      hiddenSize: 5,
      numLayers: 4,
      seed: 9,
    };
    const config = workloadConfig({ ...DEFAULT_WORKLOAD, ...options, workers: 3, lanes: 2 });

    assert.deepEqual(
      [config.steps, config.globalBatch, config.microBatch, config.lr, config.hidden, config.seed],
      [7, 24, 3, 0.5, [5, 5, 5], 9],
    );
    assert.deepEqual([config.workers, config.lanes, config.optimizer], [3, 2, 'adam']);
    const alone = workloadConfig({ ...DEFAULT_WORKLOAD, ...options, workers: 1 });
    assert.deepEqual({ ...alone, workers: 3, lanes: 2 }, config);
  });

  test('takes one layer as linear regression', () => {
    assert.deepEqual(workloadConfig({ ...DEFAULT_WORKLOAD, numLayers: 1 }).hidden, []);
  });
});

describe('microBatchOf', () => {
  test('makes eight micro-batches where the batch can be cut so, and more of equal size where not', () => {
    const sizes = [1, 7, 8, 16, 32, 33, 100, 1000].map(microBatchOf);

    assert.deepEqual(sizes, [1, 1, 1, 2, 4, 3, 10, 125]);
  });

  test('always divides the batch', () => {
    for (let batch = 1; batch <= WORKLOAD_SAMPLES; batch++)
      assert.equal(batch % microBatchOf(batch), 0);
  });
});
