/**
 * The coordinator: one step after the other, it leases micro-batches, re-issues those of workers
 * that stall or die, and commits the step once every micro-batch is in exactly once.
 *
 * It holds no replica: the state lives on the active workers, and a snapshot in the trajectory. A
 * newcomer gets the state at a step's beginning, from the snapshot or from a donor; while a donor
 * is asked, no pass is finished.
 */
import type { Clock } from '../base/clock.ts';
import { type LockstepError, RuntimeError } from '../base/errors.ts';
import { StarReducer } from '../collectives/star.ts';
import type { Ledger, RunEvent } from '../metrics/events.ts';
import type {
  Commit,
  Contribution,
  MicroBatchRecord,
  ToCoordinator,
  ToWorker,
} from '../protocol/messages.ts';
import { Broadcast, type Connection } from '../transport/connection.ts';
import { Auditor, type Finding } from './auditor.ts';
import { dataLimitsOf, fitsPlan, hasChecksum } from './check-contribution.ts';
import { LeaseDesk } from './lease-desk.ts';
import type { Member } from './member.ts';
import { Pass, type PassSpec } from './pass.ts';
import { Reporter, type WorkerTally } from './reporter.ts';
import { Roster, type Timing } from './roster.ts';
import type { PlanBytes, RunPlan } from '../plan/run-plan.ts';
import type { TimeSplit } from './step-times.ts';
import { StateKeeper } from './state-keeper.ts';
import { Trajectory } from './trajectory.ts';

/** How a run ended. */
export interface RunResult {
  readonly steps: number;
  /** The state after `steps` updates, unpadded float32: parameters, then optimizer regions. */
  readonly state: Uint8Array;
  readonly ledger: Ledger;
  readonly timeSplit: TimeSplit;
  readonly bytesSent: number;
  readonly workers: readonly WorkerTally[];
  /**
   * What the replicas themselves report of their state: equal digests, or something is badly wrong.
   */
  readonly replicaDigests: readonly {
    readonly rank: number;
    readonly weightsDigest: string;
    readonly stateDigest: string;
  }[];
}

