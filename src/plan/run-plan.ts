/**
 * The plan of a run: plain data, and pure functions over it. It can be written down as JSON, read
 * again elsewhere, and leads to the same model.
 */
import type { CollectiveChoice } from '../collectives/body-names.ts';
import type { BalancePlan } from './balance-policies.ts';
import type { EpochLayout } from '../data/batches.ts';
import type { RoundSizes } from '../metrics/events.ts';
import type { ParameterInit } from '../models/model.ts';
import { type OptimizerScalars, optimizerScalars } from '../optim/scalars.ts';
import { learningRateAt, type ScheduleSpec } from '../optim/schedule.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import type { StepClosing } from './closing.ts';

/** How a parameter begins; `given`: with the next values of `PlanBytes.given`. */
export type PlannedInit = Exclude<ParameterInit, { kind: 'values' }> | { readonly kind: 'given' };

/** What a step and the parts of it that are leased are called, and what computes a part. */
interface WorkUnits {
  readonly step: string;
  readonly part: string;
  /** A worker computes one part on each lane, or one at a time on all of them. */
  readonly lanesPerPart: 'one' | 'all';
}

/** Everything about a run that is decided before the first worker joins. */
export interface RunPlan {
  /** What workers are told. */
  readonly job: Job;
  /** One entry per parameter of the job; the optimizer's regions begin with zeros. */
  readonly initial: readonly PlannedInit[];
  /** Bytes of a state. */
  readonly stateBytes: number;
  /** Elements of a gradient sum on the wire: the arena's padded length. */
  readonly sumElements: number;
  /** Whether sums and totals travel packed (collectives/packed-sum.ts), through the star only. */
  readonly packsSums?: boolean;
  /** How gradient sums travel. */
  readonly collective: CollectiveChoice;
  /** If present, the coordinator leads and adds up every step, and closes it like this. */
  readonly closing?: StepClosing;
  /** How steps are shared out; `adaptive` if absent. */
  readonly balance?: BalancePlan;
  readonly totalSteps: number;
  readonly train: EpochLayout;
  /** Passes over the data set in one epoch of `train`: more than one where a step holds several. */
  readonly passesPerEpoch: number;
  /** Absent when nothing is evaluated. */
  readonly evaluate?: EpochLayout & { readonly split: 'test' | 'validation' };
  /** The model is evaluated whenever so many updates more are done, and after the last. */
  readonly evaluateEvery: number;
  /** What a commit does to the state. Its numbers are computed once and sent to everyone. */
  readonly update: { readonly optimizer: OptimizerSpec; readonly schedule: ScheduleSpec };
  /** The learning rate that is reported: where workers train by themselves, it is theirs. */
  readonly schedule: ScheduleSpec;
  readonly units: WorkUnits;
  /** Present in a run in rounds: what each consists of. */
  readonly rounds?: RoundSizes;
  /** Part of the steps, 0..1, in which a micro-batch of every worker is computed by another too. */
  readonly auditRate: number;
  /** Whether the run ends when its training has diverged; else that is only told. */
  readonly stopOnDivergence: boolean;
  /** The run starts with this many workers, or with fewer (at least one) after `gatherMs`. */
  readonly minWorkers: number;
  readonly gatherMs: number;
  /** How often the coordinator fetches the state, so that it survives the loss of all workers. */
  readonly snapshotMs: number;
  /** Present if states are written down: then they are wanted of these steps, too. */
  readonly checkpoints?: {
    readonly everySteps?: number;
    /** Of single steps besides, in their order. */
    readonly steps?: readonly number[];
  };
}

/** What belongs to a plan and is not JSON: files of their own where a plan is written down. */
export interface PlanBytes {
  /** The two compiled steps, as `job.trainBytes` and `job.evaluateBytes` say. */
  readonly jobFiles: Uint8Array;
  /**
   * The values of each parameter that begins as given, in canonical order: the model's own memory,
   * not a copy.
   */
  readonly given: readonly Float32Array[];
}

/** Names the numbers of update `step`, which counts from 0, for everyone. */
export function scalarsOf(
  { update, totalSteps }: Pick<RunPlan, 'update' | 'totalSteps'>,
  step: number,
): OptimizerScalars {
  const { optimizer, schedule } = update;
  return optimizerScalars(optimizer, step + 1, learningRateAt(schedule, step + 1, totalSteps));
}

/** Gives the learning rate of step `step`, from 0, as it is reported. */
export function learningRateOf(
  { schedule, totalSteps }: Pick<RunPlan, 'schedule' | 'totalSteps'>,
  step: number,
): number {
  return learningRateAt(schedule, step + 1, totalSteps);
}

/** Whether the model is evaluated once `step` updates are done. */
export function isEvaluatedAfter(
  {
    evaluate,
    evaluateEvery,
    totalSteps,
  }: Pick<RunPlan, 'evaluate' | 'evaluateEvery' | 'totalSteps'>,
  step: number,
): boolean {
  if (evaluate === undefined || step === 0) return false;
  return step % evaluateEvery === 0 || step === totalSteps;
}

/** Whether something else may be done once `step` updates are done than the next. */
export function isPausedAfter(
  plan: Pick<RunPlan, 'evaluate' | 'evaluateEvery' | 'totalSteps' | 'checkpoints'>,
  step: number,
): boolean {
  const { everySteps, steps = [] } = plan.checkpoints ?? {};
  const isWritten = (everySteps !== undefined && step % everySteps === 0) || steps.includes(step);
  return isWritten || isEvaluatedAfter(plan, step);
}

/** Whether the state after `step` is wanted, or after one before it and later than `before`. */
export function isWrittenSince(
  { checkpoints = {} }: Pick<RunPlan, 'checkpoints'>,
  before: number,
  step: number,
): boolean {
  const { everySteps = Infinity, steps = [] } = checkpoints;
  const isAmong = steps.some((one) => one > before && one <= step);
  return isAmong || Math.floor(step / everySteps) > Math.floor(before / everySteps);
}

/** Gives the pass over the data set, from 0, that epoch `epoch` of the plan ends with. */
export function dataPassOf({ passesPerEpoch }: RunPlan, epoch: number): number {
  return (epoch + 1) * passesPerEpoch - 1;
}

/** The two compiled steps, ONNX files: views of the plan's bytes. */
export function compiledStepsOf(
  { job }: Pick<RunPlan, 'job'>,
  { jobFiles }: Pick<PlanBytes, 'jobFiles'>,
): { readonly train: Uint8Array; readonly evaluate: Uint8Array } {
  return {
    train: jobFiles.subarray(0, job.trainBytes),
    evaluate: jobFiles.subarray(job.trainBytes),
  };
}
