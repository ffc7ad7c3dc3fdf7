/**
 * What a run tells the world: one line of `metrics.jsonl` each, and the input of every progress
 * bar, dashboard and tracker. Numbers are measured; what was not measured is absent.
 */
export type RunEvent =
  | RunStarted
  | DataReceived
  | WorkerJoined
  | WorkerLost
  | WorkerStalled
  | NumericsDiffer
  | MicroBatchesReissued
  | GradientLate
  | StalenessBound
  | CollectiveChosen
  | StepRedone
  | RolledBack
  | WorkerDistrusted
  | ResultNotRepeated
  | ReplicasDiffer
  | WorkerRefused
  | ApprovalAsked
  | ApprovalEnded
  | WorkerRestarting
  | WorkerGivenUp
  | WorkerSlow
  | Rebalanced
  | ClockJumped
  | StepCommitted
  | Diverged
  | Progressed
  | WorkersLeftOut
  | WorkersTakenBack
  | WorkerOvertaken
  | ExchangeBound
  | GradientNorms
  | Evaluated
  | RunWaiting
  | FileFailed
  | CheckpointWritten
  | RunUnfinished;

/** What a worker, or who knocks, can provoke as often as it likes: told at a bounded rate. */
export type ProvokedEvent =
  | DataReceived
  | WorkerJoined
  | WorkerLost
  | WorkerStalled
  | MicroBatchesReissued
  | GradientLate
  | StalenessBound
  | CollectiveChosen
  | WorkerRefused
  | ApprovalAsked
  | ApprovalEnded
  | WorkerSlow
  | Rebalanced
  | ClockJumped
  | WorkersLeftOut
  | WorkersTakenBack
  | WorkerOvertaken
  | NumericsDiffer
  | RunWaiting;

interface Provoked {
  /** So many of this kind were not told since the last one. */
  readonly leftOut?: number;
}

/** The first event of a run: its sizes. */
export interface RunStarted {
  readonly kind: 'run-started';
  readonly runId: string;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  /** The run goes on after so many updates: from a checkpoint, or from what workers have. */
  readonly resumedAtStep?: number;
  readonly forkedFrom?: ForkedFrom;
  /** So many workers had that state when its coordinator was started again. */
  readonly workersWithState?: number;
  readonly parameterCount: number;
  readonly microBatch: number;
  readonly globalBatch: number;
  /**
   * When the run is done in rounds, each of which is a step here; `globalBatch` is then the samples
   * of a local step.
   */
  readonly rounds?: RoundSizes;
}

/** A run began as a variation of another one: of its state after a step, with other settings. */
export interface ForkedFrom {
  readonly run: string;
  readonly step: number;
  readonly stateDigest: string;
  /** The settings that differ, by their names in `config.yaml`: before, and now. */
  readonly changed: Readonly<Record<string, { readonly had: unknown; readonly has: unknown }>>;
}

/** What a round consists of. */
export interface RoundSizes {
  /** Parts that are trained side by side from the same weights, then averaged. */
  readonly shards: number;
  /** Passes of a shard over its samples. */
  readonly localEpochs: number;
  /** Updates of a shard; the last shard may make fewer. */
  readonly localSteps: number;
}

/** A worker lacked the data, and has got them from the coordinator. */
interface DataReceived extends Provoked {
  readonly kind: 'data-received';
  readonly rank: number;
  readonly workerId: string;
  /** Of the samples, and as they travelled. */
  readonly bytes: number;
  readonly wireBytes: number;
  /** From the first piece that it asked for to the last that came, as it says. */
  readonly receiveMs: number;
}

/** A worker has the state and gets work from now on. */
interface WorkerJoined extends Provoked {
  readonly kind: 'worker-joined';
  readonly rank: number;
  readonly workerId: string;
  readonly host: string;
  readonly processId: number;
  /** Where it computes: cpu, webgpu, cuda, coreml or dml. */
  readonly device: string;
  readonly lanes: number;
  readonly numericsClass: string;
  /** The first step it can contribute to. */
  readonly step: number;
  /** Who gave it the state: `coordinator`, or the worker `rank 2`. */
  readonly stateFrom: string;
}

/** A worker is gone: it left, its connection ended, or it was silent for too long. */
interface WorkerLost extends Provoked {
  readonly kind: 'worker-lost';
  readonly rank: number;
  readonly workerId: string;
  readonly step: number;
  readonly reason: string;
}

/** A worker is silent or without progress: others get its micro-batches; it may come back. */
interface WorkerStalled extends Provoked {
  readonly kind: 'worker-stalled';
  readonly rank: number;
  readonly workerId: string;
  readonly step: number;
  readonly silentMs: number;
  readonly reason: string;
}

