/** What a lane does beside gradients: running statistics, and the masks of dropout. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { RandomWords } from '../../base/random.ts';
import { makeSyntheticRegression } from '../../data/sources/synthetic-regression.ts';
import { encodeGraph } from '../../graph/file/encode.ts';
import type { Model, ParameterSpec } from '../../models/model.ts';
import { makeStepGraphs } from '../../models/step-graphs.ts';
import { optimizerScalars } from '../../optim/scalars.ts';
import { makeOptimizerSpec } from '../../optim/spec.ts';
import { gridExponents } from '../../plan/grid.ts';
import type { Commit, Job, Plan } from '../../protocol/messages.ts';
import { LanePool } from './lane-pool.ts';

const MICRO_BATCH = 4;
const MICRO_BATCHES = 3;
const FEATURES = 5;
const splits = makeSyntheticRegression({
  seed: 5,
  sampleCount: 10,
  testSampleCount: 4,
  features: FEATURES,
});
const optimizer = makeOptimizerSpec('adamw', { weightDecay: 0.5 });
const LEARNING_RATE = 0.01;

const WEIGHT: ParameterSpec = {
  name: 'weight',
  shape: [1, FEATURES],
  init: { kind: 'constant', value: 0.5 },
};
const MEAN: ParameterSpec = {
  name: 'mean',
  shape: [FEATURES],
  init: { kind: 'constant', value: 0 },
  statisticMomentum: 0.25,
};

/** prediction = (x * mask) weight^T; with `MEAN` among the parameters it observes the mean of x. */
function scriptedModel(parameters: readonly ParameterSpec[], rate: number): Model {
  return {
    name: 'scripted',
    features: [FEATURES],
    target: splits.train.target,
    parameters,
    forward({ g, parameter, training }, x) {
      if (training !== undefined && parameters.includes(MEAN)) {
        const share = g.unsqueeze(training.sampleWeight, [1]);
        const total = g.reduceSum(training.sampleWeight);
        training.observe('mean', g.div(g.reduceSum(g.mul(x, share), { axes: [0] }), total));
      }
      const isDropped = training !== undefined && rate > 0;
      const seen = isDropped ? g.mul(x, training.mask([MICRO_BATCH, FEATURES], rate)) : x;
      return g.gemm(seen, parameter(WEIGHT), undefined, { transB: true });
    },
  };
}

const pools: LanePool[] = [];
after(async () => Promise.all(pools.map(async (pool) => pool.closed(2_000))));

interface Bench {
  readonly pool: LanePool;
  readonly compute: (leases: number[], step?: number) => Promise<Int32Array>;
  readonly state: () => Promise<Float32Array>;
  readonly planOf: (leases: number[], step?: number) => Plan;
}

async function bench(
  model: Model,
  laneCount: number,
  clipNorm: number | null = null,
): Promise<Bench> {
  const graphs = makeStepGraphs(model, MICRO_BATCH);
  const files = { train: encodeGraph(graphs.train), evaluate: encodeGraph(graphs.evaluate) };
  const job: Job = {
    runId: 'test',
    seed: 9,
    dataset: {},
    dataDigest: '',
    task: 'regression',
    featureCount: FEATURES,
    targetCount: 1,
    microBatch: MICRO_BATCH,
    globalBatch: MICRO_BATCH * MICRO_BATCHES,
    evaluateMicroBatch: MICRO_BATCH,
    parameters: model.parameters.map(({ name, shape, statisticMomentum = null }) => ({
      name,
      shape: [...shape],
      statisticMomentum,
    })),
    masks: graphs.masks.map(({ name, shape, rate }) => ({ name, shape: [...shape], rate })),
    optimizer: { ...optimizer },
    clipNorm,
    tracksNorms: false,
    isAudited: false,
    strategy: { kind: 'sync' },
    trainBytes: files.train.length,
    evaluateBytes: files.evaluate.length,
  };
  let tell: (sum: Uint8Array) => void = () => {};
  const { pool } = await LanePool.create({
    laneCount,
    device: 'cpu',
    job,
    optimizer,
    files,
    train: splits.train,
    evaluate: splits.test,
    handlers: {
      onDone: (_pass, _records, sum) => tell(sum.slice()),
      onAttempted: () => {},
      onFailed: (error) => {
        throw error;
      },
    },
  });
  pools.push(pool);
  const values = model.parameters.flatMap(({ shape, init }) => {
    assert.ok(init.kind === 'constant');
    return Array<number>(shape.reduce((a, b) => a * b, 1)).fill(init.value);
  });
  const state = Float32Array.from({ length: 3 * values.length }, (_, i) => values[i] ?? 0);
  pool.importState(new Uint8Array(state.buffer), () => {});
  let pass = 0;
  const planOf: Bench['planOf'] = (leases, step = 0) => ({
    kind: 'plan',
    pass: ++pass,
    work: 'train',
    step,
    epoch: 0,
    stepInEpoch: 0,
    leases,
    exponents: gridExponents(
      model.parameters.map(() => 4),
      MICRO_BATCHES,
    ),
    reduction: 'star',
  });
  return {
    pool,
    planOf,
    compute: async (leases, step) => {
      const sum = new Promise<Uint8Array>((resolve) => (tell = resolve));
      pool.begin(planOf(leases, step));
      return new Int32Array((await sum).buffer);
    },
    state: async () =>
      new Promise((resolve) =>
        pool.exportState((bytes) => resolve(new Float32Array(bytes.slice().buffer))),
      ),
  };
}

