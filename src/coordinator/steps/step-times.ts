/**
 * Where the time of every step goes. All of it is measured on the coordinator's clock, but for what
 * a worker is busy, what adding up takes a group that commits by itself, and how long a step takes a
 * worker that does so alone: that is measured there. What each worker adds up, and whom it waits for
 * meanwhile, is told beside that, as its own clock has it.
 */
import type { RankStep } from '../../metrics/events.ts';
import type { Contribution } from '../../protocol/messages.ts';
import { PartsOfRank } from './compute-parts.ts';
import type { BegunPass, CompletedPass, CountedPart, PassListener } from './pass-listener.ts';

/** Where the wall time of a run went, in seconds, as the mean over the workers of each step. */
export interface TimeSplit {
  /** Computing micro-batches, adding gradients, applying updates. */
  readonly compute: number;
  /** Sending sums and receiving totals. */
  readonly communicate: number;
  /** Waiting for slower workers. */
  readonly wait: number;
  /** The rest: evaluation, joining, the coordinator's own work. */
  readonly other: number;
}

/** Times of one step, milliseconds: means over its workers, which add up to `stepMs`. */
export interface StepTiming {
  readonly stepMs: number;
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  readonly otherMs: number;
  readonly ranks: readonly RankStep[];
}

/** What one worker did in the passes of a step. */
interface RankTimes {
  samples: number;
  microBatches: number;
  busyMs: number;
  communicateMs: number;
  waitMs: number;
  addMs: number;
  waitPeersMs: number;
  waitCoordinatorMs: number;
}

/** What a worker tells of a pass that it has added up with others. */
type AddedTimes = {
  readonly [K in 'addingMs' | 'waitPeersMs' | 'waitCoordinatorMs']?: Contribution[K];
};

const NO_STEP: StepTiming = {
  stepMs: 0,
  computeMs: 0,
  communicateMs: 0,
  waitMs: 0,
  otherMs: 0,
  ranks: [],
};

/**
 * A step lasts from the commit before it to its own; within it lie one or more passes. In a pass a
 * worker is busy, communicates (the rest of its turnaround: plan and totals on their way to it, its
 * sum on the way back), and waits from its last contribution to the last of all.
 */
export class StepTimes implements PassListener {
  #startMs = 0;
  #nowMs = 0;
  #stepBeganMs = 0;
  #passBeganMs = 0;
  #arrivalMs = 0;
  readonly #ranks = new Map<number, RankTimes>();
  /** Of every rank that ever took part. */
  readonly #parts = new Map<number, PartsOfRank>();
  /**
   * Ranks with a contribution to the pass under way, and their busy and communicating time in it.
   */
  readonly #passMs = new Map<number, number>();
  /** The pass was granted to a group, and is heard of later than it was computed. */
  #isGroupsOwn = false;
  /** What was told of passes that are not complete yet: by pass, then by rank. */
  readonly #added = new Map<number, Map<number, AddedTimes>>();
  /** What the attempts at the step took a worker that is alone, and tells of them later. */
  #elapsedMs = 0;
  #computeMs = 0;
  #communicateMs = 0;
  #waitMs = 0;
  #lastStep = NO_STEP;

  /** The step that was committed last. */
  get lastStep(): StepTiming {
    return this.#lastStep;
  }

  /** The run begins. */
  start(nowMs: number): void {
    this.#startMs = nowMs;
    this.#skip(nowMs);
  }

  begun({ pass, shares, nowMs }: BegunPass): void {
    if (pass.spec.work !== 'train') return;
    this.#isGroupsOwn = shares !== undefined;
    // What was spent on a pass that was abandoned counts as that on one that is computed again.
    if (this.#passMs.size > 0) this.#redo();
    this.#passBeganMs = this.#arrivalMs = nowMs;
    this.#passMs.clear();
  }

  /** A worker tells what adding up `pass` took it; passes that were completed before are over. */
  noteAdded(rank: number, pass: number, times: AddedTimes): void {
    const { addingMs, waitPeersMs, waitCoordinatorMs } = times;
    if (addingMs === undefined) return;
    const told = this.#added.get(pass) ?? new Map<number, AddedTimes>();
    this.#added.set(pass, told.set(rank, { addingMs, waitPeersMs, waitCoordinatorMs }));
  }

  counted({ member, spec, contribution, turnaroundMs, nowMs }: CountedPart): void {
    const { rank } = member;
    const { records, elapsedMs, waitCoordinatorMs = 0 } = contribution;
    const parts = this.#partsOf(rank);
    if (spec.work !== 'train') return parts.evaluated(records);
    parts.add(contribution, member.hello.lanes);
    // The worker's own clock says how long it was busy. Of steps that were granted several may be
    // heard of at once: no other clock knows.
    const isOwn = this.#isGroupsOwn || elapsedMs !== undefined;
    const busyMs = isOwn ? contribution.busyMs : Math.min(contribution.busyMs, turnaroundMs);
    const spentMs = isOwn ? busyMs : turnaroundMs;
    this.#elapsedMs += elapsedMs ?? 0;
    const times = this.#ranks.get(rank) ?? {
      samples: 0,
      microBatches: 0,
      busyMs: 0,
      communicateMs: 0,
      waitMs: 0,
      addMs: 0,
      waitPeersMs: 0,
      waitCoordinatorMs: 0,
    };
    times.samples += records.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
    times.microBatches += records.length;
    times.busyMs += busyMs;
    times.communicateMs += spentMs - busyMs;
    times.waitCoordinatorMs += waitCoordinatorMs;
    this.#ranks.set(rank, times);
    this.#passMs.set(rank, (this.#passMs.get(rank) ?? 0) + spentMs);
    this.#arrivalMs = nowMs;
  }

