import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { loadRunData, dataPlaces, datasetSpecOf } from './data-source.ts';
import { scalarsOf } from '../plan/run-plan.ts';
import { makeInitialState } from '../state/initial-state.ts';
import { makePlan, type PlannedRun } from './make-plan.ts';
import { noteOnEvaluation } from './plan-run.ts';

async function planOf(settings: Partial<TrainConfig>): Promise<PlannedRun> {
  const { config } = parseTrainConfig([], {
    microBatch: 4,
    globalBatch: 8,
    samples: 1200,
    ...settings,
  });
  const data = await loadRunData(datasetSpecOf(config), dataPlaces(undefined, {}));
  return makePlan(config, data, { runId: 'test', minWorkers: 1 });
}

describe('makePlan', () => {
  test('plans no evaluation where none is wanted, and one of as many samples as are', async () => {
    const small = { model: 'mlp', dataset: 'synthetic_image', imageSize: 8 } as const;
    const never = await planOf({ ...small, evalEvery: 'never' });
    assert.equal(never.plan.evaluate, undefined);
    const some = await planOf({ ...small, evalSamples: 50 });
    assert.equal(some.plan.evaluate?.sampleCount, 50);
    const all = await planOf({ ...small, evalSamples: 1_000_000 });
    assert.equal(all.plan.evaluate?.sampleCount, 300);
    assert.notEqual(some.plan.job.dataDigest, all.plan.job.dataDigest);
  });

  test('notes that evaluating takes long where it does', async () => {
    const { plan } = await planOf({ model: 'mlp', dataset: 'synthetic_image', imageSize: 8 });
    const rare = { ...plan, totalSteps: 10, evaluateEvery: 5 };
    assert.match(
      noteOnEvaluation(rare, 100_000_000) ?? '',
      /^evaluating 300 samples, 2 times, will take about 71 % of the run; --eval-samples/,
    );
    assert.equal(noteOnEvaluation(rare, 1_000), undefined, 'nobody waits for it');
    assert.equal(
      noteOnEvaluation({ ...rare, totalSteps: 1e6, evaluateEvery: 1e6 }, 1e8),
      undefined,
    );
  });

  test('evaluates up to 256 samples at once, but no more than have room', async () => {
    const small = await planOf({ model: 'mlp', dataset: 'synthetic_image', imageSize: 8 });
    const images = {
      model: 'resnet18',
      dataset: 'synthetic_image',
      imageSize: 128,
      width: 128,
      samples: 400,
    } as const;
    const large = await planOf(images);
    const larger = await planOf({ ...images, microBatch: 100, globalBatch: 100 });

    assert.equal(small.plan.job.evaluateMicroBatch, 256);
    // Of 100 test samples; one takes at least the 2 MiB of the first layer's 128 channels of 64x64,
    // twice.
    const { evaluateMicroBatch } = large.plan.job;
    assert.ok(evaluateMicroBatch > 4 && evaluateMicroBatch < 100, `${evaluateMicroBatch} at once`);
    assert.equal(larger.plan.job.evaluateMicroBatch, 100, 'what training can hold, evaluation can');
  });

  test('tells workers which parameters are statistics, and which masks to draw', async () => {
    const resnet = await planOf({
      model: 'resnet18',
      dataset: 'synthetic_image',
      imageSize: 8,
      width: 4,
    });
    const cnn = await planOf({
      model: 'simple_cnn',
      dataset: 'synthetic_image',
      imageSize: 8,
      width: 4,
    });

    const statistics = resnet.plan.job.parameters.filter(
      ({ statisticMomentum }) => statisticMomentum !== null,
    );
    assert.ok(statistics.every(({ name }) => /running_(mean|var)$/.test(name)));
    assert.equal(statistics.length, 2 * 20);
    assert.deepEqual(
      cnn.plan.job.masks.map(({ shape, rate }) => [shape[0], rate]),
      cnn.plan.job.masks.map(() => [4, 0.5]),
    );
    assert.ok(cnn.plan.job.masks.length > 0);
  });

  test('makes a round a step, its shards micro-batches, and only weights travel', async () => {
    const settings = {
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      strategy: 'rounds',
      epochs: 6,
      localEpochs: 2,
      schedule: 'step',
      stepSize: 1,
      gamma: 0.5,
      lr: 0.5,
    } as const;
    const { plan, bytes, notes } = await planOf({ ...settings, samples: 1200 });
    const sync = await planOf({ model: 'mlp', dataset: 'synthetic_image', imageSize: 8 });

    // 150 steps of 8 samples: three shards of 38 steps and one of 36.
    assert.deepEqual(plan.rounds, { shards: 4, localEpochs: 2, localSteps: 2 * 38 });
    assert.deepEqual(plan.train, {
      sampleCount: 2400,
      globalBatch: 4 * 2 * 38 * 8,
      microBatch: 2 * 38 * 8,
    });
    const rates = [0.5, 0.25, 0.125];
    assert.deepEqual(plan.job.strategy, { kind: 'rounds', shards: 4, localEpochs: 2, rates });
    assert.deepEqual([plan.totalSteps, scalarsOf(plan, 2).learningRate], [3, 1]);
    assert.equal(plan.job.optimizer['kind'], 'adam');
    assert.equal(3 * plan.stateBytes, sync.plan.stateBytes, 'adam keeps two regions more');
    assert.equal(makeInitialState(plan, bytes.given).length, plan.stateBytes);
    assert.deepEqual(notes, []);
  });

  test('makes so many steps of sync a round of local-sgd, with a state of two regions', async () => {
    const settings = {
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      strategy: 'local-sgd',
      microBatch: 4,
      globalBatch: 16,
      epochs: 3,
    } as const;
    const { plan, notes } = await planOf({ ...settings, syncEvery: 20, compress: 'int8' });
    const sync = await planOf({ ...settings, strategy: 'sync', optimizer: 'sgd' });

    // 75 steps of 16 samples: four rounds of 19, each of two replicas, in steps of 8 samples.
    assert.deepEqual(plan.rounds, { shards: 2, localEpochs: 1, localSteps: 19 });
    assert.deepEqual(plan.train, { sampleCount: 1200, globalBatch: 19 * 16, microBatch: 19 * 8 });
    assert.deepEqual([plan.totalSteps, plan.evaluateEvery], [3 * 4, 4]);
    assert.deepEqual(plan.job.strategy, {
      kind: 'local-sgd',
      shards: 2,
      localEpochs: 1,
      roundsPerEpoch: 4,
      rates: [0.001],
      outerMomentum: plan.job.strategy['outerMomentum'],
      compress: 'int8',
    });
    assert.deepEqual([plan.job.globalBatch, plan.job.microBatch], [8, 4]);
    assert.equal(plan.stateBytes, 2 * sync.plan.stateBytes, 'weights and momentum');
    assert.deepEqual([plan.collective, plan.packsSums], ['star', true]);
    assert.deepEqual(notes, []);
    const topK = await planOf({ ...settings, compress: 'topk', topKPart: 0.2 });
    assert.equal(topK.plan.stateBytes, 3 * sync.plan.stateBytes, 'and an estimate');
    assert.equal(topK.plan.job.strategy['topKPart'], 0.2);
    const plain = await planOf({ ...settings, outerLr: 1, outerMomentum: 0 });
    assert.equal(plain.plan.stateBytes, sync.plan.stateBytes, 'an average keeps nothing');
    assert.equal(plain.plan.collective, 'auto');
  });

  test('refuses more rounds than can be told, and notes rounds longer than an epoch', async () => {
    const settings = {
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      strategy: 'local-sgd',
    } as const;

    await assert.rejects(planOf({ ...settings, syncEvery: 1, epochs: 100 }), {
      message:
        'sync_every: expected at most 10000 rounds, got 15000, for 100 epochs with a round every ' +
        '1 steps. Raise --sync-every',
    });
    const { plan, notes } = await planOf({ ...settings, syncEvery: 500 });
    assert.equal(plan.totalSteps, 5);
    assert.deepEqual(notes, [
      'sync_every: an epoch has 150 steps, and ends a round: 500 are never made',
    ]);
  });

  test('says when steps do not make all shards, and keeps a constant rate short', async () => {
    const settings = {
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      samples: 40,
    } as const;
    const { plan, notes } = await planOf({ ...settings, strategy: 'rounds', rounds: 100 });

    assert.equal(plan.rounds?.shards, 3);
    assert.deepEqual(notes, [
      'shards: 5 steps of 8 samples make 3 shards, not 4; a smaller --global-batch makes more ' +
        'steps',
    ]);
    assert.deepEqual(plan.job.strategy['rates'], [0.001]);
    assert.equal(plan.totalSteps, 100);
  });

  test('gives the values of an imported network as they are, without a copy', async () => {
    const { plan, bytes, model } = await planOf({
      model: 'test/fixtures/onnx/pretrained-13.onnx',
      dataset: 'synthetic_image',
      imageSize: 28,
      channels: 1,
    });

    assert.ok(bytes.given.length > 1);
    assert.equal(bytes.given.length, plan.initial.length);
    for (const [index, { init }] of model.parameters.entries())
      assert.ok(init.kind === 'values' && init.values === bytes.given[index]);
  });

  test('takes snapshots of a large state less often', async () => {
    const { plan } = await planOf({
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      hidden: [4],
    });
    const large = await planOf({
      model: 'mlp',
      dataset: 'synthetic_image',
      imageSize: 8,
      hidden: [3000, 3500],
    });

    assert.equal(plan.snapshotMs, 10_000);
    assert.equal(large.plan.snapshotMs, large.plan.stateBytes / 10_000);
  });
});
