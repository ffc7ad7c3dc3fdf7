/**
 * Steps that do not wait for everybody: when one is closed, who still owes it something, and what
 * becomes of a gradient that comes later. Who owes something goes on with it undisturbed, gets
 * nothing new before it is done, and is brought up to date then.
 *
 * Invariant: of every sample that a step was closed without, it is told what became of it.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { sampleRange } from '../data/batches.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import type { GradientLate, RunEvent } from '../metrics/events.ts';
import { closesInMs, staleSamples, type StepClosing } from '../plan/closing.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import type { Contribution, MicroBatchRecord } from '../protocol/messages.ts';
import type { LeaseDesk } from './lease-desk.ts';
import type { Followers } from './states/followers.ts';
import { problemWith } from './steps/check-contribution.ts';
import type { BegunPass, CountedPart, Leaving, PassListener } from './steps/pass-listener.ts';
import { type Pass, type PassSpec, samplesOf } from './steps/pass.ts';
import { rescaled } from './steps/rescaled.ts';
import type { Sums } from './steps/sums.ts';
import type { LatePart } from './steps/trajectory.ts';
import type { Tallies } from './tallies.ts';

/** Less than that no timer waits; it must pass, whatever is lost in rounding times. */
const MIN_WAIT_MS = 1;

/** What became of the samples that steps were closed without. */
export interface LateTally {
  /** Samples whose gradient was added to a later step, and how many they counted for there. */
  readonly addedSamples: number;
  readonly addedAs: number;
  /** Samples whose gradient came too late. */
  readonly leftOutSamples: number;
  /** Samples whose gradient never came. */
  readonly lostSamples: number;
  /** Gradients by the steps between the state that each is of and the one that it was added to. */
  readonly staleness: Readonly<Record<number, number>>;
  /** Steps that had to wait for gradients that would have become too old, and for how long. */
  readonly boundSteps: number;
  readonly boundMs: number;
}

/** What late gradients have to do with. */
export interface LateGradientsOptions {
  readonly clock: Clock;
  readonly plan: RunPlan;
  readonly desk: Pick<LeaseDesk, 'expectedMs' | 'isAsking' | 'isLent'>;
  readonly sums: Pick<Sums, 'add' | 'byteLength' | 'checksumOf'>;
  readonly tallies: Pick<Tallies, 'counted'>;
  readonly followers: () => Pick<Followers, 'leaveBehind'>;
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  readonly report: (event: RunEvent) => void;
  /** The step under way may be closed now. */
  readonly onDue: () => void;
}

/** What a member has not delivered of a step that is closed. */
interface Owed {
  readonly spec: PassSpec;
  readonly closedMs: number;
  /** Samples by micro-batch. */
  readonly samples: Map<number, number>;
}

/** A gradient that came late, and waits for the step that it is added to. */
interface Arrived {
  readonly member: Member;
  readonly spec: PassSpec;
  readonly records: readonly MicroBatchRecord[];
  readonly sum: Uint8Array;
  readonly lateMs: number;
}

/** One that is added to the step under way. */
export type DuePart = LatePart & { readonly arrived: Arrived; readonly staleness: number };

/** Closes steps without those who are late, and takes in what they deliver. */
export class LateGradients implements PassListener {
  readonly #options: LateGradientsOptions;
  readonly #closing: StepClosing | undefined;
  readonly #owed = new Map<Member, Owed>();
  #arrived: Arrived[] = [];
  /** Updates that the run had after the newest commit. */
  #committed = 0;
  #beganMs = 0;
  #lastMs: number | undefined;
  #timer: Timer | undefined;
  /** Since when the step waits for gradients that would become too old, and whose. */
  #bound: { readonly sinceMs: number; readonly ranks: readonly number[] } | undefined;
  readonly #staleness = new Map<number, number>();
  readonly #samples = { added: 0, 'left-out': 0, lost: 0 };
  #addedAs = 0;
  #boundSteps = 0;
  #boundMs = 0;

  constructor(options: LateGradientsOptions) {
    this.#options = options;
    this.#closing = options.plan.closing;
  }

