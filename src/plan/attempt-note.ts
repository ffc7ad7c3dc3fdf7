/**
 * What a worker tells the others of its part in an attempt at a step: all that is needed to find by
 * oneself whether the attempt counts, and to report it when its worker is gone. It travels with the
 * sums, as numbers of 32 bits:
 *
 *   micro-batches, 1 if all their numbers are finite (int32)
 *   largest |gradient element| of them, per tensor (float32)
 *   loss sum and correct sum of each (float32), as far as there are any
 */
import type { MicroBatchRecord } from '../protocol/messages.ts';
import { isFiniteRecord } from './gradient-outliers.ts';
import { type GridMaxima, mergeMaxima } from './grid.ts';
import type { RunPlan } from './run-plan.ts';

const UNIT_BYTES = 16;
/** Steps of larger sums are too long to be granted. */
const MAX_GRANTED_BYTES = 64 << 20;
/** So many bytes of notes on an attempt are always worth it, and so many never. */
const SMALL_NOTES_BYTES = 8 << 10;
const MAX_NOTES_BYTES = 64 << 10;
/** Bytes of all notes that a worker can hand to the coordinator. */
export const MAX_TOLD_BYTES: number = 4 << 20;

/** What one worker did in an attempt. */
export interface AttemptNote {
  readonly isFinite: boolean;
  readonly maxima: GridMaxima;
  /** Of its micro-batches, in order. */
  readonly losses: readonly { readonly lossSum: number; readonly correctSum: number }[];
}

/** Bytes of a note on up to `microBatches` micro-batches of a model with `tensors` parameters. */
export function noteBytesOf(tensors: number, microBatches: number): number {
  return Math.ceil((4 * (2 + tensors + 2 * microBatches)) / UNIT_BYTES) * UNIT_BYTES;
}

/**
 * Bytes of what each of `size` workers tells the others of an attempt at a granted step: 0 where
 * steps are too long to be granted, or notes would be large beside the sums.
 */
export function noteBytesIn(
  { sumElements, train, job }: Pick<RunPlan, 'sumElements' | 'train' | 'job'>,
  size: number,
): number {
  const microBatches = Math.ceil(train.globalBatch / train.microBatch);
  const bytes = noteBytesOf(job.parameters.length, microBatches);
  const mostBytes = Math.min(MAX_NOTES_BYTES, Math.max(SMALL_NOTES_BYTES, sumElements / 4));
  return 4 * sumElements <= MAX_GRANTED_BYTES && size * bytes <= mostBytes ? bytes : 0;
}

/** Writes what `records`, in order of micro-batch, come to into `target`, of `noteBytesOf` bytes. */
export function writeNote(
  records: readonly MicroBatchRecord[],
  tensors: number,
  target: Uint8Array,
): void {
  const maxima = records
    .map((record) => record.maxima.map((value) => value ?? 0))
    .reduce(
      mergeMaxima,
      Array.from({ length: tensors }, () => 0),
    );
  const losses = records.map(({ lossSum, correctSum }) => ({ lossSum: lossSum ?? 0, correctSum }));
  putNote({ isFinite: records.every(isFiniteRecord), maxima, losses }, target);
}

/** Writes a note into `target`, of `noteBytesOf` bytes. */
export function putNote({ isFinite, maxima, losses }: AttemptNote, target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  target.fill(0);
  view.setInt32(0, losses.length, true);
  view.setInt32(4, isFinite ? 1 : 0, true);
  for (const [tensor, maximum] of maxima.entries()) view.setFloat32(8 + 4 * tensor, maximum, true);
  for (const [i, { lossSum, correctSum }] of losses.entries()) {
    const offset = 8 + 4 * (maxima.length + 2 * i);
    view.setFloat32(offset, lossSum, true);
    view.setFloat32(offset + 4, correctSum, true);
  }
}

/** Reads a note of a model with `tensors` parameters. */
export function readNote(source: Uint8Array, tensors: number): AttemptNote {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const room = Math.floor((source.byteLength - 8 - 4 * tensors) / 8);
  const count = Math.max(0, Math.min(room, view.getInt32(0, true)));
  const at = (index: number): number => view.getFloat32(8 + 4 * index, true);
  return {
    isFinite: view.getInt32(4, true) === 1,
    maxima: Array.from({ length: tensors }, (_, tensor) => at(tensor)),
    losses: Array.from({ length: count }, (_, i) => ({
      lossSum: at(tensors + 2 * i),
      correctSum: at(tensors + 2 * i + 1),
    })),
  };
}

/** The notes that lie one behind the other in `source`, each of `noteBytes` bytes. */
export function readNotes(source: Uint8Array, noteBytes: number, tensors: number): AttemptNote[] {
  return Array.from({ length: source.length / noteBytes }, (_, i) =>
    readNote(source.subarray(i * noteBytes, (i + 1) * noteBytes), tensors),
  );
}

/**
 * The records of `microBatches`, which a note tells of, each with `samplesOf` samples. None of one
 * whose worker has got a number that is not finite.
 */
export function recordsFrom(
  { isFinite, maxima, losses }: AttemptNote,
  microBatches: readonly number[],
  samplesOf: (microBatch: number) => number,
): MicroBatchRecord[] {
  if (!isFinite || losses.length !== microBatches.length) return [];
  return losses.map(({ lossSum, correctSum }, i) => {
    const microBatch = microBatches[i] ?? 0;
    const sampleCount = samplesOf(microBatch);
    return { microBatch, sampleCount, lossSum, correctSum, maxima: [...maxima], computeMs: 0 };
  });
}
