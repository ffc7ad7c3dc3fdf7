/**
 * How much memory training takes, before it is taken: Linux grants more than there is, and kills a
 * process that uses it.
 */
import { RuntimeError } from '../base/errors.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import { layoutOf, packedStateBytes, stateNamesOf } from './lane-job.ts';

/** Needs below this are never refused: what systems say of free memory is too rough for that. */
const NEGLIGIBLE_BYTES = 2 ** 30;

/**
 * Bytes that a worker of `laneCount` lanes surely uses: on each lane weights, gradients and their
 * sum, and its part of the optimizer's state; between them the state on its way and, with others,
 * sums and totals. What micro-batches take comes on top.
 */
export function workerBytes(
  job: Job,
  optimizer: OptimizerSpec,
  laneCount: number,
  isAlone: boolean,
): number {
  const region = 4 * layoutOf(job).paddedLength;
  const onLanes = 3 * laneCount + stateNamesOf(optimizer).length;
  const sums = laneCount === 1 ? 0 : laneCount + 1;
  const exchanged = isAlone ? 0 : 2;
  // The weights of the run, what a shard changed, its rounded sum on its way.
  const ofRounds = job.rounds === undefined ? 0 : 4;
  return region * (onLanes + sums + exchanged + ofRounds) + packedStateBytes(job, optimizer);
}

/**
 * Bytes that the coordinator surely uses: a snapshot, the state that replaces it, and sums unless
 * one worker is alone.
 */
export function coordinatorBytes(job: Job, optimizer: OptimizerSpec, workerCount: number): number {
  const sums = workerCount === 1 ? 0 : workerCount + 1;
  return 2 * packedStateBytes(job, optimizer) + sums * 4 * layoutOf(job).paddedLength;
}

/** Throws RuntimeError when `neededBytes` are more than `availableBytes`; `what` needs them. */
export function checkMemory(
  what: string,
  neededBytes: number,
  availableBytes: number = process.availableMemory(),
): void {
  if (neededBytes < NEGLIGIBLE_BYTES || neededBytes <= availableBytes) return;
  const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new RuntimeError(
    `${what} needs at least ${gibibytes(neededBytes)} of memory, and ` +
      `${gibibytes(availableBytes)} are free.` +
      ' Lower --workers or --lanes, choose a smaller model, or an optimizer that keeps less: ' +
      '--optimizer sgd.',
    { neededBytes, availableBytes },
  );
}
