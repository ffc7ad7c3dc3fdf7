/** Predictions of a model that a run has trained. */
import { join } from 'node:path';
import { ConfigError, RuntimeError } from '../base/errors.ts';
import type { DatasetTarget } from '../data/dataset.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import { openSavedModel } from '../runs/saved-model.ts';
import { likeliestClasses } from './likeliest-classes.ts';
import { type InputType, type ModelInput, packSamples } from './pack-samples.ts';
import { readRun } from './read-run.ts';

/** What a model says of samples. */
export interface Prediction {
  /**
   * The likeliest class of every sample, [count], of every position of a sequence, [count, length],
   * or of every pixel, [count, height, width]. Empty for tasks without classes: regression and
   * yes-or-no answers.
   */
  readonly classes: Int32Array;
  /**
   * What the network puts out, of `shape`: for every class a score, the higher the likelier (of
   * Lockstep's own models a logit, before the softmax), or the predicted numbers.
   */
  readonly scores: Float32Array;
  /**
   * [count, classes], [count, length, classes], [count, outputs], or of a network of your own as it
   * is: for pixels [count, classes, height, width].
   */
  readonly shape: readonly number[];
}

/** A trained model, ready to run on the CPU. */
export interface TrainedModel {
  /** What a sample is mapped to. */
  readonly task: DatasetTarget['kind'];
  /** Shape of one sample, as the files of the data have it: [28, 28], of colour [32, 32, 3]. */
  readonly features: readonly number[];
  /** What samples consist of: bytes, numbers, or the ids of tokens, whole numbers. */
  readonly inputType: InputType;
  /** Names of the classes, `0` and so on where the data have none; undefined without classes. */
  readonly classNames: readonly string[] | undefined;
  /**
   * Runs the model over samples, a batch at a time. It takes them as the files of the data hold
   * them, pixels from 0 to 255 or the cells of a table: scaling is part of model.onnx.
   *
   * Throws: ConfigError for samples of another length or kind than the model takes; RuntimeError
   *         when ONNX Runtime fails, as for an unknown token, or after `close`.
   */
  readonly predict: (samples: ModelInput) => Promise<Prediction>;
  /** Frees the memory of the model. */
  readonly close: () => Promise<void>;
}

/**
 * Loads the model of a run that is over: of its last step, or of the one that its summary names as
 * `modelStep` when it did not finish.
 *
 * Throws: ConfigError when there is no such folder, or no run with a model in it; GraphError or
 *         RuntimeError when its model.onnx is none that Lockstep wrote.
 */
export async function loadModel(folder: string): Promise<TrainedModel> {
  const { modelFolder } = modelledOf(folder, (await readRun(folder)).summary);
  const file = join(modelFolder ?? folder, 'model.onnx');
  const model = await openSavedModel(file);
  const { features, description } = model;
  const { task, input, output, classNames } = description;
  let isClosed = false;
  return {
    task,
    features,
    inputType: input.type,
    classNames,
    predict: async (samples) => {
      if (isClosed) throw new RuntimeError(`predicting with ${file}: the model is closed`);
      const { values, count } = packSamples(samples, features, input.type);
      const { scores, shape } = await model.run(values, count);
      const classes = likeliestClasses(task, scores, shape, output.gives);
      return { classes, scores, shape };
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await model.close();
    },
  };
}

const HOW = { failed: 'failed', interrupted: 'was interrupted' } as const;

function modelledOf(folder: string, summary: RunSummary | undefined): RunSummary {
  if (summary?.status === 'finished' || summary?.modelStep !== undefined) return summary;
  const how =
    summary === undefined
      ? 'has not ended: it is under way, or was killed'
      : `${HOW[summary.status]} after ${summary.steps} steps`;
  const why = summary?.noModel === undefined ? '' : `: ${summary.noModel}`;
  throw new ConfigError(`loading the model of ${folder}: the run ${how}. It has no model${why}.`);
}
