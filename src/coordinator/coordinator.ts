/**
 * The coordinator: one step after the other, it leases micro-batches, re-issues those of workers
 * that stall or die, and commits the step once every micro-batch is in exactly once.
 *
 * A step on this page: `#beginPass` sends plans with leases; contributions come in at
 * `#contribute`; the last one leads to `#finishPassIfComplete`, which sends the commit and begins
 * what is next. `#advance` is where every other event ends: it does what can be done now. Steps that
 * were granted (granting.ts) pass by in the same way, with nothing sent. Where workers add up among
 * themselves (peer-groups.ts) a pass is complete, then added up, then committed.
 *
 * It holds no replica: the state lives on the active workers, and a snapshot in the trajectory.
 * Whoever is behind gets the state and the commits since at its own pace, and takes leases once it
 * has caught up (followers.ts); the others go on meanwhile.
 */
import type { Timer } from '../base/clock.ts';
import type { LockstepError } from '../base/errors.ts';
import { microBatchesOfStep } from '../data/batches.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import type { Roster } from '../membership/roster.ts';
import type { Ledger } from '../metrics/events.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import { accountOf } from '../plan/step-account.ts';
import {
  type Commit,
  type Contribution,
  MAX_GRANTED_STEPS,
  type MicroBatchRecord,
  type ToCoordinator,
} from '../protocol/messages.ts';
import type { Connection } from '../transport/connection.ts';
import { Absences } from './absences.ts';
import { problemWith } from './steps/check-contribution.ts';
import type { CoordinatorOptions } from './coordinator-options.ts';
import { Gathering } from './gathering.ts';
import type { GrantedGroup } from './groups/granting.ts';
import type { LateTally } from './late-gradients.ts';
import { Pass, type PassSpec, samplesOf } from './steps/pass.ts';
import type { BegunPass } from './steps/pass-listener.ts';
import type { Position } from './groups/positions.ts';
import type { Undertaking } from './reporter.ts';
import { RunEnding } from './run-ending.ts';
import { createRunParts, type MemberHandlers, type RunParts } from './run-parts.ts';
import type { StepControl } from './step-control.ts';
import type { TimeSplit } from './steps/step-times.ts';
import { divergenceError } from './steps/trajectory.ts';
import type { ReturnPoint } from './states/returning.ts';
import { isSummed } from './steps/sums.ts';
import type { WorkerTally } from './tallies.ts';
import type { Mark, Snapshot } from './steps/trajectory.ts';
import { Verdicts } from './verdicts.ts';

/** How long a run that ends early waits for its last state: what workers compute comes before it. */
const KEEPING_MS = 10_000;
const KEPT_BYTES_PER_MS = 100_000;

/** Attempts at steps that were granted, at most, that may still be heard of when they are void. */
const MAX_UNHEARD_PASSES = 8 * MAX_GRANTED_STEPS;

const NOTHING = new Uint8Array(0);

