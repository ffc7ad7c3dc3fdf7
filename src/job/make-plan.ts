/** From a configuration and its data to the plan of a run: sizes, steps, update, strategy. */
import type { ConvFormChooser } from '../autodiff/conv-forms.ts';
import { checkpointPace } from '../config/checkpoint-pace.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { featureCountOf, targetCountOf } from '../data/dataset.ts';
import { type SampleForm, sampleFormOf } from '../data/sample-form.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { Model } from '../models/model.ts';
import { optimizerSpecOf, scheduleSpecOf } from '../optim/optimizer-settings.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { BalancePlan } from '../plan/balance-policies.ts';
import type { PlanBytes, PlannedInit, RunPlan } from '../plan/run-plan.ts';
import type { Job } from '../protocol/messages.ts';
import { STRATEGIES } from '../strategies/strategies.ts';
import type { StrategyPlan } from '../strategies/strategy.ts';
import { stateBytesOf } from '../state/state-layout.ts';
import { compileSteps, type CompiledSteps } from './compiled-steps.ts';
import { jobDatasetOf, type RunData } from './data-source.ts';
import type { JobData } from './worker-data.ts';
import { checkBatches, checkState } from './limits.ts';
import { chooseModel, type ChosenModel } from './model-source.ts';

/** A plan with what else the coordinator's side needs. */
export interface PlannedRun {
  readonly plan: RunPlan;
  readonly bytes: PlanBytes;
  /** Draws the file that the trained model leaves as. */
  readonly model: Model;
  /** What its samples are. */
  readonly form: SampleForm;
  /** Given to workers that lack them. */
  readonly data: Omit<JobData, 'digest'>;
  /** Of the file that the model came from, if it came from one. */
  readonly modelSha256?: string;
  /** What the user should know and need not act on. */
  readonly notes: readonly string[];
}

/** What is known of a run besides its configuration and data. */
export interface PlanRequest {
  readonly runId: string;
  readonly minWorkers: number;
  /** The configuration's model, when it has been made already. */
  readonly chosen?: ChosenModel;
  /** The forms of convolutions' gradients; the defaults when absent. */
  readonly chooseForm?: ConvFormChooser | undefined;
  /** How fast the workers' machines are, by rank, where a file says so. */
  readonly scores?: readonly number[] | undefined;
}

const GATHER_MS = 15_000;
/** Snapshots of a large state are taken less often: about a hundredth of the time goes into it. */
const SNAPSHOT_MS = 10_000;
const SNAPSHOT_BYTES_PER_MS = 10_000;

/**
 * Decides everything about a run.
 *
 * Throws: ConfigError or ShapeError when model and data do not fit.
 */
export function makePlan(config: TrainConfig, data: RunData, request: PlanRequest): PlannedRun {
  const { runId, minWorkers, chooseForm, chosen = chooseModel(config, data.train) } = request;
  const { model, sha256 } = chosen;
  const { sampleCount } = data.train;
  checkBatches(config, sampleCount);
  const [optimizer, schedule] = [optimizerSpecOf(config), scheduleSpecOf(config)];
  const shared = STRATEGIES[config.strategy].plan({ config, sampleCount, optimizer, schedule });
  const { spec, stepBatch, remembered, ...ofStrategy } = shared;
  checkState(model.parameters, shared.update.optimizer, remembered);
  const steps = compileSteps(model, config, data.evaluate.sampleCount, chooseForm);
  const notes = steps.note === undefined ? shared.notes : [...shared.notes, steps.note];
  const stateBytes = stateBytesOf(model.parameters, shared.update.optimizer, remembered);
  const plan: RunPlan = {
    ...ofStrategy,
    job: { ...jobOf(config, data, { runId, model, optimizer, spec, stepBatch }), ...steps.facts },
    initial: model.parameters.map(({ init }) => (init.kind === 'values' ? GIVEN : init)),
    stateBytes,
    sumElements: makeArenaLayout(model.parameters).paddedLength,
    // What closes steps looks at every sum, and packed ones are added up at the coordinator.
    collective: shared.closing || shared.packsSums ? 'star' : config.collective,
    balance: balanceOf(config, request.scores),
    ...(config.evalEvery !== 'never' && { evaluate: evaluationOf(data, steps.facts) }),
    evaluateEvery: evaluateEvery(config, shared),
    schedule,
    auditRate: config.audit,
    stopOnDivergence: config.stopOnDivergence,
    minWorkers,
    gatherMs: GATHER_MS,
    ...snapshotsOf(config, stateBytes),
  };
  const given = model.parameters.flatMap(({ init }) =>
    init.kind === 'values' ? [init.values] : [],
  );
  const bytes = { jobFiles: steps.files, given };
  const form = sampleFormOf(data.train);
  const { train, evaluate } = data;
  const samples = { train, evaluate };
  return {
    plan,
    bytes,
    model,
    form,
    data: samples,
    ...(sha256 !== undefined && { modelSha256: sha256 }),
    notes,
  };
}

