import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { makeSyntheticRegression } from '../../data/sources/synthetic-regression.ts';
import { encodeGraph } from '../../graph/file/encode.ts';
import { initialParameter } from '../../models/initial-parameter.ts';
import { makeModel } from '../../models/models.ts';
import { makeStepGraphs } from '../../models/step-graphs.ts';
import { optimizerScalars } from '../../optim/scalars.ts';
import { makeOptimizerSpec, OPTIMIZERS } from '../../optim/spec.ts';
import { gridExponents } from '../../plan/grid.ts';
import type { Commit, Job, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import type { Engine } from '../engine.ts';
import { StarReducer } from '../../collectives/star.ts';
import { LanePool, type LanePoolOptions } from './lane-pool.ts';

const MICRO_BATCH = 8;
const MICRO_BATCHES = 6;
const splits = makeSyntheticRegression({
  seed: 3,
  sampleCount: 100,
  testSampleCount: 20,
  features: 5,
  outputs: 2,
});
const model = makeModel('mlp', splits.train, { hidden: [33, 17], activation: 'tanh' });
const optimizer = makeOptimizerSpec('adam', {});
const graphs = makeStepGraphs(model, MICRO_BATCH);
const train = encodeGraph(graphs.train);
const evaluate = encodeGraph(graphs.evaluate);

function makeJob(changes: Partial<Job> = {}): Job {
  return {
    runId: 'test',
    seed: 1,
    dataset: {},
    dataDigest: '',
    task: 'regression',
    featureCount: 5,
    targetCount: 2,
    microBatch: MICRO_BATCH,
    globalBatch: MICRO_BATCH * MICRO_BATCHES,
    evaluateMicroBatch: MICRO_BATCH,
    parameters: model.parameters.map(({ name, shape }) => ({
      name,
      shape: [...shape],
      statisticMomentum: null,
    })),
    masks: [],
    optimizer: { ...optimizer },
    clipNorm: null,
    tracksNorms: false,
    isAudited: false,
    strategy: { kind: 'sync' },
    trainBytes: train.length,
    evaluateBytes: evaluate.length,
    ...changes,
  };
}

function initialState(): Uint8Array {
  const weights = model.parameters.flatMap((spec, index) => [...initialParameter(spec, 1, index)]);
  const state = new Float32Array(
    weights.length * (1 + OPTIMIZERS[optimizer.kind].stateNames.length),
  );
  state.set(weights);
  return new Uint8Array(state.buffer);
}

const pools: LanePool[] = [];
after(async () => Promise.all(pools.map(async (pool) => pool.closed(2_000))));

/** A pool whose contributions are awaited one at a time. */
async function makePool(
  laneCount: number,
  job: Job,
  files = { train, evaluate },
): Promise<{ pool: LanePool; done: () => Promise<Done> }> {
  let resolve: (done: Done) => void = () => {};
  const queue: Done[] = [];
  const options: LanePoolOptions = {
    laneCount,
    device: 'cpu',
    job,
    optimizer,
    files,
    train: splits.train,
    evaluate: splits.test,
    handlers: {
      onDone: (pass, records, sum) => {
        queue.push({ pass, records, sum: sum.slice() });
        resolve(queue[0]!);
      },
      onFailed: (error) => {
        throw error;
      },
    },
  };
  const { pool } = await LanePool.create(options);
  pools.push(pool);
  const done = async (): Promise<Done> => {
    if (queue.length === 0) await new Promise<Done>((r) => (resolve = r));
    return queue.shift()!;
  };
  return { pool, done };
}

interface Done {
  readonly pass: number;
  readonly records: readonly MicroBatchRecord[];
  readonly sum: Uint8Array;
}

function planOf(
  pass: number,
  step: number,
  leases: number[],
  reduction: Plan['reduction'] = 'star',
): Plan {
  const exponents = gridExponents(
    model.parameters.map(() => 4),
    MICRO_BATCHES,
  );
  return {
    kind: 'plan',
    pass,
    work: 'train',
    step,
    epoch: 0,
    stepInEpoch: step % 2,
    leases,
    exponents,
    reduction,
  };
}

function commitOf(plan: Plan): Commit {
  const scalars = { ...optimizerScalars(optimizer, plan.step + 1, 0.01) };
  return {
    kind: 'commit',
    pass: plan.pass,
    step: plan.step,
    exponents: plan.exponents,
    update: { sampleCount: 48, scalars },
  };
}

async function digestOf(engine: Engine): Promise<string> {
  return new Promise((resolve) => engine.digest((_weights, state) => resolve(state)));
}

async function trainSteps(
  laneCount: number,
  job: Job,
  reduction: Plan['reduction'],
): Promise<{ digest: string; norms: number[][] }> {
  const { pool, done } = await makePool(laneCount, job);
  pool.importState(initialState(), () => {});
  const norms: number[][] = [];
  for (let step = 0; step < 4; step++) {
    const plan = planOf(step, step, [0, 1, 2, 3, 4, 5], reduction);
    pool.begin(plan);
    const { sum } = await done();
    pool.apply(commitOf(plan), reduction === 'star' ? sum : undefined, (given) =>
      norms.push([...given]),
    );
  }
  return { digest: await digestOf(pool), norms };
}

describe('LanePool', () => {
  for (const laneCount of [1, 2]) {
    test(
      'computes audited micro-batches again to the same records without changing a sum, with ' +
        `${laneCount} lanes`,
      async () => {
        const { pool, done } = await makePool(laneCount, makeJob({ isAudited: true }));
        pool.importState(initialState(), () => {});
        const plan = planOf(0, 0, [0, 1, 2, 3, 4, 5]);
        pool.begin(plan);
        const whole = await done();
        const audit = new Promise<readonly MicroBatchRecord[]>((resolve) =>
          pool.audit([4, 1], resolve),
        );
        const audited = await audit;
        const withoutTime = (record: MicroBatchRecord): object => ({ ...record, computeMs: 0 });
        const sorted = (records: readonly MicroBatchRecord[]): object[] =>
          records.toSorted((a, b) => a.microBatch - b.microBatch).map(withoutTime);

        assert.deepEqual(
          sorted(audited),
          sorted(whole.records.filter(({ microBatch }) => [1, 4].includes(microBatch))),
        );
        const reducer = new StarReducer(whole.sum.length / 4);
        const total = whole.records.reduce((sum, { checksum = 0 }) => (sum + checksum) >>> 0, 0);
        assert.equal(reducer.checksumOf(whole.sum), total);
        pool.apply(commitOf(plan), undefined, () => {});
        const digest = await digestOf(pool);
        const plain = await makePool(1, makeJob());
        plain.pool.importState(initialState(), () => {});
        plain.pool.begin(plan);
        await plain.done();
        plain.pool.apply(commitOf(plan), undefined, () => {});
        assert.equal(digest, await digestOf(plain.pool));
      },
    );
  }

  test('computes what is leased during an audit once the last sum is not needed', async () => {
    const { pool, done } = await makePool(1, makeJob({ isAudited: true }));
    pool.importState(initialState(), () => {});
    pool.begin(planOf(0, 0, [0, 1]));
    await done();
    let audited = 0;
    pool.audit([0, 1, 0, 1], (records) => (audited = records.length));
    pool.extend([2, 3]);
    const { records } = await done();

    assert.equal(audited, 4);
    assert.deepEqual(
      records.map(({ microBatch }) => microBatch),
      [2, 3],
    );
  });

  test('ends with the same state whatever the number of lanes and the way of totals', async () => {
    const job = makeJob({ clipNorm: 0.5, tracksNorms: true });
    const reference = await trainSteps(1, job, 'alone');

    for (const [lanes, reduction] of [
      [1, 'star'],
      [2, 'alone'],
      [2, 'star'],
      [4, 'star'],
    ] as const) {
      assert.deepEqual(
        await trainSteps(lanes, job, reduction),
        reference,
        `${lanes} lanes, ${reduction}`,
      );
    }
    assert.equal(reference.norms.length, 4);
    assert.ok(reference.norms.every((perTensor) => perTensor.every((norm) => norm > 0)));
  });

  test('gives sums of parts that add up to the sum of the whole', async () => {
    const { pool, done } = await makePool(2, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin(planOf(1, 0, [0, 1, 2, 3, 4, 5]));
    const whole = new Int32Array((await done()).sum.buffer);

    pool.begin(planOf(2, 0, [5, 0]));
    const first = new Int32Array((await done()).sum.buffer);
    pool.extend([1, 2, 3, 4]);
    const rest = new Int32Array((await done()).sum.buffer);

    assert.deepEqual(
      [...first].map((value, i) => value + rest[i]!),
      [...whole],
    );
  });

  test('gives back leases that no lane has started, and never computes them', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    await digestOf(pool);
    pool.begin(planOf(1, 0, [0, 1, 2, 3, 4, 5]));

    const released = pool.release(5);
    const computed = (await done()).records.map((record) => record.microBatch);

    assert.deepEqual(
      [...released, ...computed].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5],
    );
  });

  test('says nothing of a pass that another has voided', async () => {
    const { pool, done } = await makePool(2, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin(planOf(1, 0, [0, 1, 2, 3]));
    pool.begin(planOf(2, 0, [4]));

    const { pass, records } = await done();

    assert.equal(pass, 2);
    assert.deepEqual(
      records.map((record) => record.microBatch),
      [4],
    );
  });

  test('computes what is leased of a pass while lanes are at the one before', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    await digestOf(pool);
    pool.begin(planOf(1, 0, [0, 1, 2, 3]));
    pool.begin(planOf(2, 0, [4]));
    pool.extend([0, 5, 1]);
    const released = pool.release(1);

    const { pass, records } = await done();

    assert.deepEqual([pass, released], [2, [1]]);
    assert.deepEqual(
      records.map((record) => record.microBatch),
      [0, 4, 5],
    );
  });

  test('lends its memory for totals to nobody while any update in the queue needs it', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    const plan = planOf(1, 0, [0, 1, 2, 3, 4, 5]);
    pool.begin(plan);
    const { sum } = await done();

    const lent: boolean[] = [];
    const applied = new Promise<void>((resolve) => {
      for (const step of [0, 1, 2]) {
        pool.apply(commitOf({ ...plan, step }), sum, () => {
          lent.push(pool.totalsTarget() !== undefined);
          if (step === 2) resolve();
        });
      }
    });
    await applied;

    assert.deepEqual(lent, [false, false, true]);
  });

  test('hands over its state bit for bit', async () => {
    const { pool } = await makePool(3, makeJob());
    const state = initialState().map((byte, i) => (i % 4 === 3 ? byte : (byte + i) % 251));
    pool.importState(state, () => {});

    const exported = await new Promise<Uint8Array>((resolve) => pool.exportState(resolve));

    assert.deepEqual(Buffer.from(exported), Buffer.from(state));
  });

  test('weighs the samples of a partly filled micro-batch as they are', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin({ ...planOf(1, 0, [0]), stepInEpoch: 2 });

    const { records } = await done();

    assert.equal(records[0]!.sampleCount, 4); // 100 samples: two steps of 48, and 4 left
  });

  test('refuses a graph that ONNX Runtime refuses, and leaves no thread behind', async () => {
    const broken = train.slice(0, 200) as typeof train;

    await assert.rejects(
      makePool(2, makeJob(), { train: broken, evaluate }),
      /training graph: ONNX Runtime refused it/,
    );
  });
});
