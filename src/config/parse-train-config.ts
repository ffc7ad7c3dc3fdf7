/** From files and flags to one checked configuration: precedence flags > files, later before earlier > defaults. */
import { ConfigError } from '../base/errors.ts';
import type { ConfigIssue } from '../base/errors.ts';
import { suggestion } from './closest-name.ts';
import { crossCheck } from './cross-check.ts';
import { expectedOf, hintOf, parseFlagText, schemaOf } from './option-types.ts';
import { note, SEED_KEYS, SEED_WORKERS, seedGlobalBatch, textOf, translateSeedEntry } from './seed-keys.ts';
import type { ConfigNote, Setting } from './seed-keys.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { flagOf, keyNamed, TRAIN_CONFIG_KEYS, TRAIN_OPTIONS, yamlKeyOf } from './train-options.ts';
import { readYaml } from './yaml-source.ts';
import type { ConfigSource, YamlEntry } from './yaml-source.ts';

/**
 * Flags by name, in camelCase (as commander gives them) or kebab-case; values are text or already typed.
 * Undefined means not given.
 */
export type FlagValues = Readonly<Record<string, unknown>>;

/** The configuration, and what is worth telling the user about how it was read. */
export interface ParsedTrainConfig {
  readonly config: TrainConfig;
  readonly notes: readonly ConfigNote[];
}

/**
 * The training configuration from configuration files, in order, and flags.
 *
 * Files may be ours or SmolCluster's; in a key that several give, the later file wins, with a note.
 * Throws: ConfigError with everything that is wrong, one line each, naming file, line, column and key, or
 *         the flag.
 */
export function parseTrainConfig(
  sources: readonly ConfigSource[],
  flags: FlagValues = {},
): ParsedTrainConfig {
  const problems: Problem[] = [];
  const notes: ConfigNote[] = [];
  const given = new Map<TrainConfigKey, Setting>();
  for (const source of sources) mergeFile(given, readSettings(source, problems, notes), notes);
  addSeedGlobalBatch(given, notes);
  for (const setting of readFlags(flags, problems)) given.set(setting.key, setting);

  const values: Partial<Record<TrainConfigKey, unknown>> = {};
  for (const key of TRAIN_CONFIG_KEYS) values[key] = checkedValue(key, given.get(key), problems);
  if (values.optimizer === 'adamw' && !given.has('weightDecay')) values.weightDecay = 0.01;
  // Every key now holds a value its option's schema has passed, or its default.
  const config = values as unknown as TrainConfig;
  const refused = new Set(problems.flatMap(({ key }) => key ?? []));
  for (const finding of crossCheck(config, given)) {
    if (finding.keys.some((key) => refused.has(key))) continue;
    if (finding.kind === 'problem')
      problems.push(problemOf(finding.setting, finding.expected, finding.got, finding.hint));
    else notes.push(noteOn(finding.setting, finding.message));
  }
  if (problems.length > 0)
    throw new ConfigError(
      problems.map(({ line }) => line).join('\n'),
      problems.map(({ issue }) => issue),
    );
  return { config, notes };
}

interface Problem {
  readonly line: string;
  readonly issue: ConfigIssue;
  /** The setting that has no usable value because of it. */
  readonly key?: TrainConfigKey;
}

/** Where and under which name a setting was given: `config.yaml:3:1 lr` or `--lr`. */
function nameOf({ key, place, writtenAs }: Setting): string {
  if (place === undefined) return flagOf(key);
  return `${place.file}:${place.line}:${place.column} ${writtenAs}`;
}

function noteOn(setting: Setting, message: string): ConfigNote {
  const { place, key, writtenAs } = setting;
  if (place === undefined) return { file: 'command line', line: 0, key: flagOf(key), message };
  return note({ place }, writtenAs, message);
}

function problemOf(setting: Setting, expected: string, got: string, hint = ''): Problem {
  return {
    line: `${nameOf(setting)}: expected ${expected}, got ${got}${hint === '' ? '' : `; ${hint}`}`,
    issue: { path: setting.place === undefined ? flagOf(setting.key) : setting.writtenAs, expected, got },
    key: setting.key,
  };
}

