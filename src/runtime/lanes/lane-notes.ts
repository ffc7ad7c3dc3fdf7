/** What the lanes of a worker tell each other of an attempt at a granted step. */
import { type AttemptNote, noteBytesOf, readNotes, writeNote } from '../../plan/attempt-note.ts';
import { mergeMaxima } from '../../plan/grid.ts';
import type { MicroBatchRecord } from '../../protocol/messages.ts';
import type { LaneStart } from './lane-job.ts';

/** One lane's hands on the notes of all. */
export class LaneNotes {
  readonly #start: LaneStart;
  readonly #noteBytes: number;

  constructor(start: LaneStart) {
    this.#start = start;
    this.#noteBytes = noteBytesOf(start.job.parameters.length, start.microBatchCapacity);
  }

  /** Puts down what this lane did. */
  put(records: readonly MicroBatchRecord[]): void {
    const { lane, notes, losses, job } = this.#start;
    const offset = lane * this.#noteBytes;
    const target = notes.subarray(offset, offset + this.#noteBytes);
    writeNote(records, job.parameters.length, target);
    for (const { microBatch, lossSum, correctSum } of records)
      losses.set([lossSum ?? 0, correctSum], 2 * microBatch);
  }

  /** What all lanes did of `microBatches`, in this order, once all have put it down. */
  read(microBatches: readonly number[]): AttemptNote {
    const { notes, losses, job } = this.#start;
    const all = readNotes(notes, this.#noteBytes, job.parameters.length);
    const count = all.reduce((sum, note) => sum + note.losses.length, 0);
    return {
      isFinite: all.every(({ isFinite }) => isFinite),
      maxima: all.map(({ maxima }) => maxima).reduce(mergeMaxima),
      losses: microBatches
        .slice(0, count)
        .map((microBatch) => ({
          lossSum: losses[2 * microBatch] ?? 0,
          correctSum: losses[2 * microBatch + 1] ?? 0,
        })),
    };
  }
}
