/** A kind of models: what it is, which settings it has, and how one of them is made. */
import { ConfigError } from '../base/errors.ts';
import { suggestion } from '../base/closest-name.ts';
import { expectedOf, hintOf, schemaOf } from '../options/option-types.ts';
import {
  ARCHITECTURE_KEYS,
  ARCHITECTURE_OPTIONS,
  type ArchitectureKey,
  type ArchitectureSettings,
} from './architecture-settings.ts';
import type { Model, ModelTask } from './model.ts';
import { usualMicroBatch, type WorkPerSample } from './usual-batch.ts';

/** What a page of this folder exports, and `MODELS` lists. */
export interface ModelKind {
  /** The word that `--model` takes. */
  readonly name: string;
  /** What it is, and for which data, in one line. */
  readonly summary: string;
  /** The data set that it trains on when nobody names one; absent: that of every model. */
  readonly usualDataset?: string;
  /** Samples of a micro-batch when nobody says; undefined: as for every model. */
  readonly usualMicroBatch: (
    settings: Partial<ArchitectureSettings>,
    length: number,
  ) => number | undefined;
  /**
   * The settings that it has, with their values when nobody says. Undefined: there is no number;
   * the model derives one from its other settings or from the data.
   */
  readonly settings: Partial<ArchitectureSettings>;
  /**
   * Makes the model of a task; options that are absent or undefined have the values above.
   *
   * Throws: ConfigError for an option that the model does not have or cannot take, and for data
   *         that do not fit it.
   */
  readonly make: (task: ModelTask, options: Readonly<Record<string, unknown>>) => Model;
}

/** The settings of a model whose defaults are `Defaults`, filled in. */
export type SettingsOf<Defaults extends Partial<ArchitectureSettings>> = {
  readonly [Key in keyof Defaults & ArchitectureKey]: Defaults[Key] extends undefined
    ? ArchitectureSettings[Key]
    : Exclude<ArchitectureSettings[Key], undefined>;
};

/** Makes a kind of models that checks its options before it draws. */
export function defineModelKind<Defaults extends Partial<ArchitectureSettings>>({
  make,
  workPerSample,
  ...kind
}: {
  readonly name: string;
  readonly summary: string;
  readonly usualDataset?: string;
  /** Where a sample may take long. */
  readonly workPerSample?: WorkPerSample;
  readonly settings: Defaults;
  readonly make: (task: ModelTask, settings: SettingsOf<Defaults>) => Model;
}): ModelKind {
  const { name, settings } = kind;
  return {
    ...kind,
    usualMicroBatch: (given, length) =>
      workPerSample && usualMicroBatch(workPerSample({ ...settings, ...given }, length)),
    make: (task, options) => make(task, parseOptions(name, settings, options)),
  };
}

function parseOptions<Defaults extends Partial<ArchitectureSettings>>(
  name: string,
  defaults: Defaults,
  options: Readonly<Record<string, unknown>>,
): SettingsOf<Defaults> {
  const settings: Record<string, unknown> = { ...defaults };
  const known = Object.keys(defaults);
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!isArchitectureKey(key) || !known.includes(key)) {
      const expected = `one of ${known.join(', ')}`;
      throw invalid(name, key, expected, key, `. ${suggestion(key, known)}`);
    }
    settings[key] = checked(name, key, value);
  }
  // Every key of the model holds its default or a value that its option's schema has passed.
  return settings as SettingsOf<Defaults>;
}

function isArchitectureKey(key: string): key is ArchitectureKey {
  return ARCHITECTURE_KEYS.some((known) => known === key);
}

function checked(name: string, key: ArchitectureKey, value: unknown): unknown {
  const { type } = ARCHITECTURE_OPTIONS[key];
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
