/** From a configuration and its data to the plan of a run: model, compiled steps, schedule, initial state. */
import { ConfigError } from '../base/errors.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { RunPlan } from '../coordinator/run-plan.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { featureCountOf, targetCountOf } from '../data/dataset.ts';
import { encodeGraph } from '../graph/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { initialParameter } from '../models/initial-parameter.ts';
import type { Model } from '../models/model.ts';
import { makeModel } from '../models/models.ts';
import { makeStepGraphs } from '../models/step-graphs.ts';
import { learningRateAt, type ScheduleSpec } from '../optim/schedule.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import { makeOptimizerSpec, OPTIMIZERS, type OptimizerSpec } from '../optim/spec.ts';
import type { DatasetSpec, RunData } from './data-source.ts';

/** A plan with what else the coordinator's side needs of the model. */
export interface PlannedRun {
  readonly plan: RunPlan;
  readonly model: Model;
  readonly optimizer: OptimizerSpec;
  /** The compiled training step, an ONNX file. */
  readonly stepModel: Uint8Array;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
}

/** Micro-batches of an evaluation are larger than those of training: nothing is kept for gradients. */
const EVALUATE_MICRO_BATCH = 256;
const GATHER_MS = 15_000;
const SNAPSHOT_MS = 10_000;

/** The data set that a configuration asks for. */
export function datasetSpecOf(config: TrainConfig): DatasetSpec {
  return { name: config.dataset, seed: config.seed, validationFraction: config.validationSplit };
}

/**
 * Decides everything about a run.
 * Throws: ConfigError or ShapeError when model and data do not fit.
 */
export function makeRunPlan(
  config: TrainConfig,
  data: RunData,
  runId: string,
  minWorkers: number,
): PlannedRun {
  const { train, evaluate } = data;
  const model = makeModel(config.model, train, { hidden: config.hidden, activation: config.activation });
  checkBatches(config, train.sampleCount);
  const optimizer = optimizerOf(config);
  const perEpoch = stepsPerEpoch(train.sampleCount, config.globalBatch);
  const totalSteps = config.steps ?? config.epochs * perEpoch;
  const evaluateMicroBatch = Math.max(
    config.microBatch,
    Math.min(EVALUATE_MICRO_BATCH, evaluate.sampleCount),
  );
  const stepModel = encodeGraph(makeStepGraphs(model, config.microBatch).train);
  const evaluateModel = encodeGraph(makeStepGraphs(model, evaluateMicroBatch).evaluate);
  const schedule = scheduleOf(config);
  const evaluateBatch = Math.ceil(evaluate.sampleCount / evaluateMicroBatch) * evaluateMicroBatch;
  const evalEvery = config.evalEvery === 'epoch' ? perEpoch : config.evalEvery;
  const rateOf = (step: number): number => learningRateAt(schedule, step + 1, totalSteps);
  const plan: RunPlan = {
    job: {
      runId,
      seed: config.seed,
      dataset: { ...datasetSpecOf(config) },
      dataDigest: data.digest,
      task: train.target.kind,
      featureCount: featureCountOf(train),
      targetCount: targetCountOf(train),
      microBatch: config.microBatch,
      globalBatch: config.globalBatch,
      evaluateMicroBatch,
      parameters: model.parameters.map(({ name, shape }) => ({ name, shape: [...shape] })),
      optimizer: { ...optimizer },
      clipNorm: config.clipNorm ?? null,
      tracksNorms: config.trackGradients,
      trainBytes: stepModel.length,
      evaluateBytes: evaluateModel.length,
    },
    jobFiles: Buffer.concat([stepModel, evaluateModel]),
    initialState: initialState(model, optimizer, config.seed),
    sumElements: makeArenaLayout(model.parameters).paddedLength,
    totalSteps,
    train: { sampleCount: train.sampleCount, globalBatch: config.globalBatch, microBatch: config.microBatch },
    evaluate: {
      sampleCount: evaluate.sampleCount,
      globalBatch: evaluateBatch,
      microBatch: evaluateMicroBatch,
      split: data.evaluateSplit,
    },
    evaluatesAfter: (step) => step > 0 && (step % evalEvery === 0 || step === totalSteps),
    scalarsOf: (step) => ({ ...optimizerScalars(optimizer, step + 1, rateOf(step)) }),
    learningRateOf: rateOf,
    minWorkers,
    gatherMs: GATHER_MS,
    snapshotMs: SNAPSHOT_MS,
  };
  return {
    plan,
    model,
    optimizer,
    stepModel,
    stepsPerEpoch: perEpoch,
    epochs: Math.ceil(totalSteps / perEpoch),
  };
}

function checkBatches(config: TrainConfig, sampleCount: number): void {
  if (config.microBatch <= sampleCount) return;
  const issue = {
    path: 'micro_batch',
    expected: `at most the ${sampleCount} training samples`,
    got: String(config.microBatch),
  };
  throw new ConfigError(`micro_batch: expected ${issue.expected}, got ${issue.got}`, [issue]);
}

function optimizerOf(config: TrainConfig): OptimizerSpec {
  const { momentum, beta1, beta2, epsilon, weightDecay } = config;
  const wanted: Readonly<Record<string, number>> = { momentum, beta1, beta2, epsilon, weightDecay };
  const known = Object.keys(OPTIMIZERS[config.optimizer].defaults);
  return makeOptimizerSpec(
    config.optimizer,
    Object.fromEntries(Object.entries(wanted).filter(([key]) => known.includes(key))),
  );
}

function scheduleOf(config: TrainConfig): ScheduleSpec {
  const base = { learningRate: config.lr, warmupSteps: config.warmupSteps };
  switch (config.schedule) {
    case 'constant':
      return { kind: 'constant', ...base };
    case 'cosine':
      return { kind: 'cosine', ...base, minimum: config.minLr };
    case 'step':
      return { kind: 'step', ...base, gamma: config.gamma, everySteps: config.stepSize };
    default:
      return config.schedule satisfies never;
  }
}

/** Parameters from the seed, optimizer regions zero; unpadded float32 in canonical order. */
function initialState(model: Model, optimizer: OptimizerSpec, seed: number): Uint8Array {
  const values = model.parameters.map((spec, index) => initialParameter(spec, seed, index));
  const length = values.reduce((sum, { length: count }) => sum + count, 0);
  const state = new Float32Array(length * (1 + OPTIMIZERS[optimizer.kind].stateNames.length));
  let offset = 0;
  for (const value of values) {
    state.set(value, offset);
    offset += value.length;
  }
  return new Uint8Array(state.buffer);
}
