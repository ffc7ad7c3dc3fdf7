import type { TrainConfig } from '../config/train-config.ts';
import type { ScheduleSpec } from '../optim/schedule.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import type { Job } from '../protocol/messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { LanePool, LanePoolOptions } from '../runtime/lanes/lane-pool.ts';

/** What a strategy plans with. */
export interface StrategyRequest {
  readonly config: TrainConfig;
  /** Samples of the training split. */
  readonly sampleCount: number;
  /** What the user asked for: of every step, or of the training that workers do by themselves. */
  readonly optimizer: OptimizerSpec;
  readonly schedule: ScheduleSpec;
}

/** The part of a plan that its strategy decides. */
export interface StrategyPlan extends Pick<
  RunPlan,
  | 'totalSteps'
  | 'train'
  | 'passesPerEpoch'
  | 'update'
  | 'units'
  | 'rounds'
  | 'closing'
  | 'packsSums'
> {
  /** Samples of one step as lanes compute it; a multiple of the micro-batch. */
  readonly stepBatch: number;
  /** What travels to the workers; `strategyOf` and the strategy itself understand it. */
  readonly spec: Job['strategy'];
  /** Regions that the state has behind those of the optimizer, each as large; 0 if absent. */
  readonly remembered?: number;
  /** What the user should know and need not act on. */
  readonly notes: readonly string[];
}

/** The computing half of a worker, ready. The threads of `pool` end after the engine. */
export interface StartedEngine {
  readonly engine: Engine;
  readonly pool: LanePool;
  readonly numericsClass: string;
  /** What one micro-batch took its lanes, milliseconds; absent where a part is more than one. */
  readonly trialMs?: number;
}

/**
 * How the workers of a run share its training. To the coordinator all strategies are steps whose
 * parts are leased, added up as integers and committed; they differ in what a part is.
 */
export interface Strategy {
  /** Decides what a step is, how many there are, and what a commit does to the state. */
  readonly plan: (request: StrategyRequest) => StrategyPlan;
  /** Regions of the parameters' size that a worker holds beside those of its lanes. */
  readonly extraRegions: number;
  /** Starts the lanes of a worker and what trains with them. Throws LockstepError. */
  readonly createEngine: (options: LanePoolOptions) => Promise<StartedEngine>;
}