const GIVEN: PlannedInit = { kind: 'given' };

/** Steps for which the seed's rules keep shares, as there. */
const RULED_STEPS = 10;

function balanceOf(config: TrainConfig, scores: readonly number[] | undefined): BalancePlan {
  const { loadBalancePolicy: policy, rebalanceInterval } = config;
  const everySteps = rebalanceInterval ?? (policy === 'adaptive' ? undefined : RULED_STEPS);
  const keepsAll = config.keepSlowLinks || policy !== 'adaptive';
  return { policy, keepsAll, ...(everySteps && { everySteps }), ...(scores && { scores }) };
}

/** How often states are fetched, which are also written down. */
function snapshotsOf(
  config: TrainConfig,
  stateBytes: number,
): Pick<RunPlan, 'snapshotMs' | 'checkpoints'> {
  const pace = checkpointPace(config);
  const { everySteps, everyMs = SNAPSHOT_MS } = pace ?? {};
  return {
    snapshotMs: Math.max(Math.min(SNAPSHOT_MS, everyMs), stateBytes / SNAPSHOT_BYTES_PER_MS),
    ...(pace && { checkpoints: everySteps === undefined ? {} : { everySteps } }),
  };
}

/** Whether a rule asks for the scores of machines, and no file has them. */
function isProfiled({ loadBalancePolicy: policy, gpuProfiles }: TrainConfig): boolean {
  return policy !== 'adaptive' && policy !== 'equal' && gpuProfiles === undefined;
}

/** What workers are told, but for the facts of the compiled steps. */
function jobOf(
  config: TrainConfig,
  data: RunData,
  {
    runId,
    model,
    optimizer,
    spec,
    stepBatch,
  }: {
    readonly runId: string;
    readonly model: Model;
    readonly optimizer: OptimizerSpec;
    readonly spec: Job['strategy'];
    readonly stepBatch: number;
  },
): Omit<Job, keyof CompiledSteps['facts']> {
  const { seed, microBatch } = config;
  return {
    runId,
    seed,
    dataset: { ...jobDatasetOf(config) },
    dataDigest: data.digest,
    task: data.train.target.kind,
    featureCount: featureCountOf(data.train),
    targetCount: targetCountOf(data.train),
    microBatch,
    globalBatch: stepBatch,
    parameters: model.parameters.map(({ name, shape, statisticMomentum = null }) => ({
      name,
      shape: [...shape],
      statisticMomentum,
    })),
    optimizer: { ...optimizer },
    clipNorm: config.clipNorm ?? null,
    tracksNorms: config.trackGradients,
    isAudited: config.audit > 0,
    ...(isProfiled(config) && { isProfiled: true }),
    strategy: spec,
  };
}

/** One step over all samples of the evaluation's split. */
function evaluationOf(
  { evaluate: { sampleCount }, evaluateSplit: split }: RunData,
  { evaluateMicroBatch: microBatch }: CompiledSteps['facts'],
): NonNullable<RunPlan['evaluate']> {
  const globalBatch = Math.ceil(sampleCount / microBatch) * microBatch;
  return { sampleCount, globalBatch, microBatch, split };
}

function evaluateEvery({ evalEvery }: TrainConfig, { train }: StrategyPlan): number {
  return typeof evalEvery === 'number'
    ? evalEvery
    : stepsPerEpoch(train.sampleCount, train.globalBatch);
}