  /** Undefined in a run whose steps wait for all of their micro-batches. */
  tally(): LateTally | undefined {
    if (this.#closing === undefined || this.#closing.kind === 'complete') return undefined;
    return {
      addedSamples: this.#samples.added,
      addedAs: this.#addedAs,
      leftOutSamples: this.#samples['left-out'],
      lostSamples: this.#samples.lost,
      staleness: Object.fromEntries([...this.#staleness].sort(([a], [b]) => a - b)),
      boundSteps: this.#boundSteps,
      boundMs: Math.round(this.#boundMs),
    };
  }

  /** Whether `member` is still busy with a step that is closed. */
  owes(member: Member): boolean {
    return this.#owed.has(member);
  }

  /** Whether `pass` is complete, or closed now as it is; if it may be later, `onDue` tells. */
  mayFinish(pass: Pass): boolean {
    const closing = this.#closing;
    if (closing === undefined || pass.spec.work !== 'train') return pass.isComplete;
    this.#timer?.cancel();
    if (!pass.isComplete && !this.#isDue(closing, pass)) return false;
    const late = this.#tooLate(closing, pass.spec);
    if (late.length > 0) {
      const ranks = late.map(({ rank }) => rank);
      this.#bound ??= { sinceMs: this.#options.clock.now(), ranks };
      return false;
    }
    this.#tellBound(pass.spec);
    pass.close();
    return true;
  }

  /** What is added to the step of `spec`: no more micro-batches than it has itself. */
  due(spec: PassSpec): readonly DuePart[] {
    const due: DuePart[] = [];
    let left = spec.microBatchCount;
    for (const arrived of spec.reduction === 'star' ? this.#arrived : []) {
      const { records } = arrived;
      const staleness = spec.step - arrived.spec.step;
      const sampleCount = samplesOf(records);
      const countsAs = this.#closing ? staleSamples(this.#closing, staleness, sampleCount) : 0;
      // What finds no room is too old when the run is over, at the latest.
      if (countsAs === 0 || records.length > left) continue;
      left -= records.length;
      due.push({ arrived, records, sampleCount, countsAs, staleness });
    }
    return due;
  }

  /** The step of `pass` is committed, with `due` in it: whoever is not done with it owes that. */
  settle(pass: Pass, due: readonly DuePart[]): void {
    const { spec } = pass;
    const { plan, clock, followers } = this.#options;
    if (plan.closing === undefined) return;
    for (const part of due) this.#add(part, spec);
    const added = new Set(due.map(({ arrived }) => arrived));
    this.#arrived = this.#arrived.filter((arrived) => !added.has(arrived));
    this.#committed = spec.step + 1;
    for (const member of this.#holdersOf(pass)) {
      const samples = new Map(
        pass
          .unfinishedOf(member.workerId)
          .map((m) => [m, sampleRange(plan.train, spec.stepInEpoch, m).count]),
      );
      this.#owed.set(member, { spec, closedMs: clock.now(), samples });
      followers().leaveBehind(member);
    }
  }

  /** Takes what `member` owed, if that is it; why it cannot be true, if it cannot. */
  take(member: Member, { pass, records }: Contribution, sum: Uint8Array): string | undefined {
    const owed = this.#owed.get(member);
    if (owed === undefined || owed.spec.id !== pass) return undefined;
    const { plan, sums, clock } = this.#options;
    const { spec } = owed;
    const problem = problemWith(records, sum, { plan, spec, sums, isAudited: false });
    if (problem !== undefined) return problem;
    const microBatches = new Set(records.map(({ microBatch }) => microBatch));
    const isMissing = records.length === microBatches.size && isIn(microBatches, owed.samples);
    const lateMs = clock.now() - owed.closedMs;
    const taken = [...owed.samples].filter(([m]) => microBatches.has(m));
    for (const [m] of taken) this.#forget(spec, m);
    const arrived = { member, spec, records, sum: sum.slice(), lateMs };
    if (this.#closing?.kind === 'staleness' && isMissing && records.every(isFiniteRecord))
      this.#arrived.push(arrived);
    else if (taken.length > 0)
      this.#tell({ member, spec, samples: new Map(taken), lateMs, became: 'left-out' });
    return undefined;
  }

  /** What `member` owes does not come any more: it goes on with the present state, or is absent. */
  giveUp(member: Member): void {
    const owed = this.#owed.get(member);
    this.#owed.delete(member);
    if (owed === undefined) return;
    const { spec, closedMs } = owed;
    const others = [...this.#owed.values()].filter((other) => other.spec.id === spec.id);
    const isAlone = (m: number): boolean => others.every(({ samples }) => !samples.has(m));
    const samples = new Map([...owed.samples].filter(([m]) => isAlone(m)));
    const lateMs = this.#options.clock.now() - closedMs;
    if (samples.size > 0) this.#tell({ member, spec, samples, lateMs, became: 'lost' });
  }

  /** The run is over: what did not come is lost. */
  end(): void {
    this.#timer?.cancel();
    for (const member of [...this.#owed.keys()]) this.giveUp(member);
    for (const arrived of this.#arrived.splice(0)) this.#tellArrived(arrived, 'left-out');
  }

  begun({ pass, nowMs }: BegunPass): void {
    const { work, step } = pass.spec;
    // The run has gone back to an older state: all that was under way is void.
    if (work === 'train' && step < this.#committed) {
      this.#committed = step;
      this.end();
    }
    this.#beganMs = nowMs;
    this.#lastMs = this.#bound = undefined;
  }

  counted({ nowMs }: CountedPart): void {
    this.#lastMs = nowMs - this.#beganMs;
  }

  abandoned(): void {
    this.#timer?.cancel();
  }

  /** Nobody waits for what a worker owes that is silent, stuck, or gone. */
  left({ member }: Leaving): void {
    this.giveUp(member);
  }

  #isDue(closing: StepClosing, pass: Pass): boolean {
    const { clock, desk, membersIn, onDue } = this.#options;
    if (this.#mustBeWhole(closing, pass.spec)) return false;
    const holders = this.#holdersOf(pass);
    // What is given back is leased anew, and must not be lost between two steps.
    if (desk.isAsking(pass, holders)) return false;
    const elapsedMs = clock.now() - this.#beganMs;
    const awaited = holders.filter((member) => !desk.isLent(member));
    const unfinished = (member: Member): number => pass.unfinishedOf(member.workerId).length;
    const inMs = closesInMs(closing, {
      elapsedMs,
      lastMs: this.#lastMs,
      isAnyIdle: membersIn('active').some((member) => unfinished(member) === 0),
      expectedMs: awaited.map((member) => desk.expectedMs(member, unfinished(member), pass)),
    });
    if (inMs !== undefined && inMs > 0)
      this.#timer = clock.after(Math.max(MIN_WAIT_MS, inMs), onDue);
    return inMs !== undefined && inMs <= 0;
  }

  /** After the last step nothing can be added any more. */
  #mustBeWhole(closing: StepClosing, { step }: PassSpec): boolean {
    return closing.kind === 'staleness' && step + 1 === this.#options.plan.totalSteps;
  }

  /** Members whose gradients would be too old, or have no step, if the step were closed now. */
  #tooLate(closing: StepClosing, spec: PassSpec): Member[] {
    if (closing.kind !== 'staleness') return [];
    const isEnd = this.#mustBeWhole(closing, spec);
    return [...this.#owed].flatMap(([member, owed]) =>
      isEnd || spec.step - owed.spec.step >= closing.maxStaleness ? [member] : [],
    );
  }

  #holdersOf(pass: Pass): Member[] {
    const { membersIn } = this.#options;
    return [...membersIn('active'), ...membersIn('syncing')].filter(
      ({ workerId }) => pass.unfinishedOf(workerId).length > 0,
    );
  }

  #add({ arrived, countsAs, sampleCount, staleness }: DuePart, to: PassSpec): void {
    const { plan, sums, tallies } = this.#options;
    const { member, spec, records, sum } = arrived;
    const weight = countsAs / sampleCount;
    const scales = to.exponents.map((e, i) => weight * 2 ** (e - (spec.exponents[i] ?? 0)));
    sums.add(rescaled(sum, makeArenaLayout(plan.job.parameters), scales));
    tallies.counted({ member, spec, contribution: { records } });
    this.#addedAs += countsAs;
    this.#staleness.set(staleness, (this.#staleness.get(staleness) ?? 0) + 1);
    this.#tellArrived(arrived, 'added', { staleness, countedAs: countsAs });
  }

  #tellBound({ step }: PassSpec): void {
    const bound = this.#bound;
    this.#bound = undefined;
    if (bound === undefined) return;
    const waitMs = this.#options.clock.now() - bound.sinceMs;
    this.#boundSteps++;
    this.#boundMs += waitMs;
    this.#options.report({ kind: 'staleness-bound', step, ranks: bound.ranks, waitMs });
  }

  /** Nobody owes micro-batch `m` of the step of `spec` any more. */
  #forget(spec: PassSpec, m: number): void {
    for (const [member, owed] of this.#owed) {
      if (owed.spec.id !== spec.id) continue;
      owed.samples.delete(m);
      if (owed.samples.size === 0) this.#owed.delete(member);
    }
  }

  #tellArrived(
    { member, spec, records, lateMs }: Arrived,
    became: GradientLate['became'],
    how: Pick<GradientLate, 'staleness' | 'countedAs'> = {},
  ): void {
    const samples = new Map(records.map((r) => [r.microBatch, r.sampleCount]));
    this.#tell({ member, spec, samples, lateMs, became }, how);
  }

  #tell(
    {
      member,
      spec,
      samples,
      lateMs,
      became,
    }: Pick<Owed, 'spec' | 'samples'> &
      Pick<GradientLate, 'lateMs' | 'became'> & { member: Member },
    how: Pick<GradientLate, 'staleness' | 'countedAs'> = {},
  ): void {
    const count = [...samples.values()].reduce((a, b) => a + b, 0);
    this.#samples[became] += count;
    const what = { rank: member.rank, step: spec.step, microBatches: [...samples.keys()] };
    const event = { kind: 'gradient-late', ...what, samples: count, lateMs, became } as const;
    this.#options.report({ ...event, ...how });
  }
}

function isIn(microBatches: ReadonlySet<number>, samples: ReadonlyMap<number, number>): boolean {
  return [...microBatches].every((m) => samples.has(m));
}
