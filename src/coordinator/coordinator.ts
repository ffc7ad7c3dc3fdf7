/**
 * The coordinator: one step after the other, it leases micro-batches, re-issues those of workers
 * that stall or die, and commits the step once every micro-batch is in exactly once.
 *
 * A step on this page: `#beginPass` sends plans with leases; contributions come in at
 * `#contribute`; the last one leads to `#finishPassIfComplete`, which sends the commit and begins
 * what is next. `#advance` is where every other event ends: it does what can be done now.
 *
 * It holds no replica: the state lives on the active workers, and a snapshot in the trajectory.
 * Whoever is behind gets the state and the commits since at its own pace, and takes leases once it
 * has caught up (followers.ts); the others go on meanwhile.
 */
import type { Timer } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import type { Roster } from '../membership/roster.ts';
import type { Ledger } from '../metrics/events.ts';
import { type Contribution, MAX_GRANTED_STEPS, type ToCoordinator } from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';
import { Absences } from './absences.ts';
import { problemWith } from './check-contribution.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import { Gathering } from './gathering.ts';
import { Pass, type PassSpec } from './pass.ts';
import type { Undertaking } from './reporter.ts';
import { RunEnding } from './run-ending.ts';
import { createRunParts, type MemberHandlers, type RunParts } from './run-parts.ts';
import type { StepControl } from './step-control.ts';
import type { TimeSplit } from './step-times.ts';
import { divergenceError } from './trajectory.ts';
import { isSummed } from './sums.ts';
import type { WorkerTally } from './tallies.ts';
import type { Snapshot } from './trajectory.ts';
import { Verdicts } from './verdicts.ts';

/** How long a run that ends early waits for its last state: what workers compute comes before it. */
const KEEPING_MS = 10_000;
const KEPT_BYTES_PER_MS = 100_000;

/** Attempts at steps that were granted, at most, that may still be heard of when they are void. */
const MAX_UNHEARD_PASSES = 8 * MAX_GRANTED_STEPS;

