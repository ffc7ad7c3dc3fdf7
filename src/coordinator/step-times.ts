import type { Contribution } from '../protocol/messages.ts';

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

/** Times of one step, milliseconds: means over its workers. */
export interface StepTiming {
  readonly stepMs: number;
  readonly computeMs: number;
  readonly waitMs: number;
  readonly exchangeMs: number;
  readonly samplesByRank: ReadonlyMap<number, number>;
}

interface WorkerTimes {
  busyMs: number;
  exchangeMs: number;
  arrivalMs: number;
  samples: number;
}

/** Splits measured wall time by what the workers report and when their contributions arrive. */
export class StepTimes {
  #startMs = 0;
  #lastCommitMs = 0;
  #nowMs = 0;
  #workers = new Map<number, WorkerTimes>();
  #computeMs = 0;
  #exchangeMs = 0;
  #waitMs = 0;

  start(nowMs: number): void {
    this.#startMs = this.#lastCommitMs = this.#nowMs = nowMs;
  }

  /** A counted contribution of `rank` to the step under way. */
  contribution(rank: number, nowMs: number, samples: number, { busyMs, exchangeMs }: Contribution): void {
    const before = this.#workers.get(rank);
    this.#workers.set(rank, {
      busyMs: busyMs + (before?.busyMs ?? 0),
      exchangeMs: before?.exchangeMs ?? exchangeMs,
      arrivalMs: nowMs,
      samples: samples + (before?.samples ?? 0),
    });
  }

  /** Closes the step. */
  commit(nowMs: number): StepTiming {
    const workers = [...this.#workers.values()];
    const mean = (of: (worker: WorkerTimes) => number): number =>
      workers.length === 0 ? 0 : workers.reduce((sum, worker) => sum + of(worker), 0) / workers.length;
    const lastArrivalMs = Math.max(...workers.map((worker) => worker.arrivalMs));
    const timing: StepTiming = {
      stepMs: nowMs - this.#lastCommitMs,
      computeMs: mean((worker) => worker.busyMs),
      waitMs: mean((worker) => lastArrivalMs - worker.arrivalMs),
      exchangeMs: mean((worker) => worker.exchangeMs),
      samplesByRank: new Map([...this.#workers].map(([rank, worker]) => [rank, worker.samples])),
    };
    this.#computeMs += timing.computeMs;
    this.#exchangeMs += timing.exchangeMs;
    this.#waitMs += timing.waitMs;
    this.skip(nowMs);
    return timing;
  }

  /** The step is computed again: what was spent on it counts, the samples do not yet. */
  redo(): void {
    for (const worker of this.#workers.values()) worker.samples = 0;
  }

  /** Time up to `nowMs` belongs to no step. */
  skip(nowMs: number): void {
    this.#workers = new Map();
    this.#lastCommitMs = this.#nowMs = nowMs;
  }

  split(): TimeSplit {
    const wallMs = this.#nowMs - this.#startMs;
    // A worker's exchange covers its wait for others: the totals come when the last one is done.
    const communicateMs = Math.max(0, this.#exchangeMs - this.#waitMs);
    const otherMs = Math.max(0, wallMs - this.#computeMs - this.#waitMs - communicateMs);
    const seconds = (ms: number): number => Math.round(ms) / 1000;
    return {
      compute: seconds(this.#computeMs),
      communicate: seconds(communicateMs),
      wait: seconds(this.#waitMs),
      other: seconds(otherMs),
    };
  }
}