/** Workers compute different bits for one micro-batch: the digest depends on who computed what. */
interface NumericsDiffer extends Provoked {
  readonly kind: 'numerics-differ';
  readonly classes: readonly {
    readonly numericsClass: string;
    readonly ranks: readonly number[];
  }[];
}

/** Micro-batches of a worker that stalled or left were given to others. */
interface MicroBatchesReissued extends Provoked {
  readonly kind: 'micro-batches-reissued';
  readonly step: number;
  readonly fromRank: number;
  readonly microBatches: readonly number[];
}

/**
 * A step was closed without these micro-batches, in a run whose steps do not wait for all of them.
 * `added`: the gradient came later, and is in the step that was under way then; `left-out`: it came
 * too late; `lost`: it does not come, its worker is gone, silent or stuck, had to go on with another
 * step, or the run has ended.
 */
export interface GradientLate extends Provoked {
  readonly kind: 'gradient-late';
  readonly rank: number;
  /** The one that was closed without it. */
  readonly step: number;
  readonly microBatches: readonly number[];
  readonly samples: number;
  /** Since that step was closed. */
  readonly lateMs: number;
  readonly became: 'added' | 'left-out' | 'lost';
  /** Of one that was added: how many steps later, and the samples that it counted for there. */
  readonly staleness?: number;
  readonly countedAs?: number;
}

/** A step had to wait for workers whose gradients would have become too old. */
interface StalenessBound extends Provoked {
  readonly kind: 'staleness-bound';
  readonly step: number;
  readonly ranks: readonly number[];
  readonly waitMs: number;
}

/** The sums of gradients travel this way from now on, between workers of these ranks. */
interface CollectiveChosen extends Provoked {
  readonly kind: 'collective-chosen';
  readonly step: number;
  readonly collective: 'shm' | 'hosts' | 'ring' | 'star';
  readonly ranks: readonly number[];
  /** What they are predicted to take in a step, where it was chosen for that. */
  readonly predictedMs?: number;
  /** What that follows from; without a prediction, why they go through the coordinator. */
  readonly reason?: string;
}

/**
 * A step is computed again, since the integer grid of its gradients was too narrow or unknown; or
 * `unconfirmed`: it had been widened for a large element that was not seen again, somebody's
 * gradient was damaged once.
 */
interface StepRedone {
  readonly kind: 'step-redone';
  readonly step: number;
  readonly reason: 'calibration' | 'overflow' | 'unconfirmed';
}

/**
 * The run goes on from an older state: `lost`, no worker holds the newest any more, what follows
 * has the same results; `distrusted`, a worker that computed wrong numbers had a part in the steps
 * in between, which are void; `differing`, replicas differed and nobody could tell which
 * of them were right.
 */
interface RolledBack {
  readonly kind: 'rolled-back';
  readonly fromStep: number;
  readonly toStep: number;
  readonly reason: 'lost' | 'distrusted' | 'differing';
}

/**
 * A worker computed another result than others did, or its replica has other weights: it is banned.
 * Steps that it may have spoiled are void.
 */
interface WorkerDistrusted {
  readonly kind: 'worker-distrusted';
  readonly rank: number;
  readonly workerId: string;
  /** The step under way, of which nothing is committed. */
  readonly step: number;
  /** Absent where its weights are other ones. */
  readonly microBatch?: number;
  readonly reason: string;
}

/**
 * Workers have different weights after the same updates, and not most of them the same: all go on
 * from the last state that they had in common.
 */
interface ReplicasDiffer {
  readonly kind: 'replicas-differ';
  readonly step: number;
  readonly ranks: readonly number[];
}

/**
 * A worker that nobody could be compared with computed what is not a number, and a number when it
 * computed the same again: the step is computed anew.
 */
interface ResultNotRepeated {
  readonly kind: 'result-not-repeated';
  readonly rank: number;
  readonly workerId: string;
  /** The step under way, of which nothing is committed. */
  readonly step: number;
  readonly microBatch: number;
  readonly reason: string;
}

/** Somebody was turned away at the door. */
interface WorkerRefused extends Provoked {
  readonly kind: 'worker-refused';
  readonly peer: string;
  /** The rank that it asked for, or that the worker has that it says it is. */
  readonly rank?: number;
  readonly reason: string;
}

/** Somebody with a token waits until a person lets it in. */
interface ApprovalAsked extends Provoked {
  readonly kind: 'approval-asked';
  readonly peer: string;
  /** Who it is, in its own words. */
  readonly holder: string;
}

