/** The models that a configuration can name. A new one is its own file and one line here. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../base/closest-name.ts';
import type { SettingsOf } from '../config/model-settings.ts';
import type { ModelName } from '../config/train-config.ts';
import { makeBert } from './bert.ts';
import { makeEmbedding } from './embedding.ts';
import { makeGpt } from './gpt.ts';
import { makeGpt2 } from './gpt2.ts';
import { makeMlp } from './mlp.ts';
import { parseModelOptions } from './model-options.ts';
import type { Model, ModelTask } from './model.ts';
import { makeResnet18, makeResnet50 } from './resnet.ts';
import { makeSimpleCnn } from './simple-cnn.ts';
import { makeTransformer } from './transformer.ts';

type ModelMaker = (task: ModelTask, options: Readonly<Record<string, unknown>>) => Model;

/** Each makes its model for a task; ConfigError when options are bad or the two do not fit. */
export const MODELS: { readonly [Name in ModelName]: ModelMaker } = {
  mlp: withSettings('mlp', makeMlp),
  simple_cnn: withSettings('simple_cnn', makeSimpleCnn),
  resnet18: withSettings('resnet18', makeResnet18),
  resnet50: withSettings('resnet50', makeResnet50),
  transformer: withSettings('transformer', makeTransformer),
  embedding: withSettings('embedding', makeEmbedding),
  bert: withSettings('bert', makeBert),
  gpt2: withSettings('gpt2', makeGpt2),
  gpt: withSettings('gpt', makeGpt),
};

/**
 * The model called `name` for a task; options that are absent or undefined have the defaults of
 * `MODEL_SETTINGS`.
 *
 * Throws: ConfigError for an unknown name, bad options, or data that do not fit, saying what is
 *         allowed.
 */
export function makeModel(
  name: string,
  task: ModelTask,
  options: Readonly<Record<string, unknown>> = {},
): Model {
  if (isModelName(name)) return MODELS[name](task, options);
  const names = Object.keys(MODELS);
  throw new ConfigError(`model: there is no "${name}". ${suggestion(name, names)}`, [
    { path: 'model', expected: names.join(' | '), got: name },
  ]);
}

function withSettings<Name extends ModelName>(
  name: Name,
  make: (task: ModelTask, settings: SettingsOf<Name>) => Model,
): ModelMaker {
  return (task, options) => make(task, parseModelOptions(name, options));
}

function isModelName(name: string): name is ModelName {
  return Object.hasOwn(MODELS, name);
}
