/**
 * The coordinator: one step after the other, it leases micro-batches, re-issues those of workers that stall
 * or die, and commits the step once every micro-batch is in exactly once.
 *
 * What it decides depends only on the run plan and on sums that have no order; who computed what, when and how
 * often never shows in the result. It holds no replica: the state lives on the active workers, and a snapshot here.
 */
import type { Clock } from '../base/clock.ts';
import { type LockstepError, NonFiniteError } from '../base/errors.ts';
import { StarReducer } from '../collectives/star.ts';
import { microBatchesOfStep, sampleRange, stepsPerEpoch } from '../data/batches.ts';
import type { Ledger, RunEvent } from '../metrics/events.ts';
import { gridExponents, mergeMaxima, nextMaxima, overflowsGrid, type GridMaxima } from '../plan/grid.ts';
import { planLeases } from '../plan/shares.ts';
import type {
  Commit,
  Contribution,
  MicroBatchRecord,
  Plan,
  ToCoordinator,
  ToWorker,
} from '../protocol/messages.ts';
import { Broadcast, type Connection } from '../transport/connection.ts';
import { learnSpeed, type Member } from './member.ts';
import { Pass, type PassSpec } from './pass.ts';
import { Roster, type Timing } from './roster.ts';
import type { RunPlan } from './run-plan.ts';
import { StepTimes, type TimeSplit } from './step-times.ts';

/** How a run ended. */
export interface RunResult {
  readonly steps: number;
  /** The state after `steps` updates, unpadded float32: parameters, then optimizer regions. */
  readonly state: Uint8Array;
  readonly ledger: Ledger;
  readonly timeSplit: TimeSplit;
  readonly bytesSent: number;
  readonly workers: readonly WorkerTally[];
  /** What the replicas themselves report of their state: equal digests, or something is badly wrong. */
  readonly replicaDigests: readonly {
    readonly rank: number;
    readonly weightsDigest: string;
    readonly stateDigest: string;
  }[];
}

/** What one worker did in the run. */
export interface WorkerTally {
  readonly rank: number;
  readonly workerId: string;
  readonly host: string;
  readonly lanes: number;
  readonly samples: number;
  readonly microBatches: number;
}

export interface CoordinatorOptions {
  readonly plan: RunPlan;
  readonly clock: Clock;
  readonly timing: Timing;
  readonly newSession: () => string;
  readonly onEvent: (event: RunEvent) => void;
  /** Told once: the run is over. */
  readonly onFinished: (result: RunResult) => void;
  /** Told once: the run cannot go on. */
  readonly onFailed: (error: LockstepError) => void;
  readonly onRefused: (peer: string, reason: string) => void;
}

/** A state that survives the workers, with all that the run needs to go on from it. */
interface Snapshot {
  readonly step: number;
  readonly bytes: Uint8Array;
  readonly maxima: GridMaxima | undefined;
  readonly ledger: Ledger;
}

