/**
 * The workloads of the validation suite as training configurations, with the models, data and step
 * sizes of MiniCluster.
 */
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import type { TrainConfig } from '../../config/train-config.ts';

/** Workloads of `lockstep run`. */
export const WORKLOAD_NAMES = ['mlp', 'transformer', 'embedding'] as const;
/** One of them. */
export type WorkloadName = (typeof WORKLOAD_NAMES)[number];

/** Training samples of every workload; a step can hold no more. */
export const WORKLOAD_SAMPLES = 1000;

/** What of a workload can be chosen. */
export interface WorkloadOptions {
  readonly workload: WorkloadName;
  readonly workers: number;
  /** Compute threads of each worker. */
  readonly lanes: number;
  readonly steps: number;
  /** Samples of a step over all workers together. */
  readonly batchSize: number;
  readonly learningRate: number;
  /** Units of each of the `numLayers - 1` hidden layers of the mlp. */
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly seed: number;
}

/** The original's defaults. */
export const DEFAULT_WORKLOAD: WorkloadOptions = {
  workload: 'mlp',
  workers: 2,
  lanes: 1,
  steps: 100,
  batchSize: 32,
  learningRate: 0.01,
  hiddenSize: 128,
  numLayers: 2,
  seed: 42,
};

/** Data set, and size of one sample and of its target. */
export const WORKLOAD_DATA: {
  readonly [Name in WorkloadName]: {
    readonly dataset: string;
    readonly inputSize: number;
    readonly outputSize: number;
  };
} = {
  mlp: { dataset: 'linear_regression', inputSize: 10, outputSize: 1 },
  transformer: { dataset: 'number_sequences', inputSize: 256, outputSize: 1 },
  embedding: { dataset: 'token_bags', inputSize: 16, outputSize: 1 },
};

/** A step is cut into at least so many micro-batches, as far as it has samples. */
const MICRO_BATCHES = 8;

/**
 * Samples of a micro-batch: the largest divisor of the batch that makes eight micro-batches of it.
 *
 * A function of the batch alone, since the bits of a run depend on it: so runs on one and on many
 * workers are comparable. Eight, so that eight workers have work and three have nearly equal
 * shares; more would cost single samples their efficiency.
 */
export function microBatchOf(batchSize: number): number {
  let size = Math.max(1, Math.floor(batchSize / MICRO_BATCHES));
  while (batchSize % size !== 0) size--;
  return size;
}

/** Gives the configuration of a workload; `more` are further settings. Throws: ConfigError. */
export function workloadConfig(
  options: WorkloadOptions,
  more: Readonly<Record<string, unknown>> = {},
): TrainConfig {
  const { workload, workers, lanes, steps, batchSize, learningRate, hiddenSize, numLayers, seed } =
    options;
  const hidden = Array.from({ length: numLayers - 1 }, () => hiddenSize);
  return parseTrainConfig([], {
    model: workload,
    ...(workload === 'mlp' && { hidden }),
    dataset: WORKLOAD_DATA[workload].dataset,
    samples: WORKLOAD_SAMPLES,
    workers,
    lanes,
    steps,
    globalBatch: batchSize,
    microBatch: microBatchOf(batchSize),
    optimizer: 'adam',
    lr: learningRate,
    seed,
    // What the suite throttles, disturbs and times are the links to the coordinator.
    collective: 'star',
    // Evaluation is no part of the suite's measurements: once, after the last step. Nor is what is
    // written down.
    evalEvery: steps,
    checkpointEvery: 'never',
    ...more,
  }).config;
}
