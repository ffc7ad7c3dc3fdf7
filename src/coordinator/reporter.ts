/**
 * Turns what happens in a run into events; every step and every evaluation is reported once.
 * Nothing is read back from it: a run without it gives the same leases and the same model.
 */
import { microBatchesOfStep } from '../data/batches.ts';
import type { Member } from '../membership/member.ts';
import type { Rejection } from '../membership/roster-handlers.ts';
import type { Progressed, RunEvent } from '../metrics/events.ts';
import type { MicroBatchRecord } from '../protocol/messages.ts';
import type {
  BegunPass,
  CompletedPass,
  CountedPart,
  Leaving,
  PassListener,
  UndoneSteps,
} from './steps/pass-listener.ts';
import { type Pass, type PassSpec, samplesOf } from './steps/pass.ts';
import { ExchangeWatch } from '../plan/exchange-cost.ts';
import { dataPassOf, learningRateOf, type RunPlan } from '../plan/run-plan.ts';
import { SlowWorkers } from './slow-workers.ts';
import type { StepTimes } from './steps/step-times.ts';

/** Who is told what happens in a run, besides what happens to its passes. */
export interface Reporter extends PassListener {
  /** Something that needs no account. */
  event(event: RunEvent): void;
  /** `member` has the state of `step`, as all of `active` have: from `giver`, or else from us. */
  joined(member: Member, step: number, active: readonly Member[], giver?: Member): void;
  /** Somebody was turned away. */
  rejected(rejection: Rejection): void;
  /** A worker has applied the update before `step`; norms of the gradient per tensor. */
  norms(step: number, norms: readonly (number | null)[]): void;
  /** The run goes on after `step`, which was told of. */
  goesOn(step: number): void;
  /** Nobody can compute. */
  waiting(step: number, reason: string): void;
  /** Time has passed; between passes the run is busy with `other`. */
  tick(nowMs: number, other: Undertaking): void;
}

/** What a run is busy with when it is not in a pass. */
export type Undertaking = Pick<Progressed, 'activity' | 'step' | 'done' | 'of'>;

/** What takes longer is told of, and again after as long. */
const PROGRESS_MS = 1_000;

/** What the reporter is given. */
export interface EventReporterOptions {
  readonly plan: RunPlan;
  /** Hears of every pass before the reporter does. */
  readonly times: StepTimes;
  readonly emit: (event: RunEvent) => void;
}

/** Reports to whoever listens to the run's events. */
export class EventReporter implements Reporter {
  readonly #plan: RunPlan;
  readonly #times: StepTimes;
  readonly #emit: (event: RunEvent) => void;
  readonly #slow: SlowWorkers;
  readonly #exchange = new ExchangeWatch();
  #passBeganMs = 0;
  /** The pass under way, and which micro-batch of its own each member was at when it began. */
  #pass: Pass | undefined;
  #progressBefore: ReadonlyMap<Member, number> = new Map();
  /** What is under way between passes, and since when. */
  #other: { readonly name: string; readonly sinceMs: number } | undefined;
  #toldMs = 0;
  #reportedSteps = 0;
  #normsStep = -1;
  #isWaiting = false;
  /** Members that are reported as joined, and not as stalled or lost since. */
  readonly #present = new WeakSet<Member>();

  constructor({ plan, times, emit }: EventReporterOptions) {
    this.#plan = plan;
    this.#times = times;
    this.#emit = emit;
    this.#slow = new SlowWorkers(emit);
  }

  event(event: RunEvent): void {
    this.#emit(event);
  }