/** The settings of one file; adds what is wrong with it to `problems` and what was translated to `notes`. */
function readSettings(source: ConfigSource, problems: Problem[], notes: ConfigNote[]): Setting[] {
  const { entries, issues } = readYaml(source);
  for (const { place, message } of issues)
    problems.push({
      line: `${place.file}:${place.line}:${place.column} ${message}`,
      issue: {
        path: `${place.file}:${place.line}:${place.column}`,
        expected: 'a YAML mapping of settings',
        got: message,
      },
    });
  return entries.flatMap((entry) => {
    const translation = translateSeedEntry(entry);
    if (translation !== undefined) {
      notes.push(...translation.notes);
      for (const { entry: child, path, known } of translation.unknown)
        problems.push(unknownKey(child, path, known));
      return translation.settings;
    }
    const key = keyNamed(entry.key);
    if (key !== undefined) return [{ key, value: entry.value, writtenAs: entry.key, place: entry.place }];
    problems.push(unknownKey(entry, entry.key, [...TRAIN_CONFIG_KEYS.map(yamlKeyOf), ...SEED_KEYS]));
    return [];
  });
}

function unknownKey(entry: YamlEntry, path: string, known: readonly string[]): Problem {
  const { file, line, column } = entry.place;
  const hint = suggestion(entry.key, known);
  return {
    line: `${file}:${line}:${column} unknown key ${textOf(path)}; ${lowerFirst(hint)}`,
    issue: { path, expected: 'a known key', got: entry.key },
  };
}

function lowerFirst(sentence: string): string {
  return `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`;
}

/** Puts one file's settings over those before it; differing values for one setting are noted. */
function mergeFile(
  given: Map<TrainConfigKey, Setting>,
  settings: readonly Setting[],
  notes: ConfigNote[],
): void {
  for (const setting of settings) {
    const before = given.get(setting.key);
    const winner = before === undefined ? setting : winnerOf(before, setting);
    if (before !== undefined && textOf(before.value) !== textOf(setting.value)) {
      const loser = winner === setting ? before : setting;
      notes.push(
        noteOn(winner, `${textOf(winner.value)} is used, not ${textOf(loser.value)} of ${nameOf(loser)}`),
      );
    }
    given.set(setting.key, winner);
  }
}

/** The later wins, except that in one file SmolCluster's num_workers counts, not the length of its list of names. */
function winnerOf(before: Setting, later: Setting): Setting {
  const isSameFile = before.place?.file === later.place?.file;
  return isSameFile && later.writtenAs === HOST_LIST && before.writtenAs === 'num_workers' ? before : later;
}

const HOST_LIST = 'workers (list)';

/** SmolCluster's batch_size is per process; the global batch follows from it unless a file gives one. */
function addSeedGlobalBatch(given: Map<TrainConfigKey, Setting>, notes: ConfigNote[]): void {
  const batch = given.get('microBatch');
  if (batch?.writtenAs !== 'batch_size' || batch.place === undefined) return;
  if (typeof batch.value !== 'number' || !Number.isSafeInteger(batch.value)) return; // Refused below.
  if (given.has('globalBatch')) {
    notes.push(noteOn(batch, 'read as micro_batch; global_batch is given beside it'));
    return;
  }
  const workers = given.get('workers');
  const isSeedCount = workers?.writtenAs === 'num_workers' || workers?.writtenAs === HOST_LIST;
  const count = isSeedCount && typeof workers.value === 'number' ? workers.value : SEED_WORKERS;
  const { globalBatch, message } = seedGlobalBatch(batch.value, count);
  given.set('globalBatch', { ...batch, key: 'globalBatch', value: globalBatch });
  notes.push(noteOn(batch, message));
}

function readFlags(flags: FlagValues, problems: Problem[]): Setting[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const word = name.replace(/^--/, '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const key = keyNamed(word);
    if (key === undefined) {
      const flag = `--${word.replaceAll('_', '-')}`;
      const hint = suggestion(flag, TRAIN_CONFIG_KEYS.map(flagOf));
      problems.push({
        line: `${flag}: unknown option; ${lowerFirst(hint)}`,
        issue: { path: flag, expected: 'a known option', got: flag },
      });
      return [];
    }
    const parsed = typeof value === 'string' ? parseFlagText(TRAIN_OPTIONS[key].type, value) : value;
    return [{ key, value: parsed, writtenAs: flagOf(key), place: undefined }];
  });
}

/** The final value of a setting: what was given, when it passes, or the default. */
function checkedValue(key: TrainConfigKey, setting: Setting | undefined, problems: Problem[]): unknown {
  const option = TRAIN_OPTIONS[key];
  if (setting === undefined) return option.default;
  // `steps:` with nothing behind it is how a setting without a value is written.
  if (setting.value === null && option.default === undefined) return undefined;
  const result = schemaOf(option.type).safeParse(setting.value);
  if (result.success) return Object.is(result.data, -0) ? 0 : result.data;
  problems.push(
    problemOf(setting, expectedOf(option.type), textOf(setting.value), hintOf(option.type, setting.value)),
  );
  return option.default;
}
