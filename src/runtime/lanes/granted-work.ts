/** The granted steps that lanes go through by themselves, as the pool sees them. */
import type { Grant } from '../../protocol/messages.ts';
import type { EngineAttempt, GroupSeat } from '../engine.ts';
import type { LaneControl } from './lane-control.ts';
import type { LaneNews } from './lane-job.ts';
import type { LaneThreads } from './lane-threads.ts';

/** Whose work it is, and who hears of it. */
export interface GrantedWorkOptions {
  readonly laneCount: number;
  readonly control: LaneControl;
  readonly threads: LaneThreads;
  readonly onAttempted: (attempts: readonly EngineAttempt[]) => void;
}

/** One run of granted steps after the other. */
export class GrantedWork {
  readonly #options: GrantedWorkOptions;
  /** That of the present run; undefined when there is none. */
  #era: number | undefined;
  /** The group whose run it is or was last; undefined for a worker that is alone. */
  #generation: number | undefined;
  /** Attempts that not all lanes have told of, by pass. */
  readonly #parts = new Map<number, EngineAttempt[]>();
  /** How many grants of each group the lanes have, or will get. */
  readonly #underWay = new Map<number, number>();
  /** Who waits until the lanes are done with those of a group. */
  readonly #waiting = new Map<number, (() => void)[]>();

  constructor(options: GrantedWorkOptions) {
    this.#options = options;
  }

  /** Gives the lanes a grant, after those before it. */
  follow(grant: Grant, seat: GroupSeat | undefined): void {
    const { control, threads } = this.#options;
    if (grant.start !== undefined) {
      this.#era = control.era;
      this.#generation = seat?.generation;
    }
    const era = this.#era;
    if (era === undefined) return;
    const generation = this.#generation;
    this.#count(generation, 1);
    threads.enqueue({
      command: { kind: 'follow', grant, era, ...(seat && { seat }) },
      done: () => this.#count(generation, -1),
    });
  }

  /** What is told of the present run is of no use any more; its era is over. */
  void(): void {
    this.#era = undefined;
    this.#parts.clear();
  }

  /** Ends the run of a group, whose last attempts are told before `done` is called. */
  halt(generation: number, done: () => void): void {
    if (!this.#underWay.has(generation)) return done();
    this.#waiting.set(generation, [...(this.#waiting.get(generation) ?? []), done]);
    if (this.#era !== undefined && this.#generation === generation) this.#options.control.clear();
  }

  /** What lanes did side by side is told once all have told of it, in order. */
  hear({ era, attempts }: LaneNews): void {
    if (era !== this.#era) return;
    const whole: EngineAttempt[] = [];
    for (const attempt of attempts) {
      const { pass } = attempt;
      const parts = [...(this.#parts.get(pass) ?? []), attempt];
      this.#parts.set(pass, parts);
      if (parts.length < this.#options.laneCount) continue;
      this.#parts.delete(pass);
      whole.push(join(parts));
    }
    if (whole.length > 0) this.#options.onAttempted(whole);
  }

  #count(generation: number | undefined, change: 1 | -1): void {
    if (generation === undefined) return;
    const count = (this.#underWay.get(generation) ?? 0) + change;
    this.#underWay.set(generation, count);
    if (count > 0) return;
    this.#underWay.delete(generation);
    const waiting = this.#waiting.get(generation) ?? [];
    this.#waiting.delete(generation);
    for (const done of waiting) done();
  }
}

/** An attempt of all lanes, from what each tells of it. */
function join(parts: readonly EngineAttempt[]): EngineAttempt {
  const ofGroup = parts.find((part) => part.ofGroup !== undefined)?.ofGroup;
  return {
    pass: parts[0]?.pass ?? 0,
    records: parts.flatMap(({ records }) => records),
    busyMs: Math.max(...parts.map(({ busyMs }) => busyMs)),
    elapsedMs: Math.max(...parts.map(({ elapsedMs }) => elapsedMs)),
    updateMs: Math.max(...parts.map(({ updateMs }) => updateMs)),
    norms: parts[0]?.norms ?? [],
    ...(ofGroup && { ofGroup }),
  };
}
