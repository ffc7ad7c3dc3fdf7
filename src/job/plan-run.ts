/** From a configuration to a planned run, with everything that is read or measured on the way. */
import type { ConvFormChooser } from '../autodiff/conv-forms.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { DataPlaces } from '../data/dataset.ts';
import { type TokenTable, tokenTableOf } from '../data/token-table.ts';
import { parameterCountOf } from '../models/model.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { datasetSpecOf, loadRunData } from './data-source.ts';
import { chooseConvForms } from './form-cache.ts';
import { readScores } from './machine-scores.ts';
import { makePlan, type PlannedRun } from './make-plan.ts';
import { chooseModel, type ChosenModel } from './model-source.ts';

/** Where and for whom a run is planned. */
export interface PlanningOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly places: DataPlaces;
  /** Whether all workers are known to compute on CPUs: forms are measured for those only. */
  readonly isOnCpu: boolean;
  /** What the user should know and need not act on. */
  readonly onNote: (note: string) => void;
  /** Told what is begun, when that may take long. */
  readonly onPhase: (phase: string) => void;
}

/**
 * Loads the data, chooses and compiles the model, and decides everything about the run; with the
 * tokens of a text.
 *
 * Throws: LockstepError when settings, data and model do not fit each other.
 */
export async function planRun(
  options: PlanningOptions,
): Promise<{ readonly planned: PlannedRun; readonly tokens: TokenTable | undefined }> {
  const { config, name, places, onNote, onPhase } = options;
  onPhase('loading data');
  const data = await loadRunData(datasetSpecOf(config), places);
  for (const note of data.splits.notes ?? []) onNote(note);
  onPhase('compiling the model');
  const chosen = chooseModel(config, data.train);
  for (const note of chosen.notes ?? []) onNote(`${config.model}: ${note}`);
  const chooseForm = await formsFor(chosen, options);
  const scores = scoresOf(config, onNote);
  const request = { runId: name, minWorkers: config.workers, chosen, chooseForm, scores };
  const planned = makePlan(config, data, request);
  for (const note of planned.notes) onNote(note);
  const onEvaluation = noteOnEvaluation(planned.plan, parameterCountOf(planned.model));
  if (onEvaluation !== undefined) onNote(onEvaluation);
  if (config.audit > 0 && config.workers < 3) {
    onNote(
      'audit: it takes three workers to tell which of two that disagree is wrong; with fewer ' +
        'the run ends then',
    );
  }
  return { planned, tokens: tokenTableOf(data.train) };
}

/** The scores that a file has, if one is named; those of other ranks are taken for average. */
function scoresOf(
  { gpuProfiles: file, workers }: TrainConfig,
  onNote: PlanningOptions['onNote'],
): readonly number[] | undefined {
  if (file === undefined) return undefined;
  const scores = readScores(file);
  const { length } = scores;
  if (length < workers)
    onNote(
      `gpu_profiles: ${file} has ${length} score${length === 1 ? '' : 's'} for ${workers} ` +
        'workers: the others are taken to be as fast as the mean of these',
    );
  return scores;
}

/** A sample is evaluated in a third of the time that it takes to train on it: there is no gradient. */
const EVALUATION_PART = 1 / 3;
/** Weights times samples that nobody waits long for. */
const QUICK_WORK = 5e10;

/** What the user should know when evaluating takes more than a fifth of a long run. */
export function noteOnEvaluation(plan: RunPlan, parameterCount: number): string | undefined {
  const { evaluate, evaluateEvery, totalSteps, train, rounds } = plan;
  if (evaluate === undefined || rounds !== undefined) return undefined;
  const times = Math.ceil(totalSteps / evaluateEvery);
  const evaluated = times * evaluate.sampleCount;
  const work = EVALUATION_PART * evaluated;
  const part = work / (work + totalSteps * Math.min(train.globalBatch, train.sampleCount));
  if (part <= 0.2 || evaluated * parameterCount < QUICK_WORK) return undefined;
  return (
    `evaluating ${evaluate.sampleCount} samples, ${times === 1 ? 'once' : `${times} times`}, will ` +
    `take about ${Math.round(100 * part)} % of the run; --eval-samples and --eval-every make it less`
  );
}

async function formsFor(
  { model }: ChosenModel,
  { config, places: { cacheDir }, isOnCpu, onNote }: PlanningOptions,
): Promise<ConvFormChooser | undefined> {
  if (config.convForms !== 'measured') return undefined;
  if (isOnCpu) return chooseConvForms(model, config.microBatch, { cacheDir, onNote });
  onNote(
    'conv_forms: forms are measured for CPUs only; with a GPU in the run the default ones are used',
  );
  return undefined;
}