/** It waits no more: it was let in or turned away, nobody answered in time, or it went. */
export interface ApprovalEnded extends Provoked {
  readonly kind: 'approval-ended';
  readonly peer: string;
  readonly holder: string;
  readonly became: 'approved' | 'denied' | 'timed-out' | 'left';
  readonly waitedMs: number;
}

/** A worker was much slower than the others for some time, in computing or on its link. */
export interface WorkerSlow extends Provoked {
  readonly kind: 'worker-slow';
  readonly rank: number;
  readonly workerId: string;
  readonly step: number;
  readonly where: 'compute' | 'link';
  /**
   * Milliseconds per micro-batch (compute) or per step
   * (link) of this worker; `othersMs` is the others' median.
   */
  readonly ms: number;
  readonly othersMs: number;
}

/** A step is shared out among the workers otherwise than the steps before. */
export interface Rebalanced extends Provoked {
  readonly kind: 'rebalanced';
  /** The first step that is. */
  readonly step: number;
  readonly policy: 'adaptive' | 'equal' | 'proportional' | 'dynamic' | 'hybrid';
  /** Micro-batches of a whole step. */
  readonly shares: readonly { readonly rank: number; readonly microBatches: number }[];
  /** Ranks whose part of a step takes more than 1.5 times the median of all. */
  readonly stragglers: readonly number[];
}

/** The wall clock of a worker's machine was set; nothing in the run depends on it. */
interface ClockJumped extends Provoked {
  readonly kind: 'clock-jumped';
  readonly rank: number;
  readonly workerId: string;
  readonly step: number;
  readonly jumpMs: number;
}

/** The process of a local worker has ended before the run: it is started again after a pause. */
interface WorkerRestarting {
  readonly kind: 'worker-restarting';
  /** The one that it is started with. */
  readonly rank: number;
  readonly step: number;
  /** How often in a row it has ended so, each time soon after its start. */
  readonly deaths: number;
  readonly pauseMs: number;
  readonly reason: string;
}

/** The process of a local worker has ended, and is not started again. */
interface WorkerGivenUp {
  readonly kind: 'worker-given-up';
  readonly rank: number;
  readonly step: number;
  readonly deaths: number;
  readonly reason: string;
}