/** One run, from the first worker to the result. */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #roster: Roster;
  readonly #parts: RunParts;
  readonly #verdicts: Verdicts;
  readonly #absences: Absences;
  readonly #ending: RunEnding;
  readonly #gathering: Gathering;
  #phase: 'gathering' | 'running' | 'over' = 'gathering';
  #pass: Pass | undefined;
  #passCount = 0;
  /** No step is begun any more; told once the last state is kept, or does not come. */
  #onKept: (() => void) | undefined;
  /** Until when it may come. */
  #keeping: Timer | undefined;
  /** A pass is being completed: what is next begins after that. */
  #isSettling = false;

  /**
   * `initialState`, before the first update, is made where it is absent; it is not kept beyond its
   * time, so it is no option.
   */
  constructor(options: CoordinatorOptions, initialState?: Uint8Array) {
    const control = this.#control();
    this.#options = options;
    this.#gathering = new Gathering(options.clock, options.plan);
    this.#parts = createRunParts(options, this.#memberHandlers(), control, initialState);
    this.#roster = this.#parts.roster;
    this.#verdicts = new Verdicts(this.#parts, control);
    this.#absences = new Absences(this.#parts, this.#verdicts, control);
    this.#ending = new RunEnding(this.#parts);
  }

  /** Updates committed so far. */
  get committedSteps(): number {
    return this.#parts.trajectory.step;
  }

  /** Whether anyone is in the run, in whatever state. */
  get hasMembers(): boolean {
    return this.#roster.members().length > 0;
  }

  /** The last state that was fetched from a worker; of step 0, the initial one. */
  get snapshot(): Pick<Snapshot, 'step' | 'bytes'> {
    return this.#parts.trajectory.snapshot;
  }

  get ledger(): Ledger {
    return this.#parts.trajectory.ledger;
  }

  get timeSplit(): TimeSplit {
    return this.#parts.times.split();
  }

  /** Micro-batches that a second worker has computed too, to compare. */
  get auditedCount(): number {
    return this.#parts.auditor.auditedCount;
  }

  get bytesSent(): number {
    return this.#roster.totalBytes();
  }

  /** What every worker did, also those that are gone. */
  tallies(): WorkerTally[] {
    return this.#parts.tallies.of(this.#roster.members());
  }

  /** Hands over a fresh connection from the transport. */
  accept(connection: Connection): void {
    if (this.#phase === 'over') this.#roster.dismiss(connection, 'the run is over');
    else this.#roster.accept(connection);
  }

  /** No more than `count` workers will come: the run does not wait for others to begin. */
  expectAtMost(count: number): void {
    this.#gathering.expectAtMost(count);
    this.#advance();
  }

  /**
   * Gives up what is under way, and has the state of the last commit become the snapshot; calls
   * `onKept` when it is, or nobody has it, or it does not come. The caller ends the run then. Whose
   * state is being kept already is told at once.
   */
  keepState(onKept: () => void): void {
    if (this.#onKept !== undefined) return this.#onKept();
    if (this.#phase !== 'running') return onKept();
    const { clock, plan } = this.#parts;
    this.#onKept = onKept;
    this.#keeping = clock.after(KEEPING_MS + plan.stateBytes / KEPT_BYTES_PER_MS, onKept);
    // What was granted is done to its end.
    if (this.#parts.granting.holder === undefined) this.#abandon();
    this.#advance();
  }

  /** Ends the run where it is; workers are told to go. */
  stop(reason: string): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#pass = undefined;
    this.#keeping?.cancel();
    for (const member of this.#roster.members()) this.#parts.tallies.keep(member);
    this.#roster.dismissAll(reason);
  }

  /** Begins or finishes whatever can be now. Safe to call at any time. */
  #advance(): void {
    if (this.#phase === 'over' || this.#isSettling) return;
    const { granting } = this.#parts;
    if (this.#onKept !== undefined && granting.holder === undefined) {
      if (this.#ending.keep()) this.#onKept();
      return;
    }
    if (this.#pass !== undefined) {
      if (granting.isOverdue) return this.#goOnWithoutHolder();
      // Of a pass that one worker computes alone there are no totals to follow.
      if (this.#pass.spec.reduction === 'star') this.#parts.states.serve();
      return this.#finishPassIfComplete();
    }
    if (this.#phase === 'gathering' && !this.#canStart()) return;
    const { trajectory } = this.#parts;
    if (this.#ending.isUnderWay || trajectory.work === 'nothing') this.#finish();
    else if (this.#ending.secure()) this.#beginPass();
  }

  #canStart(): boolean {
    if (!this.#gathering.isEnough(this.#roster.membersIn('ready').length)) return false;
    this.#phase = 'running';
    this.#parts.times.start(this.#parts.clock.now());
    return true;
  }

  #goOnWithoutHolder(): void {
    this.#abandon();
    this.#advance();
  }

  #beginPass(): void {
    const { plan, trajectory, granting, states, sums, reporter } = this.#parts;
    const { holder } = granting;
    if (holder !== undefined) return this.#start('train', 'alone', [holder], true);
    states.serve();
    const { work, step } = trajectory;
    const members = this.#roster.membersIn('active');
    const followers = this.#roster.membersIn('syncing');
    if (this.#passCount === 0 && this.#gathering.waitsFor(followers.length)) return;
    if (members.length === 0 && followers.length > 0) return;
    if (members.length === 0 || work === 'nothing')
      return reporter.waiting(step, 'no worker is left; waiting for one to join');
    const isAlone = members.length === 1 && followers.length === 0;
    // Of what is measured nothing is applied: no sum travels.
    const isKept = work === 'evaluate' || trajectory.isMeasured;
    const reduction = isAlone || !isKept ? 'alone' : 'star';
    if (!sums.begin({ work, reduction })) return this.#absences.evictClogged();
    if (work === 'evaluate' && step === plan.totalSteps && trajectory.isKept)
      this.#options.onTrained?.();
    const [only] = isAlone && work === 'train' ? members : [];
    const isGranted = only !== undefined && granting.begin(only, this.#passCount + 1);
    this.#start(work, reduction, members, isGranted);
  }

  #start(
    work: PassSpec['work'],
    reduction: PassSpec['reduction'],
    members: readonly Member[],
    isGranted: boolean,
  ): void {
    const { clock, trajectory, listeners } = this.#parts;
    const pass = new Pass(trajectory.specOf(work, ++this.#passCount, reduction));
    this.#pass = pass;
    const begun = { pass, members, isGranted, nowMs: clock.now() };
    for (const listener of listeners) listener.begun?.(begun);
  }

  #contribute(member: Member, contribution: Contribution, sum: Uint8Array): void {
    const { plan, clock, sums, auditor, desk, listeners } = this.#parts;
    const pass = this.#pass;
    const { records } = contribution;
    const isTraining = records.some(({ maxima }) => maxima.length > 0);
    if (pass?.spec.id !== contribution.pass) return desk.hear(member, records, isTraining);
    const microBatches = records.map((record) => record.microBatch);
    if (!pass.accepts(member.workerId, microBatches))
      return this.#dismiss(member, pass, microBatches);
    const { spec } = pass;
    const problem = problemWith(records, sum, { plan, spec, sums, isAudited: auditor.isOn });
    if (problem !== undefined) return this.#roster.evict(member, problem);
    desk.hear(member, records, isTraining);
    if (isSummed(spec)) sums.add(sum);
    pass.count(records);
    const nowMs = clock.now();
    const turnaroundMs = desk.turnaroundMs(member, nowMs);
    const part = { member, spec, contribution, turnaroundMs, nowMs };
    for (const listener of listeners) listener.counted?.(part);
    if (pass.isComplete) this.#finishPassIfComplete();
    else if (member.phase === 'active')
      desk.stealFor(member, pass, this.#roster.membersIn('active'));
  }

  /** A contribution that comes too late or a second time: what else was in it is computed anew. */
  #dismiss(member: Member, pass: Pass, microBatches: readonly number[]): void {
    this.#parts.desk.hear(member, [], false);
    pass.revoke(member.workerId, microBatches);
    this.#absences.cover(member);
  }

  #takeReleased(member: Member, passId: number, microBatches: readonly number[]): void {
    const pass = this.#pass;
    if (pass?.spec.id !== passId) return;
    this.#parts.desk.takeReleased(member, pass, microBatches, this.#roster.membersIn('active'));
  }

  #finishPassIfComplete(): void {
    const { plan, clock, trajectory, auditor, followers, granting, sums, listeners } = this.#parts;
    const pass = this.#pass;
    if (pass === undefined || !pass.isComplete || !auditor.isSettled(pass)) return;
    this.#pass = undefined;
    const { spec } = pass;
    const nowMs = clock.now();
    const { holder } = granting;
    const outcome = trajectory.settle(pass);
    if (outcome.kind === 'failed') {
      // Its holder has found the same, and applies nothing.
      granting.end();
      return this.#failWithState(outcome.error);
    }
    this.#isSettling = true;
    if (outcome.kind === 'commit') {
      if (holder !== undefined) granting.follow(this.#onKept !== undefined);
      else {
        sums.keep(outcome.commit, spec, this.#roster.membersIn('syncing').length === 0);
        followers.publish();
      }
    }
    for (const listener of listeners) listener.completed?.({ spec, outcome, nowMs });
    this.#isSettling = false;
    if (outcome.kind === 'commit' && outcome.divergence !== undefined && plan.stopOnDivergence)
      return this.#failWithState(divergenceError(spec.step + 1, outcome.divergence));
    this.#advance();
  }

  #finish(): void {
    const end = this.#ending.collect();
    if (end === 'waiting') return;
    if (end === 'lost') return this.#beginPass();
    this.stop('the run is finished');
    this.#options.onFinished(end);
  }

  /** The run cannot go on, but the state of the last commit is as good as before. */
  #failWithState(error: LockstepError): void {
    this.keepState(() => this.#fail(error));
  }

  #fail(error: LockstepError): void {
    if (this.#phase === 'over') return;
    this.stop(error.message);
    this.#options.onFailed(error);
  }

  #receive(member: Member, message: ToCoordinator, payload: Uint8Array): void {
    if ('pass' in message && message.pass > this.#passCount)
      return this.#roster.evict(member, `it speaks of pass ${message.pass}, which has not begun`);
    switch (message.kind) {
      case 'contribution':
        return this.#contribute(member, message, payload);
      case 'released':
        return this.#takeReleased(member, message.pass, message.microBatches);
      case 'state':
        return this.#takeState(member, message.step, payload);
      case 'applied':
        return this.#takeNorms(member, message.step, message.norms);
      case 'digest':
        this.#parts.states.takeDigest(member, message.ask, message);
        return this.#verdicts.actOrAdvance();
      case 'audited':
        return this.#verdicts.take(member, message.pass, message.records);
      case 'hello':
      case 'ready':
      case 'heartbeat':
      case 'failed':
        return; // membership's
      default:
        message satisfies never;
    }
  }

  #takeState(member: Member, step: number, payload: Uint8Array): void {
    const { plan, states } = this.#parts;
    if (payload.length !== plan.stateBytes)
      return this.#roster.evict(member, 'its state has the wrong size');
    states.take(member, step, payload);
    this.#verdicts.actOrAdvance();
  }

  /** Only who has the state of the run knows its norms. */
  #takeNorms(member: Member, step: number, norms: readonly (number | null)[]): void {
    const { plan, trajectory, reporter } = this.#parts;
    const isOurs = plan.job.tracksNorms && member.phase === 'active' && step <= trajectory.step;
    if (isOurs) reporter.norms(step, norms);
  }

  #tick(nowMs: number): void {
    this.#absences.tick();
    if (this.#phase !== 'over') this.#parts.reporter.tick(nowMs, this.#betweenPasses());
  }

  /** What the run waits for when it is not in a pass. */
  #betweenPasses(): Undertaking {
    const { step } = this.#parts.trajectory;
    const countIn = (phase: MemberPhase): number => this.#roster.membersIn(phase).length;
    if (this.#phase === 'gathering')
      return { activity: 'loading', step, done: countIn('ready'), of: this.#gathering.wanted };
    const [done, coming] = [countIn('active'), countIn('syncing')];
    const isEnding = this.#onKept !== undefined || step === this.#parts.plan.totalSteps;
    const activity = isEnding ? 'collecting' : 'handing-over';
    return { activity, step, done, of: done + coming };
  }

  #abandon(): void {
    this.#pass = undefined;
    if (this.#parts.granting.revoke()) this.#passCount += MAX_UNHEARD_PASSES;
    for (const listener of this.#parts.listeners) listener.abandoned?.();
  }

  #control(): StepControl {
    return {
      pass: () => this.#pass,
      isOver: () => this.#phase === 'over',
      abandon: () => this.#abandon(),
      advance: () => this.#advance(),
      fail: (error) => this.#fail(error),
    };
  }

  #memberHandlers(): MemberHandlers {
    return {
      onReady: ({ hello }) => {
        this.#options.onReady?.(hello);
        this.#advance();
      },
      onMessage: (member, message, payload) => this.#receive(member, message, payload),
      onStalled: (member, stall) => this.#absences.stalled(member, stall),
      onRevived: () => this.#absences.revived(),
      onLost: (member, reason) => this.#absences.lost(member, reason),
      onTick: (nowMs) => this.#tick(nowMs),
    };
  }
}
