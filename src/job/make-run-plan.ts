/**
 * From a configuration and its data to the plan of a run: model, compiled steps, schedule, initial
 * state.
 */
import { ConfigError } from '../base/errors.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { RunPlan } from '../coordinator/run-plan.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { featureCountOf, targetCountOf } from '../data/dataset.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { AVERAGING } from '../strategies/averaging.ts';
import type { RoundSizes } from '../metrics/events.ts';
import { peakBytes } from '../graph/peak-bytes.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { Model } from '../models/model.ts';
import { makeEvaluateGraph, makeStepGraphs } from '../models/step-graphs.ts';
import { optimizerSpecOf, scheduleSpecOf } from '../optim/optimizer-settings.ts';
import { learningRateAt } from '../optim/schedule.ts';
import { optimizerScalars } from '../optim/scalars.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import { datasetSpecOf, type RunData } from './data-source.ts';
import type { ConvFormChooser } from '../autodiff/conv-forms.ts';
import { checkJobFiles, makeInitialState, stateBytesOf } from '../state/initial-state.ts';
import { chooseModel, type ChosenModel } from './model-source.ts';
import { planRounds, roundsOf } from '../strategies/rounds-plan.ts';

/** A plan with what else the coordinator's side needs of the model. */
export interface PlannedRun {
  readonly plan: RunPlan;
  readonly model: Model;
  /** Of the file that the model came from, if it came from one. */
  readonly modelSha256?: string;
  /**
   * The optimizer of the workers, and the one whose state travels: the same, unless the run is done
   * in rounds.
   */
  readonly optimizer: OptimizerSpec;
  readonly sharedOptimizer: OptimizerSpec;
  /** Of a run in rounds. */
  readonly rounds?: RoundSizes;
  /** What the user should know and need not act on. */
  readonly notes: readonly string[];
  /** The compiled training step, an ONNX file. */
  readonly stepModel: Uint8Array;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
}

export interface RunPlanOptions {
  /** The configuration's model, when it has been made already. */
  readonly chosen?: ChosenModel;
  /** The forms of convolutions' gradients; the defaults when absent. */
  readonly chooseForm?: ConvFormChooser | undefined;
}

/**
 * Micro-batches of an evaluation are larger than those of training, as far as this memory goes on
 * each lane.
 */
const EVALUATE_MICRO_BATCH = 256;
const EVALUATE_BYTES = 256 << 20;
const GATHER_MS = 15_000;
/**
 * A snapshot is taken this often, and less often if it is large: about one hundredth of the time
 * goes into it.
 */
const SNAPSHOT_MS = 10_000;
const SNAPSHOT_BYTES_PER_MS = 10_000;

/**
 * Decides everything about a run.
 * Throws: ConfigError or ShapeError when model and data do not fit.
 */
export function makeRunPlan(
  config: TrainConfig,
  data: RunData,
  runId: string,
  minWorkers: number,
  { chosen = chooseModel(config, data.train), chooseForm }: RunPlanOptions = {},
): PlannedRun {
  const { train, evaluate } = data;
  const { model, sha256 } = chosen;
  checkBatches(config, train.sampleCount);
  const optimizer = optimizerSpecOf(config);
  const isInRounds = config.strategy === 'rounds';
  const sharedOptimizer = isInRounds ? AVERAGING : optimizer;
  const perEpoch = isInRounds ? 1 : stepsPerEpoch(train.sampleCount, config.globalBatch);
  const totalSteps = isInRounds ? roundsOf(config) : (config.steps ?? config.epochs * perEpoch);
  const stateBytes = stateBytesOf(model, sharedOptimizer);
  const objective = { loss: config.loss, labelSmoothing: config.labelSmoothing };
  const stepGraphs = makeStepGraphs(model, config.microBatch, { chooseForm, objective });
  const bytesPerSample = peakBytes(stepGraphs.evaluate) / config.microBatch;
  const evaluateMicroBatch = Math.max(
    config.microBatch,
    Math.min(
      EVALUATE_MICRO_BATCH,
      evaluate.sampleCount,
      Math.floor(EVALUATE_BYTES / bytesPerSample),
    ),
  );
  const stepModel = encodeGraph(stepGraphs.train);
  const evaluateModel = encodeGraph(makeEvaluateGraph(model, evaluateMicroBatch, { objective }));
  checkJobFiles(stepModel.length + evaluateModel.length);
  const schedule = scheduleSpecOf(config);
  const evaluateBatch = Math.ceil(evaluate.sampleCount / evaluateMicroBatch) * evaluateMicroBatch;
  const evalEvery = config.evalEvery === 'epoch' ? perEpoch : config.evalEvery;
  const rateOf = (step: number): number => learningRateAt(schedule, step + 1, totalSteps);
  const rounds = isInRounds ? planRounds(config, train.sampleCount, rateOf) : undefined;
  const plan: RunPlan = {
    job: {
      runId,
      seed: config.seed,
      dataset: { ...datasetSpecOf(config) },
      dataDigest: data.digest,
      task: train.target.kind,
      featureCount: featureCountOf(train),
      targetCount: targetCountOf(train),
      microBatch: config.microBatch,
      globalBatch: config.globalBatch,
      evaluateMicroBatch,
      parameters: model.parameters.map(({ name, shape, statisticMomentum = null }) => ({
        name,
        shape: [...shape],
        statisticMomentum,
      })),
      masks: stepGraphs.masks.map(({ name, shape, rate }) => ({ name, shape: [...shape], rate })),
      optimizer: { ...optimizer },
      clipNorm: config.clipNorm ?? null,
      tracksNorms: config.trackGradients,
      isAudited: config.audit > 0,
      trainBytes: stepModel.length,
      evaluateBytes: evaluateModel.length,
      ...rounds?.job,
    },
    jobFiles: Buffer.concat([stepModel, evaluateModel]),
    makeInitialState: () => makeInitialState(model, sharedOptimizer, config.seed),
    stateBytes,
    sumElements: makeArenaLayout(model.parameters).paddedLength,
    totalSteps,
    train: rounds?.train ?? {
      sampleCount: train.sampleCount,
      globalBatch: config.globalBatch,
      microBatch: config.microBatch,
    },
    evaluate: {
      sampleCount: evaluate.sampleCount,
      globalBatch: evaluateBatch,
      microBatch: evaluateMicroBatch,
      split: data.evaluateSplit,
    },
    evaluatesAfter: (step) => step > 0 && (step % evalEvery === 0 || step === totalSteps),
    scalarsOf:
      rounds?.scalarsOf ?? ((step) => ({ ...optimizerScalars(optimizer, step + 1, rateOf(step)) })),
    learningRateOf: rateOf,
    auditRate: config.audit,
    minWorkers,
    gatherMs: GATHER_MS,
    snapshotMs: Math.max(SNAPSHOT_MS, stateBytes / SNAPSHOT_BYTES_PER_MS),
  };
  return {
    plan,
    model,
    ...(sha256 !== undefined && { modelSha256: sha256 }),
    optimizer,
    sharedOptimizer,
    ...(rounds !== undefined && { rounds: rounds.sizes }),
    notes: rounds?.notes ?? [],
    stepModel,
    stepsPerEpoch: perEpoch,
    epochs: Math.ceil(totalSteps / perEpoch),
  };
}

function checkBatches(config: TrainConfig, sampleCount: number): void {
  if (config.microBatch <= sampleCount) return;
  const issue = {
    path: 'micro_batch',
    expected: `at most the ${sampleCount} training samples`,
    got: String(config.microBatch),
  };
  throw new ConfigError(`micro_batch: expected ${issue.expected}, got ${issue.got}`, [issue]);
}
