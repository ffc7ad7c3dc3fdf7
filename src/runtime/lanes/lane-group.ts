/**
 * The memory in which the workers of a group add up, as a lane sees it. The first lane of each
 * worker adds up there; what comes of it, all lanes read.
 */
import { invariant } from '../../base/errors.ts';
import { SharedSum } from '../../collectives/shm/shared-sum.ts';
import { type AttemptNote, putNote } from '../../plan/attempt-note.ts';
import type { GroupSeat } from '../engine.ts';
import type { LaneControl } from './lane-control.ts';

/** One lane's hands on the sums of its group. */
export class LaneGroup {
  readonly #seat: GroupSeat;
  readonly #control: LaneControl;
  readonly #era: number;
  readonly #sum: SharedSum;
  /** The note of this worker among places of zeros, to which the others add theirs. */
  readonly #ownNotes: Uint8Array;
  #metMs = 0;

  /** It adds up as long as `era` lasts. */
  constructor(seat: GroupSeat, control: LaneControl, era: number) {
    const { common, sumBytes, noteBytes } = seat;
    const notesBytes = common.size * noteBytes;
    invariant(common.byteLength === sumBytes + notesBytes, 'notes lie behind the sum');
    this.#seat = seat;
    this.#control = control;
    this.#era = era;
    this.#sum = new SharedSum(common, common.memory);
    this.#ownNotes = new Uint8Array(notesBytes);
  }

  /** [padded length] int32: the last total. */
  get total(): Int32Array {
    const { buffer, byteOffset } = this.#sum.total;
    return new Int32Array(buffer, byteOffset, this.#seat.sumBytes / 4);
  }

  /** What all workers have told of the last total. */
  get notes(): Uint8Array {
    return this.#sum.total.slice(this.#seat.sumBytes);
  }

  /** When all had begun the last sum. */
  get metMs(): number {
    return this.#metMs;
  }

  /**
   * Adds up `own` with the sums of the other workers, and tells them `note`; false if the era is
   * over before all have done so. For the first lane only.
   */
  addUp(pass: number, own: Uint8Array, note: AttemptNote): boolean {
    const { place, noteBytes } = this.#seat;
    putNote(note, this.#ownNotes.subarray(place * noteBytes, (place + 1) * noteBytes));
    const parts = [own, this.#ownNotes];
    for (let piece = 0; piece < this.#sum.pieceCount; piece++) {
      this.#sum.put(piece, parts);
      if (!this.#meet(pass, piece === 0)) return false;
      if (piece === 0) this.#metMs = performance.now();
      this.#sum.add(piece, parts);
    }
    return this.#meet(pass, false);
  }

  /** Whether all others come to the next barrier. One that adds up another sum never does. */
  #meet(pass: number, isFirst: boolean): boolean {
    const sum = this.#sum;
    sum.arrive(pass);
    const areThere = (): boolean =>
      sum.haveAllArrived() && (!isFirst || sum.rankOfOtherSum(pass) === undefined);
    return this.#control.watch(areThere, this.#era);
  }
}
