/** What a contribution may be: how large, and of which samples. */
import { sampleRange } from '../../data/batches.ts';
import { MAX_TOLD_BYTES } from '../../plan/attempt-note.ts';
import type { MicroBatchRecord } from '../../protocol/messages.ts';
import type { FrameLimits } from '../../transport/connection.ts';
import type { PassSpec } from './pass.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { isSummed, mostSumBytes, type Sums } from './sums.ts';

/**
 * The bytes of a record in a contribution's header, about, and of one number in it: more than they
 * ever take.
 */
const RECORD_BYTES = 256;
const NUMBER_BYTES = 32;

/** What a worker of this run may send at once. */
export function dataLimitsOf({
  job,
  train,
  evaluate,
  stateBytes,
  sumElements,
  packsSums = false,
}: RunPlan): FrameLimits {
  const trainRecords = Math.ceil(train.globalBatch / train.microBatch);
  const evaluateRecords =
    evaluate === undefined ? 0 : Math.ceil(evaluate.globalBatch / evaluate.microBatch);
  const trainBytes = trainRecords * (RECORD_BYTES + NUMBER_BYTES * job.parameters.length);
  return {
    maxHeaderBytes: (1 << 16) + Math.max(trainBytes, evaluateRecords * RECORD_BYTES),
    maxPayloadBytes: Math.max(stateBytes, mostSumBytes(sumElements, packsSums), MAX_TOLD_BYTES),
  };
}

/** What a contribution is held against. */
export interface Expected {
  readonly plan: RunPlan;
  readonly spec: PassSpec;
  readonly sums: Pick<Sums, 'byteLength' | 'checksumOf'>;
  /** Whether its records carry checksums. */
  readonly isAudited: boolean;
}

/** Why a contribution to a pass cannot be true, if it cannot. */
export function problemWith(
  records: readonly MicroBatchRecord[],
  sum: Uint8Array,
  { plan, spec, sums, isAudited }: Expected,
): string | undefined {
  const hasSum = isSummed(spec);
  if (sum.length !== (hasSum ? sums.byteLength : 0) || !fitsPlan(plan, spec, records))
    return 'its contribution does not fit the plan';
  if (hasSum && isAudited && !hasChecksum(records, sums.checksumOf(sum)))
    return 'the sum it sent is not that of its gradients: it was damaged on its way';
  return undefined;
}

/**
 * Whether these records can be true: the samples that the layout gives each micro-batch, a maximum
 * per tensor.
 */
function fitsPlan(
  { train, evaluate, job }: RunPlan,
  { work, stepInEpoch }: PassSpec,
  records: readonly MicroBatchRecord[],
): boolean {
  const layout = work === 'train' ? train : evaluate;
  const maximaCount = work === 'train' ? job.parameters.length : undefined;
  return records.every(
    ({ microBatch, sampleCount, maxima }) =>
      layout !== undefined &&
      sampleCount === sampleRange(layout, stepInEpoch, microBatch).count &&
      (maximaCount === undefined || maxima.length === maximaCount),
  );
}

/** Whether the records' checksums add up to that of their sum. */
function hasChecksum(records: readonly MicroBatchRecord[], checksum: number): boolean {
  return records.reduce((sum, record) => (sum + (record.checksum ?? 0)) >>> 0, 0) === checksum;
}
