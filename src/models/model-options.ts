/** The options of a model, checked and with defaults filled in. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../base/closest-name.ts';
import {
  MODEL_SETTING_KEYS,
  settingsOfModel,
  type ModelSettingKey,
  type SettingsOf,
} from '../config/model-settings.ts';
import { expectedOf, hintOf, schemaOf } from '../config/option-types.ts';
import type { ModelName, TrainConfig } from '../config/train-config.ts';
import { TRAIN_OPTIONS } from '../config/train-options.ts';

/**
 * The options as a caller writes them; undefined ones count as absent.
 *
 * Throws: ConfigError naming the model, the option, what was expected and what came.
 */
export function parseModelOptions<Name extends ModelName>(
  name: Name,
  options: Readonly<Record<string, unknown>>,
): SettingsOf<Name> {
  const settings: Record<string, unknown> = { ...settingsOfModel(name) };
  const known = Object.keys(settings);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!isSettingKey(key) || !known.includes(key)) {
      const expected = `one of ${known.join(', ')}`;
      throw invalid(name, key, expected, key, `. ${suggestion(key, known)}`);
    }
    settings[key] = checked(name, key, value);
  }
  // Every key of the model holds its default or a value that its option's schema has passed.
  return settings as SettingsOf<Name>;
}

/** The settings of a configuration that say what its model is like. */
export function modelOptionsOf(config: TrainConfig): Readonly<Record<string, unknown>> {
  return Object.fromEntries(MODEL_SETTING_KEYS.map((key) => [key, config[key]]));
}

function isSettingKey(key: string): key is ModelSettingKey {
  return MODEL_SETTING_KEYS.some((known) => known === key);
}

function checked(name: string, key: ModelSettingKey, value: unknown): unknown {
  const { type } = TRAIN_OPTIONS[key];
  const result = schemaOf(type).safeParse(value);
  if (result.success) return result.data;
  const hint = hintOf(type, value);
  throw invalid(name, key, expectedOf(type), value, hint === '' ? '' : `; ${hint}`);
}

function invalid(
  name: string,
  key: string,
  expected: string,
  got: unknown,
  next: string,
): ConfigError {
  const shown = JSON.stringify(got) ?? String(got);
  return new ConfigError(`${name} option ${key}: expected ${expected}, got ${shown}${next}`, [
    { path: key, expected, got: shown },
  ]);
}