const NO_SAMPLES: Ledger = { expected: 0, counted: 0, dropped: 0, duplicated: 0 };
/** A worker without progress is given this long, or four times what a micro-batch takes it. */
const STUCK_MS = 3_000;
/** Before its speed is known, a worker may take this long for its first micro-batch. */
const FIRST_MICRO_BATCH_MS = 60_000;

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #plan: RunPlan;
  readonly #roster: Roster;
  readonly #reducer: StarReducer;
  readonly #scratch = new Map<Member, Uint8Array>();
  readonly #times: StepTimes;
  readonly #tallies = new Map<string, WorkerTally>();
  readonly #startMs: number;
  #phase: 'gathering' | 'running' | 'finishing' | 'over' = 'gathering';
  #step = 0;
  /** Steps reported so far: a step that is computed again after a rollback is not reported again. */
  #reportedSteps = 0;
  #evaluatedStep = -1;
  #pass: Pass | undefined;
  #passCount = 0;
  #passStartedMs = 0;
  /** Undefined until the first attempt of the first step has measured them. */
  #maxima: GridMaxima | undefined;
  #ledger: Ledger = NO_SAMPLES;
  #snapshot: Snapshot;
  #snapshotAtMs: number;
  /** The member that was asked for the state at the current step. */
  #donor: Member | undefined;
  #isWaiting = false;
  /** No pass could begin because all totals are on their way; the next flush tries again. */
  #isClogged = false;
  #normsStep = -1;
  /** The step whose state a stalled member holds, once it has read what was sent to it. */
  readonly #heldStep = new WeakMap<Member, number>();
  readonly #digests = new Map<number, { weightsDigest: string; stateDigest: string }>();

  constructor(options: CoordinatorOptions) {
    const { plan, clock } = options;
    this.#options = options;
    this.#plan = plan;
    this.#reducer = new StarReducer(plan.sumElements);
    this.#snapshot = { step: 0, bytes: plan.initialState, maxima: undefined, ledger: NO_SAMPLES };
    this.#startMs = clock.now();
    this.#snapshotAtMs = this.#startMs;
    this.#times = new StepTimes();
    this.#roster = new Roster(
      {
        clock,
        timing: options.timing,
        job: plan.job,
        jobFiles: plan.jobFiles,
        maxPayloadBytes: Math.max(plan.initialState.length, this.#reducer.byteLength),
        newSession: options.newSession,
      },
      {
        onReady: () => this.#advance(),
        onMessage: (member, message, payload) => this.#receive(member, message, payload),
        payloadTarget: (member, kind, byteLength) => this.#payloadTarget(member, kind, byteLength),
        onStalled: (member, silentMs, reason) => this.#handleStall(member, silentMs, reason),
        onRevived: (member) => this.#handleRevival(member),
        onLost: (member, reason) => this.#handleLoss(member, reason),
        onRefused: options.onRefused,
        onTick: (nowMs) => this.#handleTick(nowMs),
      },
    );
  }

  /** Updates committed so far. */
  get committedSteps(): number {
    return this.#step;
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Hands over a fresh connection from the transport. */
  accept(connection: Connection): void {
    if (this.#phase === 'over') connection.destroy();
    else this.#roster.accept(connection);
  }

  /** Ends the run where it is; workers are told to go. */
  stop(reason: string): void {
    if (this.#phase === 'over') return;
    this.#pass = undefined;
    this.#dismiss(reason);
  }

  #dismiss(reason: string): void {
    this.#phase = 'over';
    for (const member of this.#roster.members()) this.#keepTally(member);
    this.#roster.dismissAll(reason);
  }

  // ---- what happens next ----

  /** Begins whatever can begin now. Safe to call at any time. */
  #advance(): void {
    if (this.#phase === 'over' || this.#pass !== undefined) {
      this.#finishPassIfComplete();
      return;
    }
    if (this.#phase === 'gathering' && !this.#canStart()) return;
    if (this.#phase === 'finishing' || this.#isTrained()) return this.#finish();
    this.#beginPass();
  }

  #canStart(): boolean {
    const readyCount = this.#membersIn('ready').length;
    const waitedMs = this.#options.clock.now() - this.#startMs;
    if (readyCount < this.#plan.minWorkers && (readyCount === 0 || waitedMs < this.#plan.gatherMs))
      return false;
    this.#phase = 'running';
    this.#times.start(this.#options.clock.now());
    return true;
  }

  #isTrained(): boolean {
    return this.#step >= this.#plan.totalSteps && !this.#isEvaluationDue();
  }

  #isEvaluationDue(): boolean {
    return (
      this.#plan.evaluate !== undefined &&
      this.#evaluatedStep < this.#step &&
      this.#plan.evaluatesAfter(this.#step)
    );
  }

  // ---- passes ----

  #beginPass(): void {
    this.#giveStateToNewcomers();
    const work = this.#isEvaluationDue() ? 'evaluate' : 'train';
    const participants = this.#membersIn('active');
    if (participants.length === 0) return this.#waitFor('no worker is left; waiting for one to join');
    const reduction = participants.length === 1 && this.#donor === undefined ? 'alone' : 'star';
    if (work === 'train' && reduction === 'star' && !this.#reducer.begin()) {
      this.#isClogged = true;
      return this.#expelClogged();
    }
    this.#isWaiting = this.#isClogged = false;
    const spec = this.#passSpec(work, reduction);
    const pass = new Pass(spec);
    this.#pass = pass;
    this.#passStartedMs = this.#options.clock.now();
    const counts = planLeases(spec.microBatchCount, participants.map(capacityOf));
    let next = 0;
    for (const [index, member] of participants.entries()) {
      const leases = range(next, counts[index] ?? 0);
      next += leases.length;
      pass.lease(member.workerId, leases);
      this.#tell(member, planMessage(spec, leases));
    }
  }

  /**
   * All totals are still on their way to somebody. A slow worker's flush brings us back to `#beginPass`; one
   * that is stalled with totals in its queue may never flush, and must join anew.
   */
  #expelClogged(): void {
    for (const member of this.#membersIn('stalled')) {
      if ((member.data?.queuedBytes ?? 0) > 0) this.#roster.expel(member, 'stalled with totals in its queue');
    }
  }

  #passSpec(work: 'train' | 'evaluate', reduction: 'star' | 'alone'): PassSpec {
    const plan = this.#plan;
    const perEpoch = stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch);
    const id = ++this.#passCount;
    if (work === 'evaluate' && plan.evaluate !== undefined) {
      const { microBatchCount, sampleCount } = microBatchesOfStep(plan.evaluate, 0);
      const epoch = Math.floor(Math.max(0, this.#step - 1) / perEpoch);
      return {
        id,
        work,
        step: this.#step,
        epoch,
        stepInEpoch: 0,
        microBatchCount,
        sampleCount,
        exponents: [],
        reduction,
      };
    }
    const epoch = Math.floor(this.#step / perEpoch);
    const stepInEpoch = this.#step % perEpoch;
    const { microBatchCount, sampleCount } = microBatchesOfStep(plan.train, stepInEpoch);
    const maxima = this.#maxima ?? plan.job.parameters.map(() => 1);
    const exponents = gridExponents(maxima, microBatchCount);
    return {
      id,
      work: 'train',
      step: this.#step,
      epoch,
      stepInEpoch,
      microBatchCount,
      sampleCount,
      exponents,
      reduction,
    };
  }

  #finishPassIfComplete(): void {
    const pass = this.#pass;
    if (pass === undefined || !pass.isComplete || this.#donor !== undefined) return;
    if (pass.spec.work === 'evaluate') this.#finishEvaluation(pass);
    else this.#finishTraining(pass);
  }

  #finishTraining(pass: Pass): void {
    const records = pass.records();
    const problem = this.#nonFiniteProblem(records);
    if (problem !== undefined) return this.#fail(problem);
    const observed = records.map((record) => record.maxima.map((value) => value ?? 0)).reduce(mergeMaxima);
    const isOverflow = overflowsGrid(observed, pass.spec.exponents, pass.spec.microBatchCount);
    this.#pass = undefined;
    if (this.#maxima === undefined || isOverflow) {
      this.#event({
        kind: 'step-redone',
        step: this.#step,
        reason: this.#maxima === undefined ? 'calibration' : 'overflow',
      });
      this.#times.redo();
      this.#maxima = nextMaxima(
        observed,
        this.#maxima === undefined ? observed : mergeMaxima(observed, this.#maxima),
      );
      return this.#advance();
    }
    this.#maxima = nextMaxima(this.#maxima, observed);
    this.#commit(pass, records);
    this.#advance();
  }

  #commit(pass: Pass, records: readonly MicroBatchRecord[]): void {
    const { spec } = pass;
    const message: Commit = {
      kind: 'commit',
      pass: spec.id,
      step: spec.step,
      exponents: [...spec.exponents],
      update: { sampleCount: spec.sampleCount, scalars: { ...this.#plan.scalarsOf(spec.step) } },
    };
    this.#broadcastCommit(message, spec.reduction);
    this.#ledger = addLedgers(this.#ledger, pass.ledger());
    this.#step = spec.step + 1;
    this.#reportStep(spec, records);
  }

  #broadcastCommit(message: Commit, reduction: 'star' | 'alone'): void {
    const receivers = this.#membersIn('active');
    if (reduction === 'alone') {
      for (const member of receivers) member.data?.send(message);
      return;
    }
    const total = this.#reducer.finish();
    const payload = new Broadcast(total.bytes);
    for (const member of receivers) {
      total.retain();
      member.data?.send(message, payload, () => {
        total.release();
        if (this.#isClogged) this.#advance();
      });
    }
    total.release();
  }

  #reportStep(spec: PassSpec, records: readonly MicroBatchRecord[]): void {
    const times = this.#times.commit(this.#options.clock.now());
    if (this.#step <= this.#reportedSteps) return;
    this.#reportedSteps = this.#step;
    const samplesByRank: Record<number, number> = {};
    for (const [rank, samples] of times.samplesByRank) samplesByRank[rank] = samples;
    this.#event({
      kind: 'step',
      step: this.#step,
      epoch: spec.epoch,
      sampleCount: spec.sampleCount,
      ...this.#meansOf(records, spec.sampleCount),
      learningRate: this.#plan.learningRateOf(spec.step),
      stepMs: times.stepMs,
      computeMs: times.computeMs,
      waitMs: times.waitMs,
      exchangeMs: times.exchangeMs,
      samplesByRank,
    });
  }

  #meansOf(
    records: readonly MicroBatchRecord[],
    sampleCount: number,
  ): { lossMean: number; accuracy?: number } {
    const lossMean = records.reduce((sum, record) => sum + (record.lossSum ?? 0), 0) / sampleCount;
    if (this.#plan.job.task !== 'classification') return { lossMean };
    return { lossMean, accuracy: records.reduce((sum, record) => sum + record.correctSum, 0) / sampleCount };
  }

  #finishEvaluation(pass: Pass): void {
    const { spec } = pass;
    const records = pass.records();
    const problem = this.#nonFiniteEvaluation(records);
    if (problem !== undefined) return this.#fail(problem);
    const means = this.#meansOf(records, spec.sampleCount);
    this.#pass = undefined;
    this.#evaluatedStep = spec.step;
    const evaluateMs = this.#options.clock.now() - this.#passStartedMs;
    this.#times.skip(this.#options.clock.now());
    if (this.#plan.evaluate !== undefined) {
      const { split } = this.#plan.evaluate;
      this.#event({
        kind: 'evaluation',
        step: spec.step,
        epoch: spec.epoch,
        split,
        sampleCount: spec.sampleCount,
        ...means,
        evaluateMs,
      });
    }
    this.#advance();
  }

  #nonFiniteProblem(records: readonly MicroBatchRecord[]): NonFiniteError | undefined {
    const record = records.find((r) => r.lossSum === null || r.maxima.includes(null));
    if (record === undefined) return undefined;
    const tensor = this.#plan.job.parameters[record.maxima.indexOf(null)]?.name;
    const what = record.lossSum === null ? 'the loss' : `the gradient of ${tensor}`;
    return new NonFiniteError(
      `step ${this.#step}, micro-batch ${record.microBatch}: ${what} is not finite. Nothing of this step was applied. Lower --lr, or clip gradients with --clip-norm.`,
      { step: this.#step, microBatch: record.microBatch, tensor },
    );
  }

  #nonFiniteEvaluation(records: readonly MicroBatchRecord[]): NonFiniteError | undefined {
    const record = records.find((r) => r.lossSum === null);
    if (record === undefined) return undefined;
    return new NonFiniteError(
      `evaluation after step ${this.#step}, micro-batch ${record.microBatch}: the loss is not finite. The model has diverged. Lower --lr, or clip gradients with --clip-norm.`,
      { step: this.#step, microBatch: record.microBatch },
    );
  }

  // ---- leases ----

  #contribute(member: Member, contribution: Contribution, payload: Uint8Array): void {
    const pass = this.#pass;
    if (pass === undefined || contribution.pass !== pass.spec.id || member.phase !== 'active') return;
    const microBatches = contribution.records.map((record) => record.microBatch);
    if (!pass.accepts(member.workerId, microBatches)) return;
    const isSummed = pass.spec.work === 'train' && pass.spec.reduction === 'star';
    if (
      payload.length !== (isSummed ? this.#reducer.byteLength : 0) ||
      !this.#fits(pass, contribution.records)
    )
      return this.#roster.expel(member, 'its contribution does not fit the plan');
    if (isSummed) this.#reducer.add(payload);
    pass.count(contribution.records);
    this.#tally(member, pass, contribution);
    if (pass.isComplete) this.#finishPassIfComplete();
    else this.#stealForIdle(member, pass);
  }

  /** Whether these records can be true: the samples that the layout gives each micro-batch, a maximum per tensor. */
  #fits({ spec }: Pass, records: readonly MicroBatchRecord[]): boolean {
    const { train, evaluate, job } = this.#plan;
    const layout = spec.work === 'train' ? train : evaluate;
    const maximaCount = spec.work === 'train' ? job.parameters.length : undefined;
    return records.every(
      ({ microBatch, sampleCount, maxima }) =>
        layout !== undefined &&
        sampleCount === sampleRange(layout, spec.stepInEpoch, microBatch).count &&
        (maximaCount === undefined || maxima.length === maximaCount),
    );
  }

  #tally(member: Member, pass: Pass, contribution: Contribution): void {
    const nowMs = this.#options.clock.now();
    member.progressMs = nowMs;
    if (pass.spec.work !== 'train') return;
    for (const record of contribution.records) {
      learnSpeed(member, record.computeMs);
      member.sampleCount += record.sampleCount;
      member.microBatchCount++;
    }
    const samples = contribution.records.reduce((sum, record) => sum + record.sampleCount, 0);
    this.#times.contribution(member.rank, nowMs, samples, contribution);
  }

  /** Asks the worker that will be busy longest for micro-batches it has not started. */
  #stealForIdle(idle: Member, pass: Pass): void {
    if (pass.unfinishedOf(idle.workerId).length > 0) return;
    const elapsedMs = this.#options.clock.now() - this.#passStartedMs;
    let victim: Member | undefined;
    let most = 0;
    for (const member of this.#membersIn('active')) {
      if (member.releaseAskedPass === pass.spec.id || member.nothingToReleasePass === pass.spec.id) continue;
      const started = (elapsedMs / this.#microBatchMs(member, pass) + 1) * member.hello.lanes;
      const notStarted = Math.floor(pass.unfinishedOf(member.workerId).length - started);
      if (notStarted > most) [victim, most] = [member, notStarted];
    }
    if (victim === undefined) return;
    victim.releaseAskedPass = pass.spec.id;
    this.#tell(victim, { kind: 'release', pass: pass.spec.id, count: Math.ceil(most / 2) });
  }

  #takeReleased(member: Member, passId: number, microBatches: readonly number[]): void {
    const pass = this.#pass;
    if (member.releaseAskedPass === passId) member.releaseAskedPass = undefined;
    if (pass === undefined || pass.spec.id !== passId) return;
    if (microBatches.length === 0) member.nothingToReleasePass = passId;
    const free = pass.revoke(member.workerId, microBatches);
    if (free.length > 0) this.#reissue(pass, free);
  }

  /** Leases micro-batches that lost their worker to those who will be done first. */
  #reissue(pass: Pass, microBatches: readonly number[]): void {
    const takers = this.#membersIn('active');
    if (takers.length === 0) return this.#abandonPass();
    const idle = takers.filter((member) => pass.unfinishedOf(member.workerId).length === 0);
    const candidates = idle.length > 0 ? idle : takers;
    const counts = planLeases(microBatches.length, candidates.map(capacityOf));
    let next = 0;
    for (const [index, member] of candidates.entries()) {
      const given = microBatches.slice(next, next + (counts[index] ?? 0));
      next += given.length;
      if (given.length === 0) continue;
      pass.lease(member.workerId, given);
      member.progressMs = this.#options.clock.now();
      this.#tell(member, { kind: 'lease', pass: pass.spec.id, microBatches: given });
    }
  }

  #microBatchMs(member: Member, pass: Pass): number {
    const { microBatch, evaluateMicroBatch } = this.#plan.job;
    const scale = pass.spec.work === 'evaluate' ? evaluateMicroBatch / microBatch : 1;
    return (member.microBatchMs ?? FIRST_MICRO_BATCH_MS) * scale;
  }

  // ---- members come and go ----

  #receive(member: Member, message: ToCoordinator, payload: Uint8Array): void {
    switch (message.kind) {
      case 'contribution':
        return this.#contribute(member, message, payload);
      case 'released':
        return this.#takeReleased(member, message.pass, message.microBatches);
      case 'state':
        return this.#takeState(member, message.step, payload);
      case 'applied':
        return this.#reportNorms(message.step, message.norms);
      case 'digest':
        return this.#takeDigest(member, message);
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

  #handleStall(member: Member, silentMs: number, reason: string): void {
    if (member.wasActive) this.#heldStep.set(member, this.#step);
    else this.#heldStep.delete(member);
    this.#event({
      kind: 'worker-stalled',
      rank: member.rank,
      workerId: member.workerId,
      step: this.#step,
      silentMs,
      reason,
    });
    this.#releaseFrom(member);
  }

  #handleLoss(member: Member, reason: string): void {
    const scratch = this.#scratch.get(member);
    if (scratch !== undefined) this.#reducer.returnScratch(scratch);
    this.#scratch.delete(member);
    this.#keepTally(member);
    if (this.#phase === 'over') return;
    if (member.isLoaded)
      this.#event({
        kind: 'worker-lost',
        rank: member.rank,
        workerId: member.workerId,
        step: this.#step,
        reason,
      });
    else this.#options.onRefused(member.control.peer, `left before it was ready: ${reason}`);
    this.#releaseFrom(member);
  }

  #keepTally(member: Member): void {
    if (!member.isLoaded) return;
    this.#tallies.set(member.workerId, joinTallies(this.#tallies.get(member.workerId), tallyOf(member)));
  }

  /** A member can no longer do what it was to do: others take over. */
  #releaseFrom(member: Member): void {
    const donated = this.#donor === member;
    if (donated) this.#donor = undefined;
    const pass = this.#pass;
    if (pass !== undefined) {
      const free = pass.revoke(member.workerId);
      if (free.length > 0) {
        this.#event({
          kind: 'micro-batches-reissued',
          step: pass.spec.step,
          fromRank: member.rank,
          microBatches: free,
        });
        this.#reissue(pass, free);
      } else if (this.#membersIn('active').length === 0) this.#abandonPass();
    }
    if (donated && pass !== undefined && this.#pass === pass) this.#askForState();
    this.#advance();
  }

  #handleRevival(member: Member): void {
    // If nothing was committed without it, and nobody else could, its state is still the newest.
    const isOnlyHolder =
      this.#pass === undefined && this.#membersIn('active').length === 0 && this.#donor === undefined;
    if (isOnlyHolder && this.#heldStep.get(member) === this.#step) member.phase = 'active';
    this.#advance();
  }

  /** Nobody active is left: what was computed for the pass is void. */
  #abandonPass(): void {
    this.#pass = undefined;
    this.#donor = undefined;
    for (const member of this.#membersIn('syncing')) member.phase = 'ready';
    this.#advance();
  }

  #handleTick(nowMs: number): void {
    const pass = this.#pass;
    for (const member of pass === undefined ? [] : this.#membersIn('active')) {
      if (pass === undefined || pass.unfinishedOf(member.workerId).length === 0) continue;
      const allowedMs = Math.max(STUCK_MS, 4 * this.#microBatchMs(member, pass));
      const idleMs = nowMs - Math.max(member.progressMs, this.#passStartedMs);
      if (idleMs > allowedMs) {
        this.#roster.stall(
          member,
          'stuck',
          idleMs,
          `alive, but no progress for ${(idleMs / 1000).toFixed(1)} s`,
        );
      }
    }
    this.#advance();
  }

  // ---- the state ----

  /**
   * Gives the state to members that have none. A newcomer is active at once if the snapshot is current; else an
   * active member is asked for the state, and the commit of the coming pass waits for it.
   */
  #giveStateToNewcomers(): void {
    const newcomers = this.#membersIn('ready');
    if (this.#membersIn('active').length === 0 && newcomers.length > 0) this.#rollBack();
    const isCurrent = this.#snapshot.step === this.#step;
    for (const member of newcomers) {
      if (isCurrent) this.#activate(member);
      else member.phase = 'syncing';
    }
    const isStale = this.#options.clock.now() - this.#snapshotAtMs > this.#plan.snapshotMs;
    if (this.#donor === undefined && !isCurrent && (newcomers.length > 0 || isStale)) this.#askForState();
  }

  #rollBack(): void {
    if (this.#snapshot.step !== this.#step) {
      this.#event({ kind: 'rolled-back', fromStep: this.#step, toStep: this.#snapshot.step });
    }
    this.#step = this.#snapshot.step;
    this.#maxima = this.#snapshot.maxima;
    this.#ledger = this.#snapshot.ledger;
  }

  #askForState(): void {
    const donor = this.#membersIn('active')[0];
    this.#donor = donor;
    donor?.data?.send({ kind: 'sendState', step: this.#step } satisfies ToWorker);
  }

  #takeState(member: Member, step: number, payload: Uint8Array): void {
    if (member !== this.#donor || step !== this.#step) return;
    if (payload.length !== this.#plan.initialState.length)
      return this.#roster.expel(member, 'its state has the wrong size');
    this.#donor = undefined;
    this.#snapshot = { step, bytes: payload.slice(), maxima: this.#maxima, ledger: this.#ledger };
    this.#snapshotAtMs = this.#options.clock.now();
    for (const newcomer of this.#membersIn('syncing')) this.#activate(newcomer);
    this.#advance();
  }

  #activate(member: Member): void {
    member.phase = 'active';
    member.progressMs = this.#options.clock.now();
    const { step, bytes } = this.#snapshot;
    member.data?.send({ kind: 'state', step } satisfies ToWorker, bytes);
    // It may be asked to help in the pass that is under way.
    if (this.#pass !== undefined) this.#tell(member, planMessage(this.#pass.spec, []));
    this.#event({
      kind: 'worker-joined',
      rank: member.rank,
      workerId: member.workerId,
      host: member.hello.host,
      processId: member.hello.processId,
      lanes: member.hello.lanes,
      numericsClass: member.numericsClass,
      step,
    });
    this.#reportNumerics(member);
  }

  #reportNumerics(newcomer: Member): void {
    const ranks = new Map<string, number[]>();
    for (const { numericsClass, rank } of this.#membersIn('active')) {
      ranks.set(numericsClass, [...(ranks.get(numericsClass) ?? []), rank]);
    }
    if (ranks.size > 1 && ranks.get(newcomer.numericsClass)?.length === 1) {
      this.#event({
        kind: 'numerics-differ',
        classes: [...ranks].map(([numericsClass, r]) => ({ numericsClass, ranks: r })),
      });
    }
  }

  // ---- the end ----

  /** Collects the final state and every replica's digest of it. */
  #finish(): void {
    if (this.#phase !== 'finishing') {
      this.#phase = 'finishing';
      for (const member of this.#membersIn('active'))
        member.data?.send({ kind: 'sendDigest', step: this.#step } satisfies ToWorker);
    }
    const holders = this.#membersIn('active');
    if (this.#snapshot.step !== this.#step) {
      if (holders.length > 0) {
        if (this.#donor === undefined) this.#askForState();
        return;
      }
      // Everyone died after the last commit: the end of the run is computed again.
      this.#phase = 'running';
      return this.#beginPass();
    }
    if (holders.some((member) => !this.#digests.has(member.rank))) return;
    const replicaDigests = holders.map(({ rank }) => ({
      rank,
      ...(this.#digests.get(rank) ?? { weightsDigest: '', stateDigest: '' }),
    }));
    const result: RunResult = {
      steps: this.#step,
      state: this.#snapshot.bytes,
      ledger: this.#ledger,
      timeSplit: this.#times.split(),
      bytesSent: this.#roster.totalBytes(),
      workers: this.tallies(),
      replicaDigests,
    };
    this.#dismiss('the run is finished');
    this.#options.onFinished(result);
  }

  #takeDigest(
    member: Member,
    { step, weightsDigest, stateDigest }: { step: number; weightsDigest: string; stateDigest: string },
  ): void {
    if (step !== this.#step) return;
    this.#digests.set(member.rank, { weightsDigest, stateDigest });
    this.#advance();
  }

  #fail(error: LockstepError): void {
    this.stop(error.message);
    this.#options.onFailed(error);
  }

  // ---- small things ----

  /** What every worker did, also those that are gone. */
  tallies(): WorkerTally[] {
    const present = this.#roster.members().filter((member) => member.isLoaded);
    const all = new Map([
      ...this.#tallies,
      ...present.map((member) => [member.session, tallyOf(member)] as const),
    ]);
    return [...all.values()].sort((a, b) => a.rank - b.rank);
  }

  get timeSplit(): TimeSplit {
    return this.#times.split();
  }

  get bytesSent(): number {
    return this.#roster.totalBytes();
  }

  #waitFor(reason: string): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#event({ kind: 'run-waiting', step: this.#step, reason });
  }

  #reportNorms(step: number, norms: readonly number[]): void {
    if (norms.length === 0 || step <= this.#normsStep) return;
    this.#normsStep = step;
    const named = this.#plan.job.parameters.map(({ name }, tensor) => [name, norms[tensor] ?? 0] as const);
    this.#event({ kind: 'gradient-norms', step, norms: Object.fromEntries(named) });
  }

  #membersIn(phase: Member['phase']): Member[] {
    return this.#roster.members().filter((member) => member.phase === phase);
  }

  #tell(member: Member, message: ToWorker): void {
    member.control.send(message);
  }

  #event(event: RunEvent): void {
    this.#options.onEvent(event);
  }
}

