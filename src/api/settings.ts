import { ConfigError, type ConfigIssue } from '../base/errors.ts';
import { type ParsedTrainConfig, parseTrainConfig } from '../config/parse-train-config.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { flagOf, TRAIN_CONFIG_KEYS, yamlKeyOf } from '../config/train-options.ts';
import { readConfigFile } from '../launch/config-file.ts';
import { findResumedRun, type ResumedRun } from '../launch/resumed-run.ts';

/** One item of a list, for settings that take a list; nothing for others. */
type ItemOf<Value> = Value extends readonly (infer Item)[] ? Item : never;

/**
 * Settings of a run, as in docs/settings.md: the YAML keys in camelCase, `globalBatch` for
 * `global_batch`. What is left out has its default; where a list is taken, one item is, too.
 */
export type TrainSettings = {
  readonly [Key in keyof TrainConfig]?: TrainConfig[Key] | ItemOf<TrainConfig[Key]> | undefined;
};

/** A configuration, and what is worth knowing about how it was read. */
export interface ParsedSettings {
  readonly config: TrainConfig;
  readonly notes: readonly string[];
}

/**
 * The configuration that settings make, over those of YAML files.
 *
 * Throws: ConfigError with what is wrong, one line each for the first ten. A setting is called by
 *         its key here; a line of a file by file, line and column.
 */
export function parseSettings(settings: TrainSettings, files: readonly string[]): ParsedSettings {
  try {
    return withTexts(parseTrainConfig(files.map(readConfigFile), settings));
  } catch (error) {
    throw inCamelCase(error);
  }
}

/**
 * The run that `what` names, with settings that are given besides; see `findResumedRun`, which says
 * what is thrown.
 */
export async function parseResumed(
  what: string,
  settings: TrainSettings,
  files: readonly string[],
): Promise<ParsedSettings & Pick<ResumedRun, 'resume'>> {
  try {
    const given = { sources: files.map(readConfigFile), flags: settings, isForOthers: false };
    const resumed = await findResumedRun(what, given);
    const { config, notes } = withTexts(resumed);
    return { config, notes: [...resumed.resume.notes, ...notes], resume: resumed.resume };
  } catch (error) {
    throw inCamelCase(error);
  }
}

function withTexts({ config, notes }: ParsedTrainConfig): ParsedSettings {
  const texts = notes.map(({ file, line, key, message }) =>
    lineInCamelCase(`${line > 0 ? `${file}:${line}` : key}: ${message}`),
  );
  return { config, notes: texts };
}

/** What a flag and a YAML key are called in `TrainSettings`. */
const KEYS: ReadonlyMap<string, string> = new Map(
  TRAIN_CONFIG_KEYS.flatMap((key) => [
    [flagOf(key), key],
    [yamlKeyOf(key), key],
  ]),
);

/** The same error for a program, which has given keys and no flags. */
function inCamelCase(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error;
  const message = error.message.split('\n').map(lineInCamelCase);
  const given = error.context['issues'] as readonly ConfigIssue[];
  const issues = given.map((issue) =>
    issue.path.startsWith('--')
      ? {
          path: keyOfFlag(issue.path),
          expected: wordsInCamelCase(issue.expected),
          got: wordsInCamelCase(issue.got),
        }
      : issue,
  );
  return new ConfigError(message, issues, { cause: error });
}

/** A line about a setting begins with its flag; a line about a file keeps the keys of the file. */
function lineInCamelCase(line: string): string {
  const [flag] = /^--[\w-]+/.exec(line) ?? [];
  if (flag === undefined) return line.replaceAll(/--[\w-]+/g, (word) => KEYS.get(word) ?? word);
  return `${keyOfFlag(flag)}${wordsInCamelCase(line.slice(flag.length))}`;
}

function wordsInCamelCase(text: string): string {
  return text.replaceAll(/[\w-]+/g, (word) => KEYS.get(word) ?? word);
}

/** Also of a flag that there is none of. */
function keyOfFlag(flag: string): string {
  return flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
