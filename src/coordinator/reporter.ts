/**
 * Turns what happens in a run into events and tallies; every step and every evaluation is reported
 * once.
 */
import type { RunEvent } from '../metrics/events.ts';
import type { Contribution, MicroBatchRecord } from '../protocol/messages.ts';
import { learnSpeed, type Member } from './member.ts';
import type { PassSpec } from './pass.ts';
import type { Refusal } from './roster-handlers.ts';
import { SlowWorkers } from './slow-workers.ts';
import { learningRateOf, type RunPlan } from '../plan/run-plan.ts';
import { StepTimes, type StepTiming, type TimeSplit } from './step-times.ts';

/** What one worker did in the run. */
export interface WorkerTally {
  readonly rank: number;
  readonly workerId: string;
  readonly host: string;
  readonly device: string;
  readonly lanes: number;
  readonly samples: number;
  readonly microBatches: number;
}

/** Refusals that a run tells of. */
const MAX_REFUSALS = 1_000;

export class Reporter {
  readonly #plan: RunPlan;
  readonly #emit: (event: RunEvent) => void;
  readonly #times = new StepTimes();
  readonly #slow = new SlowWorkers();
  /** Of workers that are gone, by worker id. */
  readonly #tallies = new Map<string, WorkerTally>();
  #reportedSteps = 0;
  #normsStep = -1;
  #isWaiting = false;
  #refusalCount = 0;

  constructor(plan: RunPlan, emit: (event: RunEvent) => void) {
    this.#plan = plan;
    this.#emit = emit;
  }

  get timeSplit(): TimeSplit {
    return this.#times.split();
  }

  /** The first pass begins. */
  start(nowMs: number): void {
    this.#times.start(nowMs);
  }

  event(event: RunEvent): void {
    this.#emit(event);
  }

