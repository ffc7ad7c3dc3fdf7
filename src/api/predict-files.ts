/** What a saved model says of files of the user's. */
import { ConfigError } from '../base/errors.ts';
import type { ModelDescription } from '../runs/model-description.ts';
import type { SavedModel } from '../runs/saved-model.ts';
import { likeliestClasses } from './likeliest-classes.ts';
import { packSamples } from './pack-samples.ts';
import { readSamples, type ReadSample } from './read-samples.ts';

/** What a model says of one sample. */
export interface FilePrediction {
  /** Where the sample came from: a path, with the line in a table or text. */
  readonly input: string;
  /** The likeliest class; of a sequence or segmentation that of every position. */
  readonly classes?: readonly string[];
  /** Of every class, in the order of `classNames`; of yes-or-no answers of yes, one by one. */
  readonly probabilities?: readonly number[];
  /** The numbers that are predicted. */
  readonly values?: readonly number[];
}

/** What a model says of all samples. */
export interface FilePredictions {
  readonly classNames?: readonly string[];
  readonly predictions: readonly FilePrediction[];
  /** Share that is classified wrong (0..1), if labels stood beside all samples. */
  readonly errorRate?: number;
}

/**
 * Predicts for every sample of the files.
 *
 * Throws: ConfigError for a language model, and for files that are not there or of a wrong kind;
 *         DataError for what is in them.
 */
export async function predictFiles(
  model: SavedModel,
  files: readonly string[],
): Promise<FilePredictions> {
  const { description, features } = model;
  const { task, input, classNames } = description;
  if (task === 'sequence' && isText(description))
    throw new ConfigError(
      'predict: this is a language model, which continues a text. Let it: lockstep generate ' +
        '<folder of the run> --prompt "..."',
    );
  const samples = files.flatMap((file) => readSamples(file, input));
  checkVocabulary(samples, description);
  const rows = samples.map(({ values }) => values);
  const { values, count } = packSamples(rows, features, input.type);
  const { scores, shape } = await model.run(values, count);
  const size = scores.length / count;
  const predictions = samples.map(({ name }, i) => ({
    input: name,
    ...answerOf(scores.subarray(i * size, (i + 1) * size), shape, description),
  }));
  const errorRate = errorRateOf(samples, predictions, description);
  return {
    ...(classNames && { classNames }),
    predictions,
    ...(errorRate !== undefined && { errorRate }),
  };
}

function isText({ vocabulary }: ModelDescription): boolean {
  return vocabulary?.kind === 'char' || vocabulary?.kind === 'byte';
}

function checkVocabulary(samples: readonly ReadSample[], { vocabulary }: ModelDescription): void {
  if (vocabulary?.kind !== 'ids') return;
  for (const { name, values } of samples)
    for (let i = 0; i < values.length; i++)
      if ((values[i] ?? 0) >= vocabulary.count)
        throw new ConfigError(
          `predicting for ${name}: expected ids of tokens below ${vocabulary.count}, got ` +
            String(values[i]),
        );
}

function answerOf(
  scores: Float32Array,
  [, ...shape]: readonly number[],
  { task, output: { gives }, classNames = [] }: ModelDescription,
): Omit<FilePrediction, 'input'> {
  if (task === 'sequence' || task === 'segmentation') {
    const named = likeliestClasses(task, scores, [1, ...shape], gives);
    return { classes: Array.from(named, (index) => classNames[index] ?? '') };
  }
  if (task === 'classification') {
    const probabilities = classProbabilities(scores, gives);
    const best = probabilities.indexOf(Math.max(...probabilities));
    return { classes: [classNames[best] ?? ''], probabilities };
  }
  if (gives === 'numbers') return { values: Array.from(scores) };
  return { probabilities: Array.from(scores, gives === 'logits' ? sigmoid : Number) };
}

type Gives = ModelDescription['output']['gives'];

/** One score for two classes is that of the second. */
function classProbabilities(scores: Float32Array, gives: Gives): number[] {
  if (scores.length === 1) {
    const score = scores[0] ?? 0;
    const second = gives === 'logits' ? sigmoid(score) : score;
    return [1 - second, second];
  }
  if (gives !== 'logits') return Array.from(scores);
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const parts = Array.from(scores, (score) => Math.exp(score - most));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}

function sigmoid(score: number): number {
  return 1 / (1 + Math.exp(-score));
}

function errorRateOf(
  samples: readonly ReadSample[],
  predictions: readonly FilePrediction[],
  { task }: ModelDescription,
): number | undefined {
  if (task !== 'classification' || samples.some(({ label }) => label === undefined))
    return undefined;
  const wrong = predictions.filter(({ classes }, i) => !isNamed(samples[i]?.label, classes?.[0]));
  return wrong.length / samples.length;
}

/** Labels that are whole numbers may be written as 7 or 07. */
function isNamed(label: string | undefined, name: string | undefined): boolean {
  return label === name || (label !== '' && String(Number(label)) === name);
}