/** One run, from the first worker to the result. */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #roster: Roster;
  readonly #parts: RunParts;
  readonly #verdicts: Verdicts;
  readonly #absences: Absences;
  readonly #ending: RunEnding;
  readonly #gathering: Gathering;
  /** `returning`: it is decided where the run goes on, which is being prepared. */
  #phase: 'gathering' | 'returning' | 'running' | 'over' = 'gathering';
  #pass: Pass | undefined;
  #passCount = 0;
  /** No step is begun any more; told once the last state is kept, or does not come. */
  #onKept: (() => void) | undefined;
  /** Until when it may come. */
  #keeping: Timer | undefined;
  /** A pass is being completed: what is next begins after that. */
  #isSettling = false;

  /**
   * `beginning` is where the run goes on; without it the initial state is made. It is not kept
   * beyond its time, so it is no option.
   */
  constructor(options: CoordinatorOptions, beginning?: Snapshot) {
    const control = this.#control();
    this.#options = options;
    this.#gathering = new Gathering(options.clock, options.plan);
    this.#parts = createRunParts(options, this.#memberHandlers(), control, beginning);
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
  get snapshot(): Snapshot {
    const { trajectory } = this.#parts;
    const { snapshot, step } = trajectory;
    // It may have been evaluated since it was fetched.
    const isEvaluated = trajectory.isKept && trajectory.isEvaluated;
    return isEvaluated ? { ...snapshot, evaluatedStep: step } : snapshot;
  }

  get ledger(): Ledger {
    return this.#parts.trajectory.ledger;
  }

  get timeSplit(): TimeSplit {
    return this.#parts.times.split();
  }

  /** Of gradients that steps did not wait for; undefined where they wait for all. */
  get late(): LateTally | undefined {
    return this.#parts.late.tally();
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

  /** The names of the keys by which members came in; each once. */
  identities(): string[] {
    const all = this.#roster.members().flatMap(({ link }) => link.identity ?? []);
    return [...new Set(all)];
  }

  /** Puts out whoever came in by this key, which is no longer good. */
  expel(identity: string, reason: string): void {
    if (this.#phase !== 'over') this.#roster.expel(identity, reason);
  }

  /** No more than `count` workers will come: the run does not wait for others to begin. */
  expectAtMost(count: number): void {
    this.#gathering.expectAtMost(count);
    this.#advance();
  }

  /** Has the state of a coming step become the snapshot soon, and goes on meanwhile. */
  renewSnapshot(): void {
    if (this.#phase === 'over') return;
    this.#parts.states.renew();
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
    if (!this.#mustComplete) this.#abandon();
    this.#advance();
  }

  /** Ends the run where it is; workers are told to go. */
  stop(reason: string): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#pass = undefined;
    this.#keeping?.cancel();
    this.#parts.late.end();
    for (const member of this.#roster.members()) this.#parts.tallies.keep(member);
    this.#roster.dismissAll(reason);
  }

  /** Begins or finishes whatever can be now. Safe to call at any time. */
  #advance(): void {
    if (this.#phase === 'over' || this.#isSettling) return;
    const { granting } = this.#parts;
    if (this.#onKept !== undefined && !this.#mustComplete) {
      if (this.#ending.keep()) this.#onKept();
      return;
    }
    if (this.#pass !== undefined) {
      if (granting.isOverdue) return this.#goOnWithoutHolder();
      // Of a pass that one worker computes alone there are no totals to follow.
      if (this.#pass.spec.reduction === 'star') this.#parts.states.serve();
      return this.#finishPassIfComplete();
    }
    if (this.#phase === 'returning') return;
    if (this.#phase === 'gathering' && !this.#canStart()) return;
    const { trajectory } = this.#parts;
    if (this.#ending.isUnderWay || trajectory.work === 'nothing') this.#finish();
    else if (this.#ending.secure()) this.#beginPass();
  }

  /** Whether workers may have committed the pass under way: it is completed, whatever happens. */
  get #mustComplete(): boolean {
    const { granting, groups } = this.#parts;
    return granting.members.length > 0 || groups.isAddingUp;
  }

  #canStart(): boolean {
    const ready = this.#roster.membersIn('ready');
    const { returning } = this.#parts;
    if (returning === undefined) {
      if (!this.#gathering.isEnough(ready.length)) return false;
      this.#start();
      return true;
    }
    if (!returning.isComplete(ready, this.#gathering.wanted)) return false;
    const point = returning.choose(ready);
    if (point !== undefined || this.#gathering.isEnough(ready.length)) this.#return(point);
    return false;
  }

  #start(): void {
    this.#phase = 'running';
    this.#parts.times.start(this.#parts.clock.now());
  }

  /** Goes on from the state of workers, or else from the snapshot, once that is prepared. */
  #return(point: ReturnPoint | undefined): void {
    const { trajectory, followers, reporter, returning } = this.#parts;
    returning?.end();
    const step = point?.mark.step ?? trajectory.step;
    this.#phase = 'returning';
    const begin = (evaluatedStep: number): void => {
      if (this.#phase !== 'returning') return;
      if (point !== undefined) trajectory.goOnAt({ ...point.mark, evaluatedStep });
      reporter.goesOn(step);
      for (const member of point?.holders ?? [])
        if (member.phase === 'ready') followers.comesWith(member, step);
      this.#start();
      this.#advance();
    };
    const { onReturned } = this.#options;
    if (onReturned === undefined) begin(trajectory.mark().evaluatedStep);
    else onReturned({ step, point }, begin);
  }

  #goOnWithoutHolder(): void {
    this.#abandon();
    this.#advance();
  }

  #beginPass(): void {
    const { plan, trajectory, granting, states, standBys, sums, reporter } = this.#parts;
    if (granting.members.length > 0) return this.#startGranted();
    const { work, step } = trajectory;
    standBys.act(step);
    states.serve();
    const members = this.#roster.membersIn('active');
    const followers = this.#roster.membersIn('syncing');
    if (this.#passCount === 0 && this.#gathering.waitsFor(followers.length)) return;
    if (members.length === 0 && followers.length > 0) return;
    if (members.length === 0 || work === 'nothing')
      return reporter.waiting(step, 'no worker is left; waiting for one to join');
    const isOneAlone = members.length === 1 && followers.length === 0;
    const isAlone = isOneAlone && plan.closing === undefined;
    const reduction = isAlone ? 'alone' : this.#reductionOf(work, members, followers.length > 0);
    if (!sums.begin({ work, reduction })) return this.#absences.evictClogged();
    if (work === 'evaluate' && step === plan.totalSteps && trajectory.isKept)
      this.#options.onTrained?.();
    const to = work === 'train' ? this.#grantableTo(reduction, members) : undefined;
    if (to !== undefined && granting.begin(to, this.#passCount + 1)) this.#startGranted();
    else this.#startPass({ work, reduction, members, isGranted: false });
  }

  /** Who may compute the next steps by itself. */
  #grantableTo(
    reduction: PassSpec['reduction'],
    members: readonly Member[],
  ): Member | GrantedGroup | undefined {
    const { plan, groups, desk, trajectory } = this.#parts;
    if (reduction === 'alone') return members.length === 1 ? members[0] : undefined;
    if (reduction === 'star') return undefined;
    const { microBatchCount } = microBatchesOfStep(plan.train, 0);
    const shares = desk.sharesOf(members, microBatchCount, trajectory.step);
    return groups.grantable(new Map(members.map((member, i) => [member, shares[i] ?? 0])));
  }

  #startGranted(): void {
    const { granting, trajectory } = this.#parts;
    const { members, group } = granting;
    const reduction = group === undefined ? 'alone' : 'group';
    const shares = group && { shares: granting.sharesAfter(trajectory.step) };
    this.#startPass({ work: 'train', reduction, members, isGranted: true, ...shares });
  }

  /** How sums of a pass travel that has several members, or somebody who follows it. */
  #reductionOf(
    work: PassSpec['work'],
    members: readonly Member[],
    hasFollowers: boolean,
  ): PassSpec['reduction'] {
    const { trajectory, groups } = this.#parts;
    if (work === 'evaluate') return 'star';
    const reduction = groups.reductionOf(members, hasFollowers, trajectory.step);
    // Of what is measured nothing is applied: no sum travels.
    return trajectory.isMeasured ? reduction : 'alone';
  }

  #startPass({
    work,
    reduction,
    ...how
  }: Pick<PassSpec, 'work' | 'reduction'> & Omit<BegunPass, 'pass' | 'nowMs'>): void {
    const { clock, trajectory, listeners } = this.#parts;
    const pass = new Pass(trajectory.specOf(work, ++this.#passCount, reduction));
    this.#pass = pass;
    const begun = { pass, ...how, nowMs: clock.now() };
    for (const listener of listeners) listener.begun?.(begun);
  }

  /** A contribution, and those of others that came before their pass. */
  #takeContribution(member: Member, contribution: Contribution, payload: Uint8Array): void {
    const { granting, times } = this.#parts;
    granting.hear(member, contribution.pass);
    const { addingMs, waitPeersMs } = contribution;
    times.noteAdded(member.rank, contribution.pass - 1, { addingMs, waitPeersMs });
    if (contribution.pass > this.#passCount) {
      if (granting.keep(member, contribution)) this.#advance();
      else this.#roster.evict(member, 'it is too far ahead of the others');
    } else this.#contribute(member, contribution, payload);
    this.#takeEarly();
  }

  #takeEarly(): void {
    const { granting } = this.#parts;
    for (;;) {
      const early = granting.takeEarly(this.#pass?.spec.id);
      if (early === undefined) return;
      this.#contribute(early.member, early.contribution, NOTHING);
    }
  }

  /**
   * A group is over whose steps were granted: what its members have committed counts, also where a
   * contribution was lost with its worker. Whoever has not come as far as others needs the state.
   */
  #catchUp(positions: ReadonlyMap<Member, Position>): void {
    const { followers, granting } = this.#parts;
    const { group } = granting;
    if (group === undefined) return;
    const there = [...positions].filter(([{ phase }]) => phase === 'active');
    const last = Math.max(...there.map(([, { pass }]) => pass), -1);
    const notes = there.find(([, { pass }]) => pass === last)?.[1];
    for (const member of group.members) {
      if (member.phase === 'active' && (positions.get(member)?.pass ?? -1) >= last) continue;
      followers.forget(member);
      if (member.phase === 'active') followers.leaveBehind(member);
    }
    granting.closeAt(last);
    this.#takeEarly();
    for (let pass = this.#pass; pass !== undefined && pass.spec.id <= last; pass = this.#pass) {
      const missing = new Set(pass.uncoveredBy([]));
      const shares = granting.sharesAfter(pass.spec.step);
      const told = notes?.recordsOf(pass.spec, shares) ?? [];
      pass.count(told.filter(({ microBatch }) => missing.has(microBatch)));
      this.#finishPassIfComplete();
      this.#takeEarly();
      if (this.#pass === pass) break;
    }
    if (granting.group !== undefined) {
      // Without records of what members have committed nobody's state is that of the run.
      if (this.#pass !== undefined && this.#pass.spec.id <= last) granting.revoke();
      granting.end();
      this.#drop(true);
    }
    this.#advance();
  }

  #contribute(member: Member, contribution: Contribution, payload: Uint8Array): void {
    const { plan, clock, sums, auditor, desk, granting, groups, listeners } = this.#parts;
    const pass = this.#pass;
    const { records } = contribution;
    const isTraining = records.some(({ maxima }) => maxima.length > 0);
    if (pass?.spec.id !== contribution.pass || groups.isUnanswered(member)) {
      const problem = this.#parts.late.take(member, contribution, payload);
      if (problem !== undefined) return this.#roster.evict(member, problem);
      desk.hear(member, records, isTraining);
      // Somebody may have waited for it.
      return plan.closing === undefined ? undefined : this.#advance();
    }
    const microBatches = records.map((record) => record.microBatch);
    if (!pass.accepts(member.workerId, microBatches))
      return this.#dismiss(member, pass, microBatches);
    const { spec } = pass;
    const sum = sums.received(payload);
    const problem = problemWith(records, sum, { plan, spec, sums, isAudited: auditor.isOn });
    if (problem !== undefined) return this.#roster.evict(member, problem);
    desk.hear(member, records, isTraining);
    if (isSummed(spec)) sums.add(sum);
    pass.count(records);
    const nowMs = clock.now();
    const turnaroundMs = desk.turnaroundMs(member, nowMs);
    const part = { member, spec, contribution, turnaroundMs, nowMs };
    for (const listener of listeners) listener.counted?.(part);
    if (!pass.isComplete && member.phase === 'active' && granting.group === undefined)
      desk.stealFor(member, pass, this.#roster.membersIn('active'));
    if (pass.isComplete || plan.closing !== undefined) this.#finishPassIfComplete();
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
    const { plan, clock, trajectory, auditor, granting, groups, late, listeners } = this.#parts;
    const positions = groups.takePositions();
    if (positions !== undefined) return this.#catchUp(positions);
    const pass = groups.takeOutcome() ?? this.#pass;
    if (pass === undefined || !late.mayFinish(pass)) return;
    // Nothing of it was applied: with the coordinator it is found out whose fault that is.
    if (granting.group !== undefined && !pass.records().every(isFiniteRecord))
      return this.#leaveGroup();
    if (!auditor.isSettled(pass) || !this.#isAddedUp(pass)) return;
    this.#pass = undefined;
    const { spec } = pass;
    const nowMs = clock.now();
    const isGranted = granting.members.length > 0;
    const due = late.due(spec);
    const outcome = trajectory.settle(pass, due);
    if (outcome.kind === 'failed') {
      // Its holder has found the same, and applies nothing.
      granting.end();
      return this.#failWithState(outcome.error);
    }
    this.#isSettling = true;
    if (outcome.kind === 'commit') {
      late.settle(pass, due);
      this.#tellDecided(trajectory.mark(), outcome.records, isGranted);
      if (isGranted) granting.follow(this.#onKept !== undefined);
      else this.#commit(spec, outcome.commit);
    }
    for (const listener of listeners) listener.completed?.({ spec, outcome, nowMs });
    this.#isSettling = false;
    if (outcome.kind === 'commit' && outcome.divergence !== undefined && plan.stopOnDivergence)
      return this.#failWithState(divergenceError(spec.step + 1, outcome.divergence));
    this.#advance();
  }

  /** Whether the total of a complete pass is where it is needed; if not, that is seen to. */
  #isAddedUp(pass: Pass): boolean {
    const { trajectory, groups, granting } = this.#parts;
    if (groups.isFencing) return false;
    if (pass.spec.reduction !== 'group') return true;
    if (granting.group !== undefined) return granting.hasAdded(pass.spec.id);
    const commit = trajectory.commitOf(pass);
    if (commit === undefined) return true;
    // Whoever has the total goes on by itself.
    if (!groups.isAddingUp) this.#tellDecided(trajectory.markAfter(pass), pass.records(), false);
    return groups.addUp(pass, commit);
  }

  #tellDecided(mark: Mark, records: readonly MicroBatchRecord[], isKnown: boolean): void {
    const account = accountOf(samplesOf(records), records);
    this.#options.onDecided?.({ account, mark, isKnown });
  }

  /** The step before the present one counts: whoever has not committed it by itself is told. */
  #commit(spec: PassSpec, commit: Commit): void {
    const { followers, groups, sums } = this.#parts;
    if (spec.reduction === 'group') {
      sums.forgetAll();
      return groups.settle(spec.step + 1);
    }
    sums.keep(commit, spec, this.#roster.membersIn('syncing').length === 0);
    followers.publish();
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
    const { granting, groups, followers, handOvers } = this.#parts;
    const furthest = this.#passCount + (granting.isAhead(member) ? MAX_UNHEARD_PASSES : 0);
    if ('pass' in message && (message.pass ?? 0) > furthest)
      return this.#roster.evict(member, `it speaks of pass ${message.pass}, which has not begun`);
    switch (message.kind) {
      case 'sendSamples':
        return this.#parts.dataGiver.take(member, message);
      case 'contribution':
        return this.#takeContribution(member, message, payload);
      case 'grouped':
        return this.#takeGrouped(member, message);
      case 'reduced':
        groups.takeReduced(member, message.pass);
        granting.takeReduced(member, message.pass);
        this.#parts.times.noteAdded(member.rank, message.pass, message);
        this.#advance();
        // Of whoever has no part in the last pass, nothing else tells of the one before.
        return this.#takeEarly();
      case 'fenced':
        if (!groups.takeFenced(member, message.generation, message.pass, payload))
          return this.#roster.evict(member, 'what it tells of granted steps has the wrong size');
        return this.#advance();
      case 'released':
        return this.#takeReleased(member, message.pass, message.microBatches);
      case 'state':
        return this.#takeState(member, message, payload);
      case 'serving':
        handOvers.takeServing(member, message.secret, message.stateDigest);
        return this.#advance();
      case 'fetched':
        followers.takeFetched(member, message.serial, message.problem === undefined);
        return this.#advance();
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

  #takeState(
    member: Member,
    { step, offset }: Extract<ToCoordinator, { kind: 'state' }>,
    part: Uint8Array,
  ): void {
    const { plan, states } = this.#parts;
    if (part.length === 0 || offset + part.length > plan.stateBytes)
      return this.#roster.evict(member, 'its state has the wrong size');
    states.take(member, step, offset, part);
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

  #takeGrouped(member: Member, grouped: Extract<ToCoordinator, { kind: 'grouped' }>): void {
    const reason = this.#parts.groups.hear(member, grouped);
    if (reason !== undefined) this.#leaveGroup();
    this.#advance();
  }

  /** What the group has not added up goes through the coordinator. */
  #leaveGroup(): void {
    const { granting, groups, sums, clock, listeners } = this.#parts;
    const pass = this.#pass;
    if (pass?.spec.reduction !== 'group') return groups.disband();
    if (granting.group !== undefined) return groups.fenceGranted(pass.spec.id - 1);
    groups.fence(pass);
    const open = pass.reopened();
    if (!sums.begin(open.spec)) return this.#abandon();
    this.#pass = open;
    for (const listener of listeners) listener.reopened?.(clock.now());
  }

  #abandon(): void {
    this.#drop(this.#parts.granting.revoke());
  }

  /** The pass under way is void, and all that follow it if they were granted. */
  #drop(wasGranted: boolean): void {
    this.#pass = undefined;
    if (wasGranted) this.#passCount += MAX_UNHEARD_PASSES;
    for (const listener of this.#parts.listeners) listener.abandoned?.();
  }

  #control(): StepControl {
    return {
      pass: () => this.#pass,
      leaveGroup: () => this.#leaveGroup(),
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
