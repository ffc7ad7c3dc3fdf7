/**
 * Granted steps on one lane. All lanes of the worker, or of all workers of a group that has memory
 * in common, find by the same rule from the same notes whether an attempt counts, and go on
 * together: no other thread is asked.
 */
import { type AttemptNote, readNotes } from '../../plan/attempt-note.ts';
import { GrantedSteps, resultOfAll } from '../../plan/granted-steps.ts';
import type { Commit, Grant, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import type { EngineAttempt, GroupSeat } from '../engine.ts';
import type { LaneStart } from './lane-job.ts';
import type { LaneControl } from './lane-control.ts';
import { LaneGroup } from './lane-group.ts';
import { LaneNotes } from './lane-notes.ts';

/** What was attempted is told when half of a grant is done, and all of it, and after so long. */
const TELL_MS = 250;

/** What a lane does in an attempt. */
export interface LaneWork {
  readonly control: LaneControl;
  /** Computes micro-batches that are leased until none is left. */
  readonly compute: (plan: Plan) => Promise<readonly MicroBatchRecord[]>;
  /** Adds the lanes' sums; gives what they come to, [padded length] int32 as bytes. */
  readonly gather: (plan: Plan) => Uint8Array;
  /** Updates the state by the total of a group, or by that of the lanes; gives norms if tracked. */
  readonly apply: (commit: Commit, total: Int32Array | undefined) => readonly number[];
}

/** Granted steps as a lane is told of them. */
export interface FollowedGrant {
  readonly grant: Grant;
  /** Present at the start of what is granted to a group. */
  readonly seat?: GroupSeat;
  /** It counts as long as that lasts. */
  readonly era: number;
}

/** What an attempt came to. */
interface Added {
  readonly notes: readonly AttemptNote[];
  readonly ofGroup?: EngineAttempt['ofGroup'];
}

/** One lane's way through granted steps. */
export class LaneCourse {
  readonly #start: LaneStart;
  readonly #work: LaneWork;
  readonly #granted: GrantedSteps;
  readonly #notes: LaneNotes;
  /** With whom it adds up; absent while the worker is alone. */
  #group: LaneGroup | undefined;
  #noteBytes = 0;
  /** That are not told yet. */
  #attempts: EngineAttempt[] = [];
  #toldMs = 0;
  /** When the last attempt ended, and when the last sum of the group was there. */
  #endedMs = 0;
  #addedMs = 0;

  constructor(start: LaneStart, work: LaneWork) {
    this.#start = start;
    this.#work = work;
    this.#granted = new GrantedSteps(start.job.microBatch);
    this.#notes = new LaneNotes(start);
  }

  /** Does all steps of a grant, unless its era is over; `tell` gets the attempts behind them. */
  async follow(
    { grant, seat, era }: FollowedGrant,
    tell: (attempts: readonly EngineAttempt[]) => void,
  ): Promise<void> {
    const { control } = this.#work;
    const { lane } = this.#start;
    this.#addedMs = performance.now();
    if (grant.start !== undefined) {
      this.#endedMs = this.#addedMs;
      this.#group = seat && new LaneGroup(seat, control, era);
      this.#noteBytes = seat?.noteBytes ?? 0;
    }
    let plan = this.#granted.take(grant, seat?.place ?? 0)?.plan;
    while (plan !== undefined && control.agree(lane, era, plan.leases)) {
      plan = await this.#attempt(plan);
      const isLate = performance.now() - this.#toldMs > TELL_MS;
      if (plan !== undefined && (isLate || this.#granted.isHalfDone)) tell(this.#takeAttempts());
    }
    if (plan !== undefined) this.#granted.void();
    tell(this.#takeAttempts());
  }

  /** One attempt; gives what comes next. */
  async #attempt(plan: Plan): Promise<Plan | undefined> {
    const startedMs = performance.now();
    const records = await this.#work.compute(plan);
    this.#notes.put(records);
    const own = this.#work.gather(plan);
    const note = this.#notes.read(plan.leases);
    // What is void is not computed to its end, which all lanes see alike.
    if (note.losses.length < plan.leases.length) return plan;
    const computedMs = performance.now();
    const freeMs = this.#addedMs;
    const added = this.#addUp(plan, own, note);
    if (added === undefined) return plan;
    const { pass } = plan;
    const addedMs = performance.now();
    const next = this.#granted.settle(pass, resultOfAll(added.notes));
    const norms = next?.commit === undefined ? [] : this.#apply(next.commit);
    const endedMs = performance.now();
    const busyMs = this.#group === undefined ? endedMs - startedMs : computedMs - freeMs;
    const elapsedMs = endedMs - this.#endedMs;
    const { ofGroup } = added;
    this.#attempts.push({
      ...{ pass, records, busyMs, elapsedMs, norms },
      updateMs: endedMs - addedMs,
      ...(ofGroup && { ofGroup }),
    });
    this.#endedMs = endedMs;
    return next?.plan;
  }

  /** Adds up with the other workers, if there are any; undefined if the era is over before. */
  #addUp({ pass }: Plan, own: Uint8Array, note: AttemptNote): Added | undefined {
    const group = this.#group;
    if (group === undefined) return { notes: [note] };
    const { lane, job } = this.#start;
    const sinceMs = performance.now();
    const isAdded = this.#work.control.decide(lane, () => group.addUp(pass, own, note));
    if (!isAdded) return undefined;
    this.#addedMs = performance.now();
    const bytes = group.notes;
    const notes = readNotes(bytes, this.#noteBytes, job.parameters.length);
    // The others would tell the same.
    if (lane > 0) return { notes };
    const addingMs = this.#addedMs - sinceMs;
    return { notes, ofGroup: { notes: bytes, addingMs, waitPeersMs: group.metMs - sinceMs } };
  }

  #apply(commit: Commit): readonly number[] {
    return this.#work.apply(commit, this.#group?.total);
  }

  #takeAttempts(): readonly EngineAttempt[] {
    const attempts = this.#attempts;
    this.#attempts = [];
    this.#toldMs = performance.now();
    return attempts;
  }
}