  joined(member: Member, step: number, active: readonly Member[]): void {
    const { rank, workerId, hello, numericsClass } = member;
    const { host, processId, device = 'cpu', lanes } = hello;
    this.#emit({
      kind: 'worker-joined',
      rank,
      workerId,
      host,
      processId,
      device,
      lanes,
      numericsClass,
      step,
    });
    this.#numerics(member, active);
  }

  #numerics(newcomer: Member, active: readonly Member[]): void {
    const ranks = new Map<string, number[]>();
    for (const { numericsClass, rank } of active)
      ranks.set(numericsClass, [...(ranks.get(numericsClass) ?? []), rank]);
    const isNew = ranks.get(newcomer.numericsClass)?.length === 1;
    if (ranks.size < 2 || !isNew) return;
    const classes = [...ranks].map(([numericsClass, r]) => ({ numericsClass, ranks: r }));
    this.#emit({ kind: 'numerics-differ', classes });
  }

  /**
   * Somebody was turned away. After many it is not told any more: whoever knocks must not fill the
   * disk.
   */
  refused(refusal: Refusal): void {
    if (this.#refusalCount++ < MAX_REFUSALS) this.#emit({ kind: 'worker-refused', ...refusal });
  }

  /** A contribution was counted. */
  contribution(member: Member, spec: PassSpec, contribution: Contribution, nowMs: number): void {
    if (spec.work !== 'train') return;
    const { records } = contribution;
    for (const record of records) learnSpeed(member, record.computeMs);
    const samples = records.reduce((sum, record) => sum + record.sampleCount, 0);
    member.sampleCount += samples;
    member.microBatchCount += records.length;
    const turnaroundMs = nowMs - member.givenMs;
    member.givenMs = nowMs;
    const { busyMs } = contribution;
    const { rank } = member;
    this.#times.contribution(nowMs, {
      rank,
      samples,
      microBatches: records.length,
      turnaroundMs,
      busyMs,
    });
    this.#slow.contribution(member, contribution, turnaroundMs);
  }

  /** The steps after `toStep` are void: they will be reported again. */
  undone(fromStep: number, toStep: number, nowMs: number): void {
    this.#times.skip(nowMs);
    this.#slow.skip();
    this.#reportedSteps = this.#normsStep = toStep;
    this.#emit({ kind: 'rolled-back', fromStep, toStep, reason: 'distrusted' });
  }

  /** A training pass begins. */
  begun(nowMs: number): void {
    this.#times.beginPass(nowMs);
  }

  redone(step: number, reason: 'calibration' | 'overflow'): void {
    this.#times.redo();
    this.#emit({ kind: 'step-redone', step, reason });
  }

  committed(spec: PassSpec, records: readonly MicroBatchRecord[], nowMs: number): void {
    const times = this.#times.commit(nowMs);
    const step = spec.step + 1;
    this.#isWaiting = false;
    // A step that is computed again after a rollback has been reported.
    if (step > this.#reportedSteps) this.#reportStep(spec, records, times);
    for (const event of this.#slow.committed(step)) this.#emit(event);
  }

  #reportStep(spec: PassSpec, records: readonly MicroBatchRecord[], times: StepTiming): void {
    const step = spec.step + 1;
    this.#reportedSteps = step;
    const { epoch, sampleCount } = spec;
    const learningRate = learningRateOf(this.#plan, spec.step);
    const means = this.#meansOf(records, sampleCount);
    this.#emit({ kind: 'step', step, epoch, sampleCount, ...means, learningRate, ...times });
  }

  evaluated(
    spec: PassSpec,
    records: readonly MicroBatchRecord[],
    beganMs: number,
    nowMs: number,
  ): void {
    this.#times.skip(nowMs);
    const { step, epoch, sampleCount } = spec;
    const split = this.#plan.evaluate?.split ?? 'test';
    const means = this.#meansOf(records, sampleCount);
    this.#emit({
      kind: 'evaluation',
      step,
      epoch,
      split,
      sampleCount,
      ...means,
      evaluateMs: nowMs - beganMs,
    });
  }

  /** Every worker tells the norms; the first is as good as all. */
  norms(step: number, norms: readonly (number | null)[]): void {
    if (norms.length === 0 || step <= this.#normsStep) return;
    this.#normsStep = step;
    // A norm that is not finite has no number in JSON: it is left out.
    // Running statistics have no gradient.
    const named = this.#plan.job.parameters
      .map(({ name, statisticMomentum }, tensor) => {
        const norm = statisticMomentum === null ? norms[tensor] : undefined;
        return [name, norm ?? null] as const;
      })
      .filter((entry): entry is readonly [string, number] => entry[1] !== null);
    this.#emit({ kind: 'gradient-norms', step, norms: Object.fromEntries(named) });
  }

  /** Nobody can compute; said once until somebody does. */
  waiting(step: number, reason: string): void {
    if (!this.#isWaiting) this.#emit({ kind: 'run-waiting', step, reason });
    this.#isWaiting = true;
  }

  /** Remembers what a member did before it goes. */
  keepTally(member: Member): void {
    this.#slow.forget(member.rank);
    if (member.isLoaded) this.#tallies.set(member.workerId, this.#tallyOf(member));
  }

  /** What every worker did: those in `present`, and those that are gone. */
  tallies(present: readonly Member[]): WorkerTally[] {
    const all = new Map(this.#tallies);
    for (const member of present)
      if (member.isLoaded) all.set(member.workerId, this.#tallyOf(member));
    return [...all.values()].sort((a, b) => a.rank - b.rank);
  }

  /** Together with what the same worker did before it had to join again. */
  #tallyOf({ rank, workerId, hello, sampleCount, microBatchCount }: Member): WorkerTally {
    const before = this.#tallies.get(workerId);
    const samples = (before?.samples ?? 0) + sampleCount;
    const microBatches = (before?.microBatches ?? 0) + microBatchCount;
    const { host, device = 'cpu', lanes } = hello;
    return { rank, workerId, host, device, lanes, samples, microBatches };
  }

  /** Sums over records are taken in order of micro-batch: one order, one result. */
  #meansOf(
    records: readonly MicroBatchRecord[],
    sampleCount: number,
  ): { lossMean: number; accuracy?: number } {
    const lossMean = records.reduce((sum, record) => sum + (record.lossSum ?? 0), 0) / sampleCount;
    if (this.#plan.job.task === 'regression') return { lossMean };
    return {
      lossMean,
      accuracy: records.reduce((sum, record) => sum + record.correctSum, 0) / sampleCount,
    };
  }
}
