import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { nearNormals } from './near-normal.ts';

/** Sizes of a synthetic regression set; every default fits a run of seconds. */
export interface SyntheticRegressionOptions {
  /** Randomness of teacher and samples. */
  readonly seed: number;
  /** Training samples. Default 8192. */
  readonly sampleCount?: number;
  /** Test samples, none of them in training. Default 2048. */
  readonly testSampleCount?: number;
  /** Numbers per sample. Default 16. */
  readonly features?: number;
  /** Numbers to predict per sample. Default 1. */
  readonly outputs?: number;
  /** Standard deviation of the noise on the targets; their own is near 1. Default 0.05. */
  readonly noise?: number;
}

const TEACHER_UNITS = 8;

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = {
  inputWeights: 0,
  biases: 1,
  outputWeights: 2,
  trainX: 3,
  trainNoise: 4,
  testX: 5,
  testNoise: 6,
};

/**
 * A learnable regression set: targets are a smooth nonlinear function of the features plus noise.
 *
 *     x ~ near-normal, mean 0, variance 1                                   x [N, D]
 *     y = 2 / sqrt(U) * V softsign(W x / sqrt(D) + b) + noise               W [U, D], b [U], V [O,
 *     U], y [N, O]
 *
 * with a fixed random teacher W, b, V of U = 8 units. Sample i is the same whatever the counts. The
 * bits are the same on every machine: only + - * / and square roots of float64, which IEEE 754
 * rounds exactly; library functions such as exp or sin differ between platforms.
 */
export function makeSyntheticRegression(options: SyntheticRegressionOptions): DatasetSplits {
  const {
    seed,
    sampleCount = 8192,
    testSampleCount = 2048,
    features = 16,
    outputs = 1,
    noise = 0.05,
  } = options;
  const teacher: Teacher = {
    inputWeights: nearNormals(seed, DRAWS.inputWeights, TEACHER_UNITS * features),
    biases: nearNormals(seed, DRAWS.biases, TEACHER_UNITS),
    outputWeights: nearNormals(seed, DRAWS.outputWeights, outputs * TEACHER_UNITS),
  };
  const makeSplit = (count: number, xDraw: number, noiseDraw: number): Dataset => {
    const x = nearNormals(seed, xDraw, count * features);
    const y = nearNormals(seed, noiseDraw, count * outputs);
    for (let i = 0; i < y.length; i++) y[i] = (y[i] as number) * noise;
    addTargets(y, x, teacher, features, outputs);
    return makeDataset({
      name: 'synthetic_regression',
      sampleCount: count,
      features: [features],
      target: { kind: 'regression', outputs },
      x,
      y,
      normalisation: AS_STORED,
    });
  };
  return {
    name: 'synthetic_regression',
    origin: `computed from seed ${seed}`,
    train: makeSplit(sampleCount, DRAWS.trainX, DRAWS.trainNoise),
    test: makeSplit(testSampleCount, DRAWS.testX, DRAWS.testNoise),
  };
}

interface Teacher {
  readonly inputWeights: Float32Array; // [U, D]
  readonly biases: Float32Array; // [U]
  readonly outputWeights: Float32Array; // [O, U]
}

/** Adds the teacher's outputs for `x` [N, features] to `y` [N, outputs]. */
function addTargets(
  y: Float32Array,
  x: Float32Array,
  teacher: Teacher,
  features: number,
  outputs: number,
): void {
  const inputScale = 1 / Math.sqrt(features);
  const outputScale = 2 / Math.sqrt(TEACHER_UNITS);
  const hidden = new Float64Array(TEACHER_UNITS);
  const count = x.length / features;
  for (let sample = 0; sample < count; sample++) {
    for (let unit = 0; unit < TEACHER_UNITS; unit++) {
      const sum = dot(teacher.inputWeights, unit * features, x, sample * features, features);
      const z = sum * inputScale + (teacher.biases[unit] as number);
      hidden[unit] = z / (1 + Math.abs(z));
    }
    for (let output = 0; output < outputs; output++) {
      const at = sample * outputs + output;
      const value = dot(teacher.outputWeights, output * TEACHER_UNITS, hidden, 0, TEACHER_UNITS);
      y[at] = (y[at] as number) + outputScale * value;
    }
  }
}

/** Sums in index order: a float sum depends on it. */
function dot(
  a: Float32Array,
  aStart: number,
  b: Float32Array | Float64Array,
  bStart: number,
  length: number,
): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[aStart + i] as number) * (b[bStart + i] as number);
  return sum;
}
