/** The models that a configuration can name. A new one is its own file and one line here. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../config/closest-name.ts';
import { makeMlp, parseMlpOptions } from './mlp.ts';
import type { Model, ModelTask } from './model.ts';

/** Makes a model from what the user wrote; unknown or bad options are a ConfigError. */
export type ModelMaker = (task: ModelTask, options: Readonly<Record<string, unknown>>) => Model;

export const MODELS = {
  mlp: (task, options) => makeMlp(task, parseMlpOptions(options)),
} as const satisfies Readonly<Record<string, ModelMaker>>;
export type ModelName = keyof typeof MODELS;

/**
 * The model called `name` for a task.
 *
 * Throws: ConfigError for an unknown name or bad options, saying what is allowed.
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

function isModelName(name: string): name is ModelName {
  return Object.hasOwn(MODELS, name);
}