/** One committed step over all ten samples, and the state after it. */
async function stateAfterOneStep(
  model: Model,
  laneCount: number,
  clipNorm: number | null,
): Promise<Float32Array> {
  const { pool, compute, state, planOf } = await bench(model, laneCount, clipNorm);
  await compute([0, 1, 2]);
  const { pass, exponents } = planOf([]);
  const scalars = { ...optimizerScalars(optimizer, 1, LEARNING_RATE) };
  const commit: Commit = {
    kind: 'commit',
    pass,
    step: 0,
    exponents,
    update: { sampleCount: 10, scalars },
  };
  pool.apply(commit, undefined, () => {});
  return state();
}

describe('running statistics', () => {
  const model = scriptedModel([WEIGHT, MEAN], 0);
  const count = 2 * FEATURES;

  test(
    'move by their momentum towards the mean of what the samples of a step show, and nothing ' +
      'decays them',
    async () => {
      const state = await stateAfterOneStep(model, 1, 1e-3);

      const { x } = splits.train;
      for (let feature = 0; feature < FEATURES; feature++) {
        let sum = 0;
        for (let sample = 0; sample < 10; sample++) sum += x[sample * FEATURES + feature]!;
        const expected = (0.25 * sum) / 10;
        const got = state[FEATURES + feature]!;
        assert.ok(Math.abs(got - expected) < 1e-6, `feature ${feature}: ${expected}, got ${got}`);
      }
    },
  );

  test('have no optimizer state', async () => {
    const state = await stateAfterOneStep(model, 1, null);

    for (const region of [1, 2]) {
      const start = region * count;
      assert.deepEqual([...state.slice(start + FEATURES, start + count)], [0, 0, 0, 0, 0]);
      assert.ok(state.slice(start, start + FEATURES).every((value) => value !== 0));
    }
  });

  test(
    'leave the trained parameters exactly as they are without them, also when gradients are ' +
      'clipped',
    async () => {
      const withMean = await stateAfterOneStep(model, 2, 1e-3);
      const without = await stateAfterOneStep(scriptedModel([WEIGHT], 0), 2, 1e-3);

      assert.deepEqual(withMean.slice(0, FEATURES), without.slice(0, FEATURES));
      assert.deepEqual(
        withMean.slice(count, count + FEATURES),
        without.slice(FEATURES, 2 * FEATURES),
      );
    },
  );

  test('end with the same bits on one lane and on three', async () => {
    assert.deepEqual(
      await stateAfterOneStep(model, 1, 0.1),
      await stateAfterOneStep(model, 3, 0.1),
    );
  });
});

describe('masks', () => {
  /**
   * One sample with features of 1 would show the mask itself; here the gradient is 0 exactly where
   * all are dropped.
   */
  test('are drawn from seed, step and micro-batch alone, as RandomWords gives them', async () => {
    const rate = 0.75;
    const { compute } = await bench(scriptedModel([WEIGHT], rate), 1);
    for (const [step, microBatch] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [6, 2],
    ] as const) {
      const words = new RandomWords(9, 'dropout', step, microBatch);
      const samples = microBatch === 2 ? 2 : MICRO_BATCH;
      const isKept = (i: number): boolean => words.word(i) >= rate * 2 ** 32;

      const sum = await compute([microBatch], step);

      for (let feature = 0; feature < FEATURES; feature++) {
        // A sample whose features are all dropped has its error all the same: only the kept ones
        // pass it back.
        const reaches = Array.from({ length: samples }, (_, row) =>
          isKept(row * FEATURES + feature),
        );
        assert.equal(
          sum[feature] !== 0,
          reaches.includes(true),
          `step ${step}, ${microBatch}, ${feature}`,
        );
      }
    }
  });

  test('are the same when a pass is computed again, and on other lanes', async () => {
    const model = scriptedModel([WEIGHT], 0.5);
    const one = await bench(model, 1);
    const three = await bench(model, 3);

    const first = await one.compute([0, 1, 2], 3);

    assert.deepEqual(await one.compute([0, 1, 2], 3), first);
    assert.deepEqual(await three.compute([2, 0, 1], 3), first);
    assert.notDeepEqual(await one.compute([0, 1, 2], 4), first);
  });
});
