/**
 * A run goes on where its workers stand: its coordinator has died, and they have come back with
 * their states. The newest of these counts, of which it is known how the run came there.
 */
import type { Clock } from '../../base/clock.ts';
import type { Member } from '../../membership/member.ts';
import { nextCourse } from '../../plan/divergence.ts';
import type { StepAccount } from '../../protocol/messages.ts';
import { addLedgers, type Mark } from '../steps/trajectory.ts';

/** Workers look for their coordinator several times a second. */
const COMING_MS = 2_000;
/** Who is on its way with a state is waited for so long, as long as others could begin. */
const LOADING_MS = 30_000;

/** What was written down of the steps before. */
export interface Recollection {
  /** Updates done with the last step that is known. */
  readonly known: number;
  /** Where the run stood after `step` updates; undefined if that is not known. */
  readonly markAt: (step: number) => Mark | undefined;
}

/** Where a run goes on. */
export interface ReturnPoint {
  readonly mark: Mark;
  /** The last of its steps, which only workers could tell of. */
  readonly told: readonly StepAccount[];
  /** Those who have the state. */
  readonly holders: readonly Member[];
}

/** What is needed to know who is back. */
export interface ReturningOptions {
  readonly clock: Clock;
  readonly recollection: Recollection;
  /** Where the run goes on if nobody has a newer state. */
  readonly snapshotStep: number;
  /** Updates of the whole run: a worker that tells of more is not believed. */
  readonly totalSteps: number;
  readonly members: () => readonly Member[];
}

/** Waits for workers that have states, and finds the newest. */
export class Returning {
  readonly #options: ReturningOptions;
  readonly #startMs: number;
  #isOver = false;

  constructor(options: ReturningOptions) {
    this.#options = options;
    this.#startMs = options.clock.now();
  }

  /** Updates done with the last step that is known; undefined once it is decided what counts. */
  get known(): number | undefined {
    return this.#isOver ? undefined : this.#options.recollection.known;
  }

  /** It is decided: whoever comes now gets a state. */
  end(): void {
    this.#isOver = true;
  }

  /**
   * Whether nobody is to be waited for any more who may have a state: `ready` are there, of
   * `wanted`.
   */
  isComplete(ready: readonly Member[], wanted: number): boolean {
    const { clock, members, recollection } = this.#options;
    const waitedMs = clock.now() - this.#startMs;
    const holders = members().filter(({ hello }) => hello.holds !== undefined);
    const isBack = (member: Member): boolean => (member.kept?.step ?? -1) >= recollection.known;
    if (ready.length >= wanted && ready.every(isBack)) return true;
    if (waitedMs < COMING_MS) return false;
    return waitedMs >= LOADING_MS || holders.every(({ phase }) => phase !== 'loading');
  }

  /** The newest state that any of `ready` has; undefined if it is older than the snapshot. */
  choose(ready: readonly Member[]): ReturnPoint | undefined {
    const points = ready.flatMap((member) => this.#pointOf(member) ?? []);
    const steps = [...new Set(points.map(({ mark }) => mark.step))].sort((a, b) => b - a);
    for (const step of steps) {
      const there = points.filter(({ mark }) => mark.step === step);
      const agreed = mostAgreed(there.flatMap(({ holders }) => holders));
      const [first] = there.filter(({ holders: [holder] }) => holder && agreed.includes(holder));
      if (first !== undefined) return { ...first, holders: agreed };
    }
    return undefined;
  }

  #pointOf(member: Member): ReturnPoint | undefined {
    const { recollection, snapshotStep, totalSteps } = this.#options;
    const { kept } = member;
    if (kept === undefined || kept.step <= snapshotStep || kept.step > totalSteps) return undefined;
    const { known } = recollection;
    const { step, own, maxima } = kept;
    const before = recollection.markAt(Math.min(step, known));
    if (before === undefined) return undefined;
    if (step <= known) return { mark: before, told: [], holders: [member] };
    if (maxima === undefined || own.length !== step - known) return undefined;
    const after = own.reduce(markAfter, before);
    return { mark: { ...after, maxima }, told: own, holders: [member] };
  }
}

/** Where a run stands after one more step, but for its grid. */
function markAfter(before: Mark, { sampleCount, lossSum }: StepAccount): Mark {
  const counted = { expected: sampleCount, counted: sampleCount, dropped: 0, duplicated: 0 };
  return {
    ...before,
    step: before.step + 1,
    ledger: addLedgers(before.ledger, counted),
    losses: nextCourse(before.losses, lossSum / sampleCount),
  };
}

/** Those who have the same state as most; nobody where no state is that of most. */
function mostAgreed(members: readonly Member[]): Member[] {
  const groups = new Map<string, Member[]>();
  for (const member of members) {
    const digest = member.kept?.stateDigest ?? '';
    groups.set(digest, [...(groups.get(digest) ?? []), member]);
  }
  const [most = [], next = []] = [...groups.values()].sort((a, b) => b.length - a.length);
  return most.length > next.length ? most : [];
}
