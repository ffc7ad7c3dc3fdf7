import type { Clock } from '../base/clock.ts';
import type { RunPlan } from '../plan/run-plan.ts';

/** For the first pass those who get the state more slowly than others are waited for so long. */
const HAND_OVER_MS = 2_000;

/** Waits for the workers with which a run begins. */
export class Gathering {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #startMs: number;
  #wanted: number;
  #readyMs: number | undefined;

  constructor(clock: Clock, { minWorkers, gatherMs }: Pick<RunPlan, 'minWorkers' | 'gatherMs'>) {
    this.#clock = clock;
    this.#patienceMs = gatherMs;
    this.#startMs = clock.now();
    this.#wanted = minWorkers;
  }

  /** The run begins when so many workers are ready. */
  get wanted(): number {
    return this.#wanted;
  }

  /** No more than `count` workers will come. */
  expectAtMost(count: number): void {
    this.#wanted = Math.min(this.#wanted, count);
  }

  /** Whether `readyCount` workers are enough by now; none never are. */
  isEnough(readyCount: number): boolean {
    const isPatient = this.#clock.now() - this.#startMs < this.#patienceMs;
    return readyCount > 0 && (readyCount >= this.#wanted || !isPatient);
  }

  /** Whether the first pass waits for members that are being given the state. */
  waitsFor(followerCount: number): boolean {
    const nowMs = this.#clock.now();
    this.#readyMs ??= nowMs;
    return followerCount > 0 && nowMs - this.#readyMs < HAND_OVER_MS;
  }
}
