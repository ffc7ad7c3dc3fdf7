/** Lanes of ONNX Runtime on a small model, and what a coordinator would tell them. */
import { makeSyntheticRegression } from '../src/data/sources/synthetic-regression.ts';
import { encodeGraph } from '../src/graph/file/encode.ts';
import { initialParameter } from '../src/models/initial-parameter.ts';
import { makeModel } from '../src/models/models.ts';
import { makeStepGraphs } from '../src/models/step-graphs.ts';
import { optimizerScalars } from '../src/optim/scalars.ts';
import { makeOptimizerSpec, OPTIMIZERS } from '../src/optim/spec.ts';
import { gridExponents } from '../src/plan/grid.ts';
import type { Commit, Grant, Job, MicroBatchRecord, Plan } from '../src/protocol/messages.ts';
import type { Engine, EngineHandlers } from '../src/runtime/engine.ts';
import { LanePool, type LanePoolOptions } from '../src/runtime/lanes/lane-pool.ts';

const MICRO_BATCH = 8;
/** Of a step. */
export const MICRO_BATCHES = 6;
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
/** The compiled steps. */
export const train = encodeGraph(graphs.train);
/** The compiled evaluation. */
export const evaluate = encodeGraph(graphs.evaluate);

/** A job of the model. */
export function makeJob(changes: Partial<Job> = {}): Job {
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

/** The state before the first step. */
export function initialState(): Uint8Array {
  const weights = model.parameters.flatMap((spec, index) => [...initialParameter(spec, 1, index)]);
  const state = new Float32Array(
    weights.length * (1 + OPTIMIZERS[optimizer.kind].stateNames.length),
  );
  state.set(weights);
  return new Uint8Array(state.buffer);
}

const pools: LanePool[] = [];

/** Ends all pools that were made, to be awaited after the tests. */
export async function closePools(): Promise<void> {
  await Promise.all(pools.map(async (pool) => pool.closed(2_000)));
}

/** A pool whose contributions are awaited one at a time. */
export async function makePool(
  laneCount: number,
  job: Job,
  files = { train, evaluate },
  onAttempted: EngineHandlers['onAttempted'] = () => {},
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
      onAttempted,
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

/** What a pool tells of a pass. */
export interface Done {
  readonly pass: number;
  readonly records: readonly MicroBatchRecord[];
  readonly sum: Uint8Array;
}

/** A pass of a coordinator. */
export function planOf(
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

/** The commit that `plan` leads to. */
export function commitOf(plan: Plan): Commit {
  const scalars = { ...optimizerScalars(optimizer, plan.step + 1, 0.01) };
  return {
    kind: 'commit',
    pass: plan.pass,
    step: plan.step,
    exponents: plan.exponents,
    update: { sampleCount: 48, scalars },
  };
}

/** The digest of an engine's state once it has done all that it was told. */
export async function digestOf(engine: Engine): Promise<string> {
  return new Promise((resolve) => engine.digest((_weights, state) => resolve(state)));
}

/** Five steps in two grants, on a grid that is too narrow at first. */
export function grantsOf(maximum: number): readonly Grant[] {
  const updateOf = (step: number): Commit['update'] => commitOf(planOf(step, step, [])).update;
  const maxima = model.parameters.map(() => maximum);
  const start = { pass: 3, maxima, stepsPerEpoch: 2 };
  return [
    { kind: 'grant', step: 0, updates: [0, 1, 2].map(updateOf), start },
    { kind: 'grant', step: 3, updates: [3, 4].map(updateOf) },
  ];
}