/** A state of the run is written down, and would survive a power cut. */
interface CheckpointWritten {
  readonly kind: 'checkpoint-written';
  /** Updates done. */
  readonly step: number;
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** The last event of a run that does not come to its last step. */
interface RunUnfinished {
  readonly kind: 'run-unfinished';
  /** Updates committed. */
  readonly step: number;
  /** The model files are those of the state after so many updates; absent when there are none. */
  readonly modelStep?: number;
  /** The one to go on from. */
  readonly modelFile?: string;
  /** Why there are no model files. */
  readonly noModel?: string;
  /** The newest checkpoint, and the command that goes on from there; absent when there is none. */
  readonly checkpointStep?: number;
  readonly resume?: string;
}

/** The run waits, since nobody can compute. */
interface RunWaiting extends Provoked {
  readonly kind: 'run-waiting';
  readonly step: number;
  readonly reason: string;
}

/** A file of the run, or its folder, is not as it should be. The run goes on. */
export interface FileFailed {
  readonly kind: 'file-failed';
  /** `metrics.jsonl`, say; `logs/rank_*_metrics.json` stands for those of all ranks. */
  readonly file: string;
  readonly reason: string;
  /** What is missing, or where it is instead. */
  readonly consequence: string;
}

/** A step is done: every worker applies the same update. */
export interface StepCommitted {
  readonly kind: 'step';
  /** Number of updates done, counting this one. */
  readonly step: number;
  readonly epoch: number;
  readonly sampleCount: number;
  /** Mean over the samples of the step, before the update. */
  readonly lossMean: number;
  /**
   * Share of right answers, 0 to 1: of samples, of yes-or-no answers, of a sequence's positions.
   * A regression has none.
   */
  readonly accuracy?: number;
  readonly learningRate: number;
  /**
   * The coordinator died before it told of this step, which counts all the same: nobody knows what
   * took how long, and the times are 0.
   */
  readonly isRestored?: true;
  readonly stepMs: number;
  /** Computing and updating. This and the next three add up to `stepMs`: means over workers. */
  readonly computeMs: number;
  /** Sums and totals on their way. */
  readonly communicateMs: number;
  /** Waiting for slower workers. */
  readonly waitMs: number;
  /** The coordinator's own work. */
  readonly otherMs: number;
  /** The workers whose work is in this step, by rank. */
  readonly ranks: readonly RankStep[];
}

/**
 * With this step, the training has diverged: the loss was ten times that of the first step in ten
 * steps one after another, or ten thousand times in one. Told once.
 */
export interface Diverged {
  readonly kind: 'diverged';
  /** Number of updates done, counting this one. */
  readonly step: number;
  readonly lossMean: number;
  /** Mean loss of the first step. */
  readonly firstLoss: number;
}

/** With some workers steps take longer than they would without: these stand by from now on. */
interface WorkersLeftOut extends Provoked {
  readonly kind: 'workers-left-out';
  readonly step: number;
  readonly ranks: readonly number[];
  /** What a step takes with them, and is predicted to take without. */
  readonly stepMs: number;
  readonly predictedMs: number;
  /** After so long they are tried again, or at once when another worker is lost. */
  readonly retryMs: number;
}

/** Workers that stood by take part again: it is tried, or they are needed. */
interface WorkersTakenBack extends Provoked {
  readonly kind: 'workers-taken-back';
  readonly step: number;
  readonly ranks: readonly number[];
}

/**
 * The others went on faster than the state came to a worker that was to take part: it could not be
 * brought up to date.
 */
interface WorkerOvertaken extends Provoked {
  readonly kind: 'worker-overtaken';
  readonly step: number;
  readonly rank: number;
  /** For how long that was tried, and after how long it is tried again. */
  readonly triedMs: number;
  readonly retryMs: number;
}

/**
 * In each of the last steps the workers exchanged sums, and waited for each other, for longer than
 * they computed. Told once.
 */
interface ExchangeBound {
  readonly kind: 'exchange-bound';
  readonly step: number;
  /** So many steps, up to this one; the times are their means. */
  readonly steps: number;
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  /** What limits: the link of `rank`, `rank` computing, or all links alike. */
  readonly limit: 'link' | 'worker' | 'exchange';
  readonly rank?: number;
  /** Those who are predicted to be clearly faster without the others, and what a step takes them. */
  readonly fewer?: { readonly ranks: readonly number[]; readonly stepMs: number };
}

/**
 * How far the run is with what takes longer than a second; told once a second until it is done. Not
 * in `metrics.jsonl`.
 */
export interface Progressed {
  readonly kind: 'progress';
  /**
   * `loading`: workers load data and model (counts workers); `handing-over`: they get the state
   * (workers); `measuring`: the first micro-batch is computed to learn how large gradients are;
   * `training` (micro-batches), `evaluating` (samples); `collecting`: the final state is on its way.
   */
  readonly activity:
    'loading' | 'handing-over' | 'measuring' | 'training' | 'evaluating' | 'collecting';
  /** Updates committed so far. */
  readonly step: number;
  readonly done: number;
  readonly of: number;
  /** Since it began. */
  readonly elapsedMs: number;
}

/** What the computing time of a worker in a step went into, milliseconds; lanes go side by side. */
export interface ComputeParts {
  /** Putting samples and masks in place. */
  readonly dataMs: number;
  /** Forward and backward, which are one graph. */
  readonly graphMs: number;
  /** Of that, what forward alone took so many samples in the last evaluation; absent before it. */
  readonly forwardMs?: number;
  /** Rounding gradients to the grid, and adding them to the sum. */
  readonly quantiseMs: number;
  /** Updating weights and optimizer state: of this step, or that before. */
  readonly updateMs: number;
}

/** One worker's part in a step. */
export interface RankStep {
  readonly rank: number;
  readonly samples: number;
  readonly microBatches: number;
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  /** Adding up with other workers, by its own clock, as the next two; absent in older records. */
  readonly addMs?: number;
  /** From its own sum until anything of another worker was there. */
  readonly waitPeersMs?: number;
  /** Without work, until the coordinator said something. */
  readonly waitCoordinatorMs?: number;
  /** Absent if the worker's engine does not tell. */
  readonly parts?: ComputeParts;
}

/** L2 norms of the averaged gradient per parameter tensor, before clipping. */
interface GradientNorms {
  readonly kind: 'gradient-norms';
  readonly step: number;
  readonly norms: Readonly<Record<string, number>>;
}

/** The model was tried on data that it does not train on. */
interface Evaluated {
  readonly kind: 'evaluation';
  readonly step: number;
  readonly epoch: number;
  readonly split: 'test' | 'validation';
  readonly sampleCount: number;
  readonly lossMean: number;
  readonly accuracy?: number;
  readonly evaluateMs: number;
}

/** Samples planned, committed exactly once, never committed, committed more than once. */
export interface Ledger {
  readonly expected: number;
  readonly counted: number;
  readonly dropped: number;
  readonly duplicated: number;
}
