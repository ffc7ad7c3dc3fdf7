/** The models that a configuration can name. A new one is its own file and one line here. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../base/closest-name.ts';
import type { ArchitectureSettings } from './architecture-settings.ts';
import { BERT } from './bert.ts';
import { EMBEDDING } from './embedding.ts';
import { GPT } from './gpt.ts';
import { GPT2 } from './gpt2.ts';
import { MLP } from './mlp.ts';
import type { ModelKind } from './model-kind.ts';
import type { Model, ModelTask } from './model.ts';
import { RESNET18, RESNET50 } from './resnet.ts';
import { SIMPLE_CNN } from './simple-cnn.ts';
import { TRANSFORMER } from './transformer.ts';

/** Every kind, in the order in which they are listed. */
export const MODELS: readonly ModelKind[] = [
  MLP,
  SIMPLE_CNN,
  RESNET18,
  RESNET50,
  TRANSFORMER,
  EMBEDDING,
  BERT,
  GPT2,
  GPT,
];

/** The names that `--model` takes. */
export const MODEL_NAMES: readonly string[] = MODELS.map(({ name }) => name);

/**
 * Makes the model called `name`; options that are absent or undefined have its kind's defaults.
 *
 * Throws: ConfigError for an unknown name, bad options, or data that do not fit, with what does.
 */
export function makeModel(
  name: string,
  task: ModelTask,
  options: Readonly<Record<string, unknown>> = {},
): Model {
  const kind = kindNamed(name);
  if (kind !== undefined) return kind.make(task, options);
  throw new ConfigError(`model: there is no "${name}". ${suggestion(name, MODEL_NAMES)}`, [
    { path: 'model', expected: MODEL_NAMES.join(' | '), got: name },
  ]);
}

/** Names and defaults of the settings that `model` has; none when no kind is called so. */
export function settingsOfModel(model: string): Partial<ArchitectureSettings> {
  return kindNamed(model)?.settings ?? {};
}

/** The data set that `model` trains on when nobody names one; undefined: that of every model. */
export function usualDatasetOf(model: string): string | undefined {
  return kindNamed(model)?.usualDataset;
}

/**
 * Samples of a micro-batch of `model` with these settings, and sequences of `length`, when nobody
 * says; undefined: as for every model.
 */
export function usualMicroBatchOf(
  model: string,
  settings: Partial<ArchitectureSettings>,
  length: number,
): number | undefined {
  return kindNamed(model)?.usualMicroBatch(settings, length);
}

function kindNamed(name: string): ModelKind | undefined {
  return MODELS.find((kind) => kind.name === name);
}