  joined(member: Member, step: number, active: readonly Member[], giver?: Member): void {
    if (this.#present.has(member)) return;
    this.#present.add(member);
    const { rank, workerId, hello, numericsClass } = member;
    const { host, processId, device = 'cpu', lanes } = hello;
    const worker = { rank, workerId, host, processId, device, lanes, numericsClass };
    const origin = { stateFrom: giver === undefined ? 'coordinator' : `rank ${giver.rank}` };
    this.#emit({ kind: 'worker-joined', ...worker, step, ...origin });
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

  goesOn(step: number): void {
    this.#reportedSteps = this.#normsStep = step;
  }

  rejected(rejection: Rejection): void {
    this.#emit({ kind: 'worker-refused', ...rejection });
  }

  begun({ pass, members, nowMs }: BegunPass): void {
    this.#passBeganMs = nowMs;
    this.#pass = pass;
    this.#other = undefined;
    this.#progressBefore = new Map(members.map((m) => [m, m.liveness.progress]));
  }

  abandoned(): void {
    this.#pass = undefined;
  }

  tick(nowMs: number, other: Undertaking): void {
    if (this.#pass === undefined && this.#other?.name !== other.activity)
      this.#other = { name: other.activity, sinceMs: nowMs };
    const sinceMs = this.#pass === undefined ? this.#other?.sinceMs : this.#passBeganMs;
    if (sinceMs === undefined || nowMs - Math.max(sinceMs, this.#toldMs) < PROGRESS_MS) return;
    this.#toldMs = nowMs;
    const what = this.#pass === undefined ? other : this.#progressOf(this.#pass);
    this.#emit({ kind: 'progress', ...what, elapsedMs: nowMs - sinceMs });
  }

  /** What is counted, and what members say that they have finished of the rest. */
  #progressOf(pass: Pass): Undertaking {
    const { work, step, microBatchCount: of } = pass.spec;
    const left = pass.uncoveredBy([]).length;
    let finished = 0;
    for (const [member, before] of this.#progressBefore) {
      const held = pass.unfinishedOf(member.workerId).length;
      finished += Math.min(held, Math.max(0, member.liveness.progress - before));
    }
    const done = Math.max(0, of - left + Math.min(finished, left));
    const isPart = step === 0 && of < microBatchesOfStep(this.#plan.train, 0).microBatchCount;
    const training = isPart ? 'measuring' : 'training';
    if (work === 'train') return { activity: training, step, done, of };
    const { sampleCount, microBatch } = this.#plan.evaluate ?? this.#plan.train;
    const samples = Math.min(done * microBatch, sampleCount);
    return { activity: 'evaluating', step, done: samples, of: sampleCount };
  }

  counted(part: CountedPart): void {
    this.#slow.counted(part);
  }

  completed(completed: CompletedPass): void {
    const { spec, outcome, nowMs } = completed;
    this.#pass = undefined;
    if (outcome.kind === 'redo') {
      this.#emit({ kind: 'step-redone', step: spec.step, reason: outcome.reason });
    } else if (outcome.kind === 'evaluated') {
      this.#reportEvaluation(spec, outcome.records, nowMs - this.#passBeganMs);
    } else {
      this.#isWaiting = false;
      // A step that is computed again after a rollback has been reported.
      if (spec.step >= this.#reportedSteps) {
        this.#reportStep(spec, outcome.records);
        const { divergence } = outcome;
        if (divergence !== undefined)
          this.#emit({ kind: 'diverged', step: spec.step + 1, ...divergence });
      }
    }
    this.#slow.completed(completed);
  }

  undone({ fromStep, toStep, reason }: UndoneSteps): void {
    this.#slow.undone();
    this.#reportedSteps = this.#normsStep = toStep;
    this.#emit({ kind: 'rolled-back', fromStep, toStep, reason });
  }

  left(leaving: Leaving): void {
    this.#slow.left(leaving);
    const { member, step, reason } = leaving;
    this.#present.delete(member);
    const { rank, workerId } = member;
    if (leaving.how === 'stalled') {
      const { silentMs } = leaving;
      this.#emit({ kind: 'worker-stalled', rank, workerId, step, silentMs, reason });
    } else if (member.isLoaded) this.#emit({ kind: 'worker-lost', rank, workerId, step, reason });
    else {
      const { peer } = member.link;
      this.rejected({ peer, rank, reason: `left before it was ready: ${reason}` });
    }
  }

  #reportStep(spec: PassSpec, records: readonly MicroBatchRecord[]): void {
    const step = spec.step + 1;
    this.#reportedSteps = step;
    const sampleCount = samplesOf(records);
    const epoch = dataPassOf(this.#plan, spec.epoch);
    const learningRate = learningRateOf(this.#plan, spec.step);
    const size = { epoch, sampleCount, ...this.#meansOf(records, sampleCount) };
    const times = this.#times.lastStep;
    this.#emit({ kind: 'step', step, ...size, learningRate, ...times });
    const cost = this.#exchange.add(times);
    if (cost !== undefined) this.#emit({ kind: 'exchange-bound', step, ...cost });
  }

  #reportEvaluation(
    { step, epoch, sampleCount }: PassSpec,
    records: readonly MicroBatchRecord[],
    evaluateMs: number,
  ): void {
    const split = this.#plan.evaluate?.split ?? 'test';
    const means = this.#meansOf(records, sampleCount);
    const size = { epoch: dataPassOf(this.#plan, epoch), split, sampleCount, ...means };
    this.#emit({ kind: 'evaluation', step, ...size, evaluateMs });
  }

  /** Every worker reports them; the first is as good as all. */
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

  /** Reported once until somebody computes again. */
  waiting(step: number, reason: string): void {
    if (!this.#isWaiting) this.#emit({ kind: 'run-waiting', step, reason });
    this.#isWaiting = true;
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
