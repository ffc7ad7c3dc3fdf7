/**
 * Where the time of every step goes. All of it is measured on the coordinator's clock, but for what
 * a worker is busy.
 */
import type { RankStep } from '../metrics/events.ts';

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
}

/** One counted contribution. */
export interface TimedContribution {
  readonly rank: number;
  readonly samples: number;
  readonly microBatches: number;
  /** From the coordinator's giving the work to the arrival of its result. */
  readonly turnaroundMs: number;
  /** The part of it in which the worker computed, as it says. */
  readonly busyMs: number;
}

/**
 * A step lasts from the commit before it to its own; within it lie one or more passes. In a pass a
 * worker is busy, communicates (the rest of its turnaround: plan and totals on their way to it, its
 * sum on the way back), and waits from its last contribution to the last of all.
 */
export class StepTimes {
  #startMs = 0;
  #nowMs = 0;
  #stepBeganMs = 0;
  #passBeganMs = 0;
  #arrivalMs = 0;
  readonly #ranks = new Map<number, RankTimes>();
  /**
   * Ranks with a contribution to the pass under way, and their busy and communicating time in it.
   */
  readonly #passMs = new Map<number, number>();
  #computeMs = 0;
  #communicateMs = 0;
  #waitMs = 0;

  start(nowMs: number): void {
    this.#startMs = nowMs;
    this.skip(nowMs);
  }

  /** A pass of the step begins. */
  beginPass(nowMs: number): void {
    // What was spent on a pass that was abandoned counts as that on one that is computed again.
    if (this.#passMs.size > 0) this.redo();
    this.#passBeganMs = this.#arrivalMs = nowMs;
    this.#passMs.clear();
  }

  contribution(nowMs: number, given: TimedContribution): void {
    const { rank, samples, microBatches, turnaroundMs } = given;
    const busyMs = Math.min(given.busyMs, turnaroundMs);
    const times = this.#ranks.get(rank) ?? {
      samples: 0,
      microBatches: 0,
      busyMs: 0,
      communicateMs: 0,
      waitMs: 0,
    };
    times.samples += samples;
    times.microBatches += microBatches;
    times.busyMs += busyMs;
    times.communicateMs += turnaroundMs - busyMs;
    this.#ranks.set(rank, times);
    this.#passMs.set(rank, (this.#passMs.get(rank) ?? 0) + turnaroundMs);
    this.#arrivalMs = nowMs;
  }

  /**
   * The pass is complete and the step is computed again: what was spent on it counts, the samples
   * do not.
   */
  redo(): void {
    this.#endPass();
    for (const times of this.#ranks.values()) times.samples = times.microBatches = 0;
  }

  /** Closes the step. */
  commit(nowMs: number): StepTiming {
    this.#endPass();
    const ranks = [...this.#ranks].map(([rank, { busyMs, ...times }]) => ({
      rank,
      computeMs: busyMs,
      ...times,
    }));
    const mean = (of: (rank: RankStep) => number): number =>
      ranks.length === 0 ? 0 : ranks.reduce((sum, rank) => sum + of(rank), 0) / ranks.length;
    const stepMs = nowMs - this.#stepBeganMs;
    const computeMs = mean((rank) => rank.computeMs);
    const communicateMs = mean((rank) => rank.communicateMs);
    const waitMs = mean((rank) => rank.waitMs);
    this.#computeMs += computeMs;
    this.#communicateMs += communicateMs;
    this.#waitMs += waitMs;
    this.skip(nowMs);
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
  skip(nowMs: number): void {
    this.#ranks.clear();
    this.#passMs.clear();
    this.#stepBeganMs = this.#nowMs = nowMs;
  }

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

  #endPass(): void {
    for (const [rank, spentMs] of this.#passMs) {
      const times = this.#ranks.get(rank);
      if (times !== undefined)
        times.waitMs += Math.max(0, this.#arrivalMs - this.#passBeganMs - spentMs);
    }
    this.#passMs.clear();
  }
}
