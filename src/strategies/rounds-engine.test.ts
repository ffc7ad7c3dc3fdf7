import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { unpackSum } from '../collectives/packed-sum.ts';
import { shardCount } from '../data/shards.ts';
import { makeSyntheticRegression } from '../data/sources/synthetic-regression.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { initialParameter } from '../models/initial-parameter.ts';
import { makeModel } from '../models/models.ts';
import { makeStepGraphs } from '../models/step-graphs.ts';
import { makeOptimizerSpec } from '../optim/spec.ts';
import type { Commit, Job, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { LanePool } from '../runtime/lanes/lane-pool.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import { AVERAGING } from './averaging.ts';
import { outerOptimizerOf } from './outer-update.ts';
import { RoundsEngine } from './rounds-engine.ts';

const splits = makeSyntheticRegression({
  seed: 3,
  sampleCount: 100,
  testSampleCount: 20,
  features: 5,
  outputs: 2,
});
const model = makeModel('mlp', splits.train, { hidden: [33, 17], activation: 'tanh' });
const optimizer = makeOptimizerSpec('adam', {});
const graphs = makeStepGraphs(model, 4);
const train = encodeGraph(graphs.train);
const evaluate = encodeGraph(graphs.evaluate);

/** The numbers of every round's update. */
const SCALARS = { ...optimizerScalars(AVERAGING, 1, 1) };

/** Seven steps of 16 samples an epoch: three shards of three, three and one. */
const SHARDS = [0, 1, 2];
const SAMPLES = [2 * 48, 2 * 48, 2 * 4];

function makeJob(changes: Partial<Job> = {}): Job {
  return {
    runId: 'test',
    seed: 1,
    dataset: {},
    dataDigest: '',
    task: 'regression',
    featureCount: 5,
    targetCount: 2,
    microBatch: 4,
    globalBatch: 16,
    evaluateMicroBatch: 4,
    parameters: model.parameters.map(({ name, shape }) => ({
      name,
      shape: [...shape],
      statisticMomentum: null,
    })),
    masks: [],
    optimizer: { ...optimizer },
    clipNorm: null,
    tracksNorms: false,
    isAudited: true,
    trainBytes: train.length,
    evaluateBytes: evaluate.length,
    strategy: { kind: 'rounds', shards: 3, localEpochs: 2, rates: [0.01, 0.005] },
    ...changes,
  };
}

const pools: LanePool[] = [];
after(async () => Promise.all(pools.map(async (pool) => pool.closed(2_000))));

interface Done {
  readonly pass: number;
  readonly records: readonly MicroBatchRecord[];
  readonly sum: Uint8Array;
}

/** An engine with the initial weights, and what it hands out, one at a time. */
async function makeEngine(
  laneCount = 1,
  job = makeJob(),
): Promise<{ engine: RoundsEngine; next: () => Promise<Done>; waiting: Done[] }> {
  const waiting: Done[] = [];
  let wake: () => void = () => {};
  const { engine, pool } = await RoundsEngine.create({
    laneCount,
    device: 'cpu',
    job,
    optimizer,
    files: { train, evaluate },
    train: splits.train,
    evaluate: splits.test,
    handlers: {
      onDone: (pass, records, sum) => {
        waiting.push({ pass, records, sum });
        wake();
      },
      onAttempted: () => {},
      onFailed: (error) => {
        throw error;
      },
    },
  });
  pools.push(pool);
  const weights = model.parameters.flatMap((spec, index) => [...initialParameter(spec, 1, index)]);
  const { outerMomentum, compress } = job.strategy;
  const regions = Number(outerMomentum !== undefined) + Number(compress === 'topk');
  const state = new Float32Array((1 + regions) * weights.length);
  state.set(weights);
  engine.importState(new Uint8Array(state.buffer), () => {});
  const next = async (): Promise<Done> => {
    while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return waiting.shift()!;
  };
  return { engine, next, waiting };
}

function planOf(changes: Partial<Plan> = {}): Plan {
  const exponents = model.parameters.map(() => 16);
  const leases = [...SHARDS];
  return {
    kind: 'plan',
    pass: 1,
    work: 'train',
    step: 0,
    epoch: 0,
    stepInEpoch: 0,
    leases,
    exponents,
    reduction: 'star',
    ...changes,
  };
}

/** Everything of the records that does not tell the time. */
function resultsOf(done: readonly Done[]): object[] {
  return done.flatMap(({ records }) => records.map((record) => ({ ...record, computeMs: 0 })));
}

async function digestOf(engine: RoundsEngine): Promise<string> {
  return new Promise((resolve) => engine.digest((weights) => resolve(weights)));
}

async function stateOf(engine: RoundsEngine): Promise<Uint8Array> {
  return new Promise((resolve) => engine.exportState((bytes) => resolve(bytes.slice())));
}

describe('RoundsEngine', () => {
  test('hands out shard after shard, with the samples of all local epochs', async () => {
    const { engine, next } = await makeEngine();
    assert.equal(
      shardCount({ sampleCount: 100, globalBatch: 16, microBatch: 4, shards: 3, localEpochs: 2 }),
      3,
    );

    engine.begin(planOf());
    const done = [await next(), await next(), await next()];

    assert.deepEqual(
      done.map(({ records }) =>
        records.map(({ microBatch, sampleCount }) => [microBatch, sampleCount]),
      ),
      SHARDS.map((shard) => [[shard, SAMPLES[shard]]]),
    );
    assert.ok(done.every(({ sum }) => sum.some((byte) => byte !== 0)));
    assert.ok(done.flatMap(({ records }) => records).every(({ lossSum }) => lossSum! > 0));
  });

  test('gives the same bits on any number of lanes', async () => {
    const outcomes: Done[][] = [];
    for (const lanes of [1, 2]) {
      const { engine, next } = await makeEngine(lanes);
      engine.begin(planOf());
      outcomes.push([await next(), await next(), await next()]);
    }

    assert.deepEqual(resultsOf(outcomes[1]!), resultsOf(outcomes[0]!));
    assert.deepEqual(
      outcomes[1]!.map(({ sum }) => sum),
      outcomes[0]!.map(({ sum }) => sum),
    );
  });

  test('gives a shard the same bits whatever it did before', async () => {
    const { engine, next } = await makeEngine();
    const { engine: other, next: nextOfOther } = await makeEngine();

    engine.begin(planOf({ leases: [2] }));
    const alone = await next();
    other.begin(planOf({ pass: 1, work: 'evaluate', leases: [0, 1], exponents: [] }));
    await nextOfOther();
    other.begin(planOf({ pass: 2, leases: [0, 1, 2] }));
    const last = [await nextOfOther(), await nextOfOther(), await nextOfOther()][2]!;

    assert.deepEqual(resultsOf([last]), resultsOf([alone]));
    assert.deepEqual(last.sum, alone.sum);
  });

  test('rounds what it has trained to another grid without training again', async () => {
    const { engine, next } = await makeEngine();
    engine.begin(planOf({ leases: [1] }));
    const first = await next();

    const exponents = model.parameters.map(() => 12);
    engine.begin(planOf({ pass: 2, leases: [1], exponents }));
    const second = await next();
    const update = { sampleCount: SAMPLES[1]!, scalars: SCALARS };
    const commit: Commit = { kind: 'commit', pass: 2, step: 0, exponents, update };
    engine.apply(commit, second.sum, () => {});
    engine.begin(planOf({ pass: 3, step: 1, leases: [1] }));
    const third = await next();

    assert.equal(second.records[0]!.computeMs, first.records[0]!.computeMs);
    assert.deepEqual(second.records[0]!.maxima, first.records[0]!.maxima);
    assert.notDeepEqual(second.sum, first.sum);
    assert.ok(
      third.records[0]!.lossSum! < first.records[0]!.lossSum!,
      'training goes on from the average',
    );
  });

  test('updates from its own sum as from the one that came back', async () => {
    const own = await makeEngine();
    const received = await makeEngine();
    const plan = planOf({ leases: [0, 2] });
    const update = { sampleCount: SAMPLES[0]! + SAMPLES[2]!, scalars: SCALARS };
    const commit: Commit = { kind: 'commit', pass: 1, step: 0, exponents: plan.exponents, update };

    own.engine.begin({ ...plan, reduction: 'alone' });
    received.engine.begin(plan);
    const contributions = [await own.next(), await own.next()];
    const sums = [await received.next(), await received.next()].map(
      ({ sum }) => new Int32Array(sum.buffer),
    );
    const total = sums[0]!.map((value, i) => value + sums[1]![i]!);
    own.engine.apply(commit, undefined, () => {});
    received.engine.apply(commit, new Uint8Array(total.buffer), () => {});

    assert.ok(
      contributions.every(({ sum }) => sum.length === 0),
      'nothing travels',
    );
    assert.equal(await digestOf(own.engine), await digestOf(received.engine));
  });

  test('gives back what it has not begun, and nothing of a pass that is void', async () => {
    const { engine, next, waiting } = await makeEngine();
    engine.begin(planOf());
    await new Promise((resolve) => setImmediate(resolve));

    assert.deepEqual(engine.release(5), [1, 2], 'shard 0 is under way');
    engine.begin(planOf({ pass: 2, leases: [2] }));
    engine.extend([1]);
    const done = [await next(), await next()];
    await digestOf(engine);

    assert.deepEqual(
      done.map(({ pass, records }) => [pass, records[0]!.microBatch]),
      [
        [2, 2],
        [2, 1],
      ],
    );
    assert.equal(waiting.length, 0);
  });

  test('shows its weights at once while it trains', async () => {
    const { engine, waiting } = await makeEngine();
    const before = await digestOf(engine);
    engine.begin(planOf());
    await new Promise((resolve) => setImmediate(resolve));

    let shown = '';
    engine.digest((digest) => (shown = digest));

    assert.equal(shown, before);
    assert.equal(waiting.length, 0, 'no shard is done yet');
  });

  test('compares a shard with the bits of who contributed it', async () => {
    const owner = await makeEngine();
    const judge = await makeEngine();
    owner.engine.begin(planOf({ leases: [0, 1] }));
    judge.engine.begin(planOf({ leases: [2] }));
    const contributed = [await owner.next(), await owner.next()];

    const records = await new Promise<readonly MicroBatchRecord[]>((resolve) =>
      judge.engine.audit([0, 1], resolve),
    );

    assert.deepEqual(
      resultsOf([{ pass: 1, records, sum: new Uint8Array() }]),
      resultsOf(contributed),
    );
    assert.ok(records.every(({ checksum }) => checksum !== undefined));
  });

  test('tells that a shard diverged', async () => {
    const job = makeJob({ strategy: { kind: 'rounds', shards: 3, localEpochs: 2, rates: [1e38] } });
    const { engine, next } = await makeEngine(1, job);

    engine.begin(planOf({ leases: [0] }));
    const { records } = await next();

    assert.deepEqual(
      records.map(({ lossSum, sampleCount }) => [lossSum, sampleCount]),
      [[null, SAMPLES[0]]],
    );
  });

  test('sends changes that were rounded to int8 packed, and takes totals so', async () => {
    const strategy = {
      ...{ kind: 'local-sgd', shards: 3, localEpochs: 1, roundsPerEpoch: 1, rates: [0.01] },
      ...{ outerMomentum: 0.9, compress: 'int8' },
    };
    const { engine, next } = await makeEngine(1, makeJob({ strategy }));
    const elements = makeArenaLayout(model.parameters).paddedLength;
    const scalars = { ...optimizerScalars(outerOptimizerOf({ outerMomentum: 0.9 }), 1, 0.7) };

    engine.begin(planOf({ leases: [0] }));
    const { sum, records } = await next();
    const before = await digestOf(engine);
    const update = { sampleCount: records[0]!.sampleCount, scalars };
    const exponents = model.parameters.map(() => 16);
    engine.apply({ kind: 'commit', pass: 1, step: 0, exponents, update }, sum, () => {});

    const total = new Int32Array(elements);
    assert.ok(unpackSum(sum, new Uint8Array(total.buffer)));
    assert.ok(sum.length < 1.5 * elements, `${sum.length} bytes for ${elements} elements`);
    assert.ok(total.some((value) => value !== 0));
    assert.notEqual(await digestOf(engine), before, 'they are applied');
  });

  test('sends the largest changes, as a quarter of a byte per element, by what all have', async () => {
    const strategy = {
      ...{ kind: 'local-sgd', shards: 3, localEpochs: 1, roundsPerEpoch: 1, rates: [0.01] },
      ...{ compress: 'topk', topKPart: 0.1 },
    };
    const twins = [
      await makeEngine(1, makeJob({ strategy })),
      await makeEngine(2, makeJob({ strategy })),
    ];
    const elements = makeArenaLayout(model.parameters).paddedLength;
    const exponents = model.parameters.map(() => 16);

    const sums: Uint8Array[][] = [];
    for (const [round, shard] of [0, 1, 0].entries()) {
      // Of one shard after the other, each by the engine that had the other one before.
      const [trainer, other] = round % 2 === 0 ? twins : [...twins].reverse();
      trainer!.engine.begin(planOf({ pass: round, step: round, leases: [shard], exponents }));
      const { sum, records } = await trainer!.next();
      other!.engine.begin(planOf({ pass: round, step: round, leases: [shard], exponents }));
      sums.push([sum, (await other!.next()).sum]);
      const update = { sampleCount: records[0]!.sampleCount, scalars: SCALARS };
      for (const { engine } of twins)
        engine.apply(
          { kind: 'commit', pass: round, step: round, exponents, update },
          sum,
          () => {},
        );
    }

    for (const [mine, theirs] of sums) assert.deepEqual(mine, theirs);
    assert.ok(
      sums.every(([sum]) => sum!.length < 0.25 * elements),
      `${sums[0]![0]!.length} bytes`,
    );
    const [first, second] = await Promise.all(twins.map(async ({ engine }) => stateOf(engine)));
    assert.deepEqual(first, second);
    const { length } = makeArenaLayout(model.parameters);
    const estimate = new Float32Array(first!.buffer).subarray(length);
    assert.equal(estimate.length, length, 'weights and estimate');
    const told = estimate.filter((value) => value !== 0).length;
    assert.ok(told > 0.1 * length && told < 0.35 * length, `${told} of ${length}`);
  });
});