  reopened(nowMs: number): void {
    this.#redo();
    this.#passBeganMs = this.#arrivalMs = nowMs;
  }

  completed({ spec, outcome, nowMs }: CompletedPass): void {
    for (const [rank, added] of this.#takeAdded(spec.id)) this.#addedUp(rank, added);
    // After the last contribution the workers have added up.
    if (spec.reduction === 'group' && !this.#isGroupsOwn)
      for (const rank of this.#passMs.keys()) this.#communicated(rank, nowMs - this.#arrivalMs);
    if (outcome.kind === 'redo') this.#redo();
    else if (outcome.kind === 'evaluated') this.#skip(nowMs);
    else this.#lastStep = this.#commit(nowMs);
  }

  /** Time up to `nowMs` belongs to no step. */
  undone({ nowMs }: { readonly nowMs: number }): void {
    this.#skip(nowMs);
  }

  /** Where the time from the start to the end of the last step went. */
  split(): TimeSplit {
    const wallMs = this.#nowMs - this.#startMs;
    const otherMs = Math.max(0, wallMs - this.#computeMs - this.#waitMs - this.#communicateMs);
    const seconds = (ms: number): number => Math.round(ms) / 1000;
    return {
      compute: seconds(this.#computeMs),
      communicate: seconds(this.#communicateMs),
      wait: seconds(this.#waitMs),
      other: seconds(otherMs),
    };
  }

  /** What was spent on the pass counts, its samples do not: they are computed again. */
  #redo(): void {
    this.#endPass();
    for (const times of this.#ranks.values()) times.samples = times.microBatches = 0;
  }

  /** Closes the step. */
  #commit(nowMs: number): StepTiming {
    this.#endPass();
    const ranks = [...this.#ranks].map(([rank, { busyMs, ...times }]): RankStep => {
      const parts = this.#partsOf(rank).take();
      return { rank, computeMs: busyMs, ...times, ...(parts && { parts }) };
    });
    const mean = (of: (rank: RankStep) => number): number =>
      ranks.length === 0 ? 0 : ranks.reduce((sum, rank) => sum + of(rank), 0) / ranks.length;
    const computeMs = mean((rank) => rank.computeMs);
    const communicateMs = mean((rank) => rank.communicateMs);
    const waitMs = mean((rank) => rank.waitMs);
    const ownMs = this.#isGroupsOwn ? computeMs + communicateMs + waitMs : this.#elapsedMs;
    const stepMs = ownMs > 0 ? ownMs : nowMs - this.#stepBeganMs;
    this.#computeMs += computeMs;
    this.#communicateMs += communicateMs;
    this.#waitMs += waitMs;
    this.#skip(nowMs);
    const otherMs = Math.max(0, stepMs - computeMs - communicateMs - waitMs);
    return {
      stepMs,
      computeMs,
      communicateMs,
      waitMs,
      otherMs,
      ranks: ranks.sort((a, b) => a.rank - b.rank),
    };
  }

  /** Time up to `nowMs` belongs to no step. */
  #skip(nowMs: number): void {
    this.#ranks.clear();
    for (const parts of this.#parts.values()) parts.take();
    this.#passMs.clear();
    this.#elapsedMs = 0;
    this.#stepBeganMs = this.#nowMs = nowMs;
  }

  #partsOf(rank: number): PartsOfRank {
    const parts = this.#parts.get(rank) ?? new PartsOfRank();
    this.#parts.set(rank, parts);
    return parts;
  }

  /** What was told of a pass; what is older is of none that counts. */
  #takeAdded(pass: number): ReadonlyMap<number, AddedTimes> {
    const told = this.#added.get(pass) ?? new Map<number, AddedTimes>();
    for (const older of this.#added.keys()) if (older <= pass) this.#added.delete(older);
    return told;
  }

  #addedUp(rank: number, added: AddedTimes): void {
    const { addingMs = 0, waitPeersMs = 0, waitCoordinatorMs = 0 } = added;
    if (this.#isGroupsOwn) this.#communicated(rank, addingMs);
    const times = this.#ranks.get(rank);
    if (times === undefined) return;
    times.addMs += Math.max(0, addingMs - waitPeersMs);
    times.waitPeersMs += Math.min(addingMs, waitPeersMs);
    times.waitCoordinatorMs += waitCoordinatorMs;
  }

  #communicated(rank: number, ms: number): void {
    const times = this.#ranks.get(rank);
    if (times !== undefined) times.communicateMs += ms;
  }

  #endPass(): void {
    if (this.#isGroupsOwn) this.#endOwnPass();
    else
      for (const [rank, spentMs] of this.#passMs) {
        const times = this.#ranks.get(rank);
        if (times !== undefined && this.#elapsedMs === 0)
          times.waitMs += Math.max(0, this.#arrivalMs - this.#passBeganMs - spentMs);
      }
    this.#passMs.clear();
  }

  /** Of the time that adding up takes a worker, it has waited until the slowest had its sum. */
  #endOwnPass(): void {
    const slowestMs = Math.max(0, ...this.#passMs.values());
    for (const [rank, busyMs] of this.#passMs) {
      const times = this.#ranks.get(rank);
      if (times === undefined) continue;
      const waitMs = Math.min(times.communicateMs, slowestMs - busyMs);
      times.waitMs += waitMs;
      times.communicateMs -= waitMs;
    }
  }
}
