/**
 * How much memory training takes, before it is taken: Linux grants more than there is, and kills a
 * process that uses it.
 */
import { availableMemory } from '../data/available-memory.ts';
import { RuntimeError } from '../base/errors.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import { optimizerRegionsOf, stateBytesOf } from '../state/state-layout.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { OwnStep } from './received-step.ts';

/** Needs below this are never refused: what systems say of free memory is too rough for that. */
const NEGLIGIBLE_BYTES = 2 ** 30;

/**
 * Bytes that a worker of `laneCount` lanes surely uses: on each lane weights, gradients and their
 * sum, and its part of the optimizer's state; between them the state on its way and, with others,
 * sums and totals; `extraRegions` more of the parameters' size are the strategy's. What micro-batches
 * take comes on top.
 */
export function workerBytes(
  job: Job,
  optimizer: OptimizerSpec,
  laneCount: number,
  isAlone: boolean,
  extraRegions = 0,
): number {
  const region = 4 * makeArenaLayout(job.parameters).paddedLength;
  const onLanes = 3 * laneCount + optimizerRegionsOf(optimizer).length;
  const sums = laneCount === 1 ? 0 : laneCount + 1;
  const exchanged = isAlone ? 0 : 2;
  return (
    region * (onLanes + sums + exchanged + extraRegions) + stateBytesOf(job.parameters, optimizer)
  );
}

/**
 * Bytes that the micro-batches of a job surely take on one lane: samples, masks, what the files of
 * the steps hold, and half of what the results of their nodes take, since ONNX Runtime computes
 * some in the place of others.
 */
export function microBatchBytes(
  job: Pick<Job, 'masks' | 'featureCount' | 'targetCount' | 'microBatch' | 'evaluateMicroBatch'>,
  steps: readonly OwnStep[],
): number {
  const { featureCount, targetCount, microBatch, evaluateMicroBatch } = job;
  const samples = (microBatch + evaluateMicroBatch) * (featureCount + targetCount + 1);
  const masks = job.masks.reduce((sum, { shape }) => sum + productOf(shape), 0);
  const ofSteps = steps.map(({ file, valueBytes }) => file.length + valueBytes / 2);
  return 4 * (samples + masks) + ofSteps.reduce((sum, bytes) => sum + bytes, 0);
}

function productOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Bytes that the coordinator surely uses: a snapshot, the state that replaces it, and sums unless
 * one worker is alone.
 */
export function coordinatorBytes(job: Job, optimizer: OptimizerSpec, workerCount: number): number {
  const sums = workerCount === 1 ? 0 : workerCount + 1;
  return (
    2 * stateBytesOf(job.parameters, optimizer) +
    sums * 4 * makeArenaLayout(job.parameters).paddedLength
  );
}

/** Throws RuntimeError when `neededBytes` are more than `availableBytes`; `what` needs them. */
export function checkMemory(
  what: string,
  neededBytes: number,
  availableBytes: number = availableMemory(),
): void {
  if (neededBytes < NEGLIGIBLE_BYTES || neededBytes <= availableBytes) return;
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new RuntimeError(
    `${what} needs at least ${gibibytes(neededBytes)} of memory, and ` +
      `${gibibytes(availableBytes)} are free.` +
      ' Lower --workers, --lanes or --micro-batch, choose a smaller model, or an optimizer that ' +
      'keeps less: --optimizer sgd.',
    { neededBytes, availableBytes },
  );
}