function capacityOf(member: Member): { lanes: number; microBatchMs: number | undefined } {
  return { lanes: member.hello.lanes, microBatchMs: member.microBatchMs };
}

function planMessage(spec: PassSpec, leases: readonly number[]): Plan {
  const { id, work, step, epoch, stepInEpoch, exponents, reduction } = spec;
  return {
    kind: 'plan',
    pass: id,
    work,
    step,
    epoch,
    stepInEpoch,
    leases: [...leases],
    exponents: [...exponents],
    reduction,
  };
}

function range(start: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => start + index);
}

function tallyOf(member: Member): WorkerTally {
  const { rank, workerId, hello, sampleCount, microBatchCount } = member;
  return {
    rank,
    workerId,
    host: hello.host,
    lanes: hello.lanes,
    samples: sampleCount,
    microBatches: microBatchCount,
  };
}

/** What one worker did before and after it had to join again. */
function joinTallies(before: WorkerTally | undefined, after: WorkerTally): WorkerTally {
  if (before === undefined) return after;
  return {
    ...after,
    samples: before.samples + after.samples,
    microBatches: before.microBatches + after.microBatches,
  };
}

function addLedgers(a: Ledger, b: Ledger): Ledger {
  return {
    expected: a.expected + b.expected,
    counted: a.counted + b.counted,
    dropped: a.dropped + b.dropped,
    duplicated: a.duplicated + b.duplicated,
  };
}
