/** How far the members of a group came with granted steps, as they tell when it is over. */
import { sampleRange } from '../../data/batches.ts';
import { type AttemptNote, noteBytesIn, readNote, recordsFrom } from '../../plan/attempt-note.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { divideInOrder } from '../../plan/shares.ts';
import type { MicroBatchRecord } from '../../protocol/messages.ts';
import type { PassSpec } from '../steps/pass.ts';

/** How far a member came with granted steps. */
export interface Position {
  /** The last pass of which it has the total, and whose numbers are finite. */
  readonly pass: number;
  /**
   * What all members told each other of a pass that the coordinator had not heard of: records of
   * all its micro-batches, each with the largest elements that its worker has seen in any.
   */
  readonly recordsOf: (spec: PassSpec, shares: readonly number[]) => MicroBatchRecord[];
}

/** What a member tells of the passes after `heard`, up to `pass`. */
export interface ToldPasses {
  /** Members of its group. */
  readonly size: number;
  readonly heard: number;
  readonly pass: number;
  /** Of each pass, and in it of each member. */
  readonly notes: Uint8Array;
}

/** The position of a member that tells so much; undefined if it cannot be. */
export function positionOf(
  plan: Pick<RunPlan, 'sumElements' | 'train' | 'job'>,
  { size, heard, pass, notes }: ToldPasses,
): Position | undefined {
  const { train, job } = plan;
  const bytes = noteBytesIn(plan, size);
  if (notes.length !== (pass - heard) * size * bytes) return undefined;
  const told = notes.slice();
  const ranks = Array.from({ length: size }, (_, index) => index);
  const noteOf = (id: number, index: number): AttemptNote => {
    const offset = ((id - heard - 1) * size + index) * bytes;
    return readNote(told.subarray(offset, offset + bytes), job.parameters.length);
  };
  const recordsOf: Position['recordsOf'] = ({ id, stepInEpoch, microBatchCount }, shares) =>
    divideInOrder(shares, microBatchCount).flatMap((part, index) =>
      recordsFrom(noteOf(id, index), part, (m) => sampleRange(train, stepInEpoch, m).count),
    );
  // An attempt that is not finite is the last, and nobody has applied it.
  const isFinite = pass === heard || ranks.every((index) => noteOf(pass, index).isFinite);
  return { pass: isFinite ? pass : pass - 1, recordsOf };
}