export interface CoordinatorOptions {
  readonly plan: RunPlan;
  readonly bytes: PlanBytes;
  readonly clock: Clock;
  readonly timing: Timing;
  readonly newSession: () => string;
  readonly onEvent: (event: RunEvent) => void;
  /** Told once: the run is over. */
  readonly onFinished: (result: RunResult) => void;
  /** Told once: the run cannot go on. */
  readonly onFailed: (error: LockstepError) => void;
}

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #plan: RunPlan;
  readonly #roster: Roster;
  readonly #trajectory: Trajectory;
  readonly #desk: LeaseDesk;
  readonly #reporter: Reporter;
  readonly #reducer: StarReducer;
  readonly #auditor: Auditor;
  readonly #states: StateKeeper;
  /** Memory that each member's contributions are received into. */
  readonly #scratch = new Map<Member, Uint8Array>();
  readonly #startMs: number;
  /** The run begins when so many workers are ready. */
  #wanted: number;
  #phase: 'gathering' | 'running' | 'finishing' | 'over' = 'gathering';
  #pass: Pass | undefined;
  #passCount = 0;
  /** No pass could begin because all totals are on their way; the next flush tries again. */
  #isClogged = false;

  constructor(options: CoordinatorOptions) {
    const { plan, bytes, clock, timing, newSession } = options;
    const { job } = plan;
    const { jobFiles } = bytes;
    this.#options = options;
    this.#plan = plan;
    this.#trajectory = new Trajectory(plan, bytes);
    this.#desk = new LeaseDesk(clock, plan);
    this.#reporter = new Reporter(plan, options.onEvent);
    this.#reducer = new StarReducer(plan.sumElements);
    this.#auditor = new Auditor({
      rate: plan.auditRate,
      seed: job.seed,
      totalSteps: plan.totalSteps,
      active: () => this.#membersIn('active'),
      ask: (member, microBatch) => this.#askForAudit(member, microBatch),
    });
    this.#states = new StateKeeper({
      plan,
      clock,
      trajectory: this.#trajectory,
      reporter: this.#reporter,
      membersIn: (phase) => this.#membersIn(phase),
      onActive: (member) => {
        if (this.#pass !== undefined) this.#desk.admit(this.#pass, member);
      },
    });
    this.#startMs = clock.now();
    this.#wanted = plan.minWorkers;
    this.#roster = new Roster(
      { clock, timing, job, jobFiles, dataLimits: dataLimitsOf(plan), newSession },
      {
        onReady: () => this.#advance(),
        onMessage: (member, message, payload) => this.#receive(member, message, payload),
        payloadTarget: (member, kind, byteLength) => this.#payloadTarget(member, kind, byteLength),
        onStalled: (member, silentMs, reason) => this.#handleStall(member, silentMs, reason),
        onRevived: (member) => this.#handleRevival(member),
        onLost: (member, reason) => this.#handleLoss(member, reason),
        onRefused: (refusal) => this.#reporter.refused(refusal),
        onClockJumped: ({ rank, workerId }, jumpMs) =>
          this.#reporter.event({
            kind: 'clock-jumped',
            rank,
            workerId,
            step: this.#trajectory.step,
            jumpMs,
          }),
        onTick: () => this.#handleTick(),
      },
    );
  }

  /** Updates committed so far. */
  get committedSteps(): number {
    return this.#trajectory.step;
  }

  /** Whether anyone is in the run, in whatever state. */
  get hasMembers(): boolean {
    return this.#roster.members().length > 0;
  }

  get ledger(): Ledger {
    return this.#trajectory.ledger;
  }

  get timeSplit(): TimeSplit {
    return this.#reporter.timeSplit;
  }

  /** Micro-batches that a second worker has computed too, to compare. */
  get auditedCount(): number {
    return this.#auditor.auditedCount;
  }

  get bytesSent(): number {
    return this.#roster.totalBytes();
  }

  /** What every worker did, also those that are gone. */
  tallies(): WorkerTally[] {
    return this.#reporter.tallies(this.#roster.members());
  }

  /** Hands over a fresh connection from the transport. */
  accept(connection: Connection): void {
    if (this.#phase === 'over') connection.destroy();
    else this.#roster.accept(connection);
  }

  /** No more than `count` workers will come: the run does not wait for others to begin. */
  expectAtMost(count: number): void {
    this.#wanted = Math.min(this.#wanted, count);
    this.#advance();
  }

  /** Ends the run where it is; workers are told to go. */
  stop(reason: string): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#pass = undefined;
    for (const member of this.#roster.members()) this.#reporter.keepTally(member);
    this.#roster.dismissAll(reason);
  }

  // ---- what happens next ----

  /** Begins or finishes whatever can be now. Safe to call at any time. */
  #advance(): void {
    if (this.#phase === 'over') return;
    if (this.#pass !== undefined) return this.#finishPassIfComplete();
    if (this.#phase === 'gathering' && !this.#canStart()) return;
    if (this.#phase === 'finishing' || this.#trajectory.work === 'nothing') return this.#finish();
    this.#beginPass();
  }

  #canStart(): boolean {
    const readyCount = this.#membersIn('ready').length;
    const nowMs = this.#options.clock.now();
    const isPatient = nowMs - this.#startMs < this.#plan.gatherMs;
    if (readyCount === 0 || (readyCount < this.#wanted && isPatient)) return false;
    this.#phase = 'running';
    this.#reporter.start(nowMs);
    return true;
  }

  #beginPass(): void {
    this.#states.serve();
    const { work, step } = this.#trajectory;
    const participants = this.#membersIn('active');
    if (participants.length === 0 || work === 'nothing') {
      return this.#reporter.waiting(step, 'no worker is left; waiting for one to join');
    }
    const reduction = participants.length === 1 && !this.#states.isFetching ? 'alone' : 'star';
    this.#isClogged = work === 'train' && reduction === 'star' && !this.#reducer.begin();
    if (this.#isClogged) return this.#expelClogged();
    this.#pass = new Pass(this.#trajectory.specOf(work, ++this.#passCount, reduction));
    this.#auditor.begin(this.#pass.spec);
    this.#desk.begin(this.#pass, participants);
    if (work === 'train') this.#reporter.begun(this.#desk.beganMs);
  }

  /**
   * All totals are still on their way to somebody. A slow worker's flush brings us back to
   * `#beginPass`; one that is stalled with totals in its queue may never flush, and must join anew.
   */
  #expelClogged(): void {
    for (const member of this.#membersIn('stalled')) {
      if ((member.data?.queuedBytes ?? 0) > 0)
        this.#roster.expel(member, 'stalled with totals in its queue');
    }
  }

  #finishPassIfComplete(): void {
    const pass = this.#pass;
    if (pass === undefined || !pass.isComplete || !this.#auditor.isSettled(pass)) return;
    if (this.#states.isFetching) return;
    this.#pass = undefined;
    const nowMs = this.#options.clock.now();
    const outcome = this.#trajectory.settle(pass);
    if (outcome.kind === 'failed') return this.#fail(outcome.error);
    if (outcome.kind === 'redo') this.#reporter.redone(pass.spec.step, outcome.reason);
    else if (outcome.kind === 'evaluated')
      this.#reporter.evaluated(pass.spec, outcome.records, this.#desk.beganMs, nowMs);
    else {
      this.#broadcast(outcome.commit, pass.spec.reduction);
      this.#reporter.committed(pass.spec, outcome.records, nowMs);
    }
    this.#advance();
  }

  #broadcast(commit: Commit, reduction: PassSpec['reduction']): void {
    const receivers = this.#membersIn('active');
    if (reduction === 'alone') {
      for (const member of receivers) member.data?.send(commit);
      return;
    }
    const total = this.#reducer.finish();
    const payload = new Broadcast(total.bytes);
    for (const member of receivers) {
      total.retain();
      member.data?.send(commit, payload, () => {
        total.release();
        if (this.#isClogged) this.#advance();
      });
    }
    total.release();
  }

  #fail(error: LockstepError): void {
    this.stop(error.message);
    this.#options.onFailed(error);
  }

  // ---- messages ----

  #receive(member: Member, message: ToCoordinator, payload: Uint8Array): void {
    switch (message.kind) {
      case 'contribution':
        return this.#contribute(member, message, payload);
      case 'released':
        return this.#takeReleased(member, message.pass, message.microBatches);
      case 'state':
        return this.#takeState(member, message.step, payload);
      case 'applied':
        return this.#reporter.norms(message.step, message.norms);
      case 'digest':
        this.#states.takeDigest(member, message.step, message);
        return this.#advance();
      case 'audited':
        return this.#takeAudit(member, message.pass, message.records);
      case 'hello':
      case 'ready':
      case 'heartbeat':
      case 'failed':
        return; // the roster's
      default:
        message satisfies never;
    }
  }

  #payloadTarget(member: Member, kind: unknown, byteLength: number): Uint8Array | undefined {
    if (kind !== 'contribution' || byteLength !== this.#reducer.byteLength) return undefined;
    const kept = this.#scratch.get(member) ?? this.#reducer.takeScratch();
    if (kept !== undefined) this.#scratch.set(member, kept);
    return kept;
  }

  #contribute(member: Member, contribution: Contribution, payload: Uint8Array): void {
    const pass = this.#pass;
    if (pass === undefined || contribution.pass !== pass.spec.id || member.phase !== 'active')
      return;
    const { records } = contribution;
    const microBatches = records.map((record) => record.microBatch);
    if (!pass.accepts(member.workerId, microBatches)) return;
    const isSummed = pass.spec.work === 'train' && pass.spec.reduction === 'star';
    if (
      payload.length !== (isSummed ? this.#reducer.byteLength : 0) ||
      !fitsPlan(this.#plan, pass.spec, records)
    ) {
      return this.#roster.expel(member, 'its contribution does not fit the plan');
    }
    if (
      isSummed &&
      this.#auditor.isOn &&
      !hasChecksum(records, this.#reducer.checksumOf(payload))
    ) {
      return this.#roster.expel(
        member,
        'the sum it sent is not that of its gradients: it was damaged on its way',
      );
    }
    if (isSummed) this.#reducer.add(payload);
    pass.count(records);
    this.#auditor.contributed(member, records);
    member.progressMs = this.#options.clock.now();
    this.#reporter.contribution(member, pass.spec, contribution, member.progressMs);
    if (pass.isComplete) this.#finishPassIfComplete();
    else this.#desk.stealFor(member, pass, this.#membersIn('active'));
  }

  #takeReleased(member: Member, passId: number, microBatches: readonly number[]): void {
    const pass = this.#pass;
    if (pass === undefined || pass.spec.id !== passId || member.phase !== 'active') return;
    this.#desk.takeReleased(member, pass, microBatches, this.#membersIn('active'));
  }

  // ---- audits ----

  #askForAudit(member: Member, microBatch: number): void {
    const pass = this.#pass;
    if (pass === undefined) return;
    member.progressMs = this.#options.clock.now();
    member.control.send({
      kind: 'audit',
      pass: pass.spec.id,
      microBatches: [microBatch],
    } satisfies ToWorker);
  }

  #takeAudit(member: Member, passId: number, records: readonly MicroBatchRecord[]): void {
    if (this.#pass?.spec.id !== passId || member.phase !== 'active') return;
    member.progressMs = this.#options.clock.now();
    this.#consider(this.#auditor.answered(member, records));
  }

  /** Acts on what audits found; then the pass may be complete. */
  #consider(findings: readonly Finding[]): void {
    const disputed = findings.find(({ kind }) => kind === 'disputed');
    if (disputed !== undefined) return this.#fail(disputeError(disputed, this.#trajectory.step));
    if (findings.length > 0) return this.#distrust(findings);
    this.#finishPassIfComplete();
  }

  /** Puts out for good who computed wrong, and goes back to a state that has nothing of theirs. */
  #distrust(findings: readonly Finding[]): void {
    const { step } = this.#trajectory;
    const wrong = new Map(
      findings.flatMap(({ microBatch, opinions }) =>
        opinions.map((o) => [o.workerId, { ...o, microBatch }]),
      ),
    );
    this.#pass = undefined;
    this.#states.abandon();
    for (const { workerId, rank, microBatch } of wrong.values()) {
      const reason =
        `two other workers agree on another gradient of micro-batch ${microBatch} than it ` +
        'computed';
      this.#reporter.event({ kind: 'worker-distrusted', rank, workerId, step, microBatch, reason });
      this.#roster.ban(workerId, `it computed wrong gradients in this run: ${reason}`);
    }
    this.#states.undo([...wrong.keys()]);
    if (this.#phase === 'finishing') this.#phase = 'running';
    for (const member of this.#roster.members()) {
      if (wrong.has(member.workerId)) this.#roster.expel(member, 'it computed wrong gradients');
    }
    this.#advance();
  }

  // ---- members come and go ----

  #handleStall(member: Member, silentMs: number, reason: string): void {
    const { step } = this.#trajectory;
    this.#states.noteStall(member);
    const { rank, workerId } = member;
    this.#reporter.event({ kind: 'worker-stalled', rank, workerId, step, silentMs, reason });
    this.#releaseFrom(member);
  }

  #handleRevival(member: Member): void {
    // If nothing was committed without it, and nobody else could, its state is still the newest.
    const isOnlyHolder =
      this.#pass === undefined &&
      this.#membersIn('active').length === 0 &&
      !this.#states.isFetching;
    if (isOnlyHolder && this.#states.isNewest(member)) member.phase = 'active';
    this.#advance();
  }

  #handleLoss(member: Member, reason: string): void {
    const scratch = this.#scratch.get(member);
    if (scratch !== undefined) this.#reducer.returnScratch(scratch);
    this.#scratch.delete(member);
    this.#reporter.keepTally(member);
    if (this.#phase === 'over') return;
    const { rank, workerId } = member;
    if (member.isLoaded)
      this.#reporter.event({
        kind: 'worker-lost',
        rank,
        workerId,
        step: this.#trajectory.step,
        reason,
      });
    else {
      const { peer } = member.control;
      this.#reporter.refused({ peer, rank, reason: `left before it was ready: ${reason}` });
    }
    this.#releaseFrom(member);
  }

  /** A member can no longer do what it was to do: others take over. */
  #releaseFrom(member: Member): void {
    const pass = this.#pass;
    const hasDonated = this.#states.release(member);
    const active = this.#membersIn('active');
    const findings = pass === undefined ? [] : this.#auditor.leave(member.workerId);
    if (findings.length > 0) return this.#consider(findings);
    if (pass !== undefined && active.length === 0) this.#abandonPass();
    else if (pass !== undefined) {
      const free = pass.revoke(member.workerId);
      const { step } = pass.spec;
      if (free.length > 0) {
        this.#reporter.event({
          kind: 'micro-batches-reissued',
          step,
          fromRank: member.rank,
          microBatches: free,
        });
        this.#desk.reissue(pass, free, active);
      }
      if (hasDonated) this.#states.fetch();
    }
    this.#advance();
  }

  /** Nobody active is left: what was computed for the pass is void. */
  #abandonPass(): void {
    this.#pass = undefined;
    this.#states.abandon();
  }

  #handleTick(): void {
    for (const member of this.#membersIn('active')) {
      const pass = this.#pass;
      if (pass === undefined) break;
      const idleMs = this.#desk.stuckMs(member, pass, this.#auditor.isAsked(member.workerId));
      if (idleMs === undefined) continue;
      const reason = `alive, but no progress for ${(idleMs / 1000).toFixed(1)} s`;
      this.#roster.stall(member, 'stuck', idleMs, reason);
    }
    // Nobody is waited for in vain: who owes an answer about its state and sends nothing is
    // stalled.
    for (const { member, silentMs } of this.#states.overdue(this.#phase === 'finishing')) {
      const reason = `alive, but no answer about its state for ${(silentMs / 1000).toFixed(1)} s`;
      this.#roster.stall(member, 'stuck', silentMs, reason);
    }
    this.#advance();
  }

  #takeState(member: Member, step: number, payload: Uint8Array): void {
    if (payload.length !== this.#plan.stateBytes)
      return this.#roster.expel(member, 'its state has the wrong size');
    if (this.#states.take(member, step, payload)) this.#advance();
  }

  // ---- the end ----

  /** Collects the final state and every replica's digest of it. */
  #finish(): void {
    const holders = this.#membersIn('active');
    const { step } = this.#trajectory;
    if (this.#phase !== 'finishing') {
      this.#phase = 'finishing';
      this.#states.askForDigests(holders);
    }
    if (!this.#trajectory.isKept) return this.#collectState(holders);
    if (holders.some((member) => this.#states.digestsOf(member) === undefined)) return;
    const noDigest = { weightsDigest: '', stateDigest: '' };
    const result: RunResult = {
      steps: step,
      state: this.#trajectory.snapshot.bytes,
      ledger: this.ledger,
      timeSplit: this.timeSplit,
      bytesSent: this.bytesSent,
      workers: this.tallies(),
      replicaDigests: holders.map((member) => ({
        rank: member.rank,
        ...(this.#states.digestsOf(member) ?? noDigest),
      })),
    };
    this.stop('the run is finished');
    this.#options.onFinished(result);
  }

  #collectState(holders: readonly Member[]): void {
    if (holders.length === 0) {
      // Everyone died after the last commit: the end of the run is computed again.
      this.#phase = 'running';
      return this.#beginPass();
    }
    if (!this.#states.isFetching) this.#states.fetch();
  }

  #membersIn(phase: Member['phase']): Member[] {
    return this.#roster.members().filter((member) => member.phase === phase);
  }
}

function disputeError({ microBatch, opinions }: Finding, step: number): RuntimeError {
  const ranks = opinions.map(({ rank }) => rank);
  return new RuntimeError(
    `step ${step}, micro-batch ${microBatch}: ranks ${ranks.join(' and ')} compute different ` +
      'gradients, and no other worker is there to tell who is right. Nothing of this step was ' +
      'applied. Add a worker, or find out which machine is broken.',
    { step, microBatch, ranks },
  );
}
