/**
 * Makes one checked configuration of files and flags: flags > files (later > earlier) > defaults.
 */
import { ConfigError } from '../base/errors.ts';
import type { ConfigIssue } from '../base/errors.ts';
import { closestName } from '../base/closest-name.ts';
import { crossCheck } from './cross-check.ts';
import { OPTIMIZER_NAMES, OPTIMIZERS } from '../optim/spec.ts';
import { expectedOf, hintOf, parseFlagText, schemaOf } from '../options/option-types.ts';
import { ARCHITECTURE_KEYS } from '../models/architecture-settings.ts';
import { settingsOfModel, usualDatasetOf, usualMicroBatchOf } from '../models/models.ts';
import { HOST_LIST } from './seed-cluster-rules.ts';
import { SEED_KEYS, SEED_WORKERS, seedGlobalBatch, translateSeedEntry } from './seed-keys.ts';
import { note, textOf } from './seed-translation.ts';
import type { ConfigNote, Setting } from './seed-translation.ts';
import { EVERY_ADDRESS, isLoopback } from '../transport/loopback.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';
import { flagOf, keyNamed, TRAIN_CONFIG_KEYS, TRAIN_OPTIONS, yamlKeyOf } from './train-options.ts';
import { readYaml } from './yaml-source.ts';
import type { ConfigSource, YamlEntry } from './yaml-source.ts';

/**
 * Flags by name, in camelCase (as commander gives them) or kebab-case; values are text or already
 * typed. Undefined means not given.
 */
export type FlagValues = Readonly<Record<string, unknown>>;

/** The configuration, and what is worth telling the user about how it was read. */
export interface ParsedTrainConfig {
  readonly config: TrainConfig;
  readonly notes: readonly ConfigNote[];
  /** Settings that a file or a flag has, rather than their default. */
  readonly given: ReadonlySet<TrainConfigKey>;
}

/**
 * Reads the training configuration from configuration files, in order, and flags.
 *
 * Files may be ours or SmolCluster's; in a key that several give, the later file wins, with a note.
 * `isForOthers`: workers of other machines join, so the address that a file of SmolCluster's names
 * is listened on.
 * Throws: ConfigError with what is wrong, one line each for the first ten, naming file, line,
 *         column and key, or the flag.
 */
export function parseTrainConfig(
  sources: readonly ConfigSource[],
  flags: FlagValues = {},
  isForOthers = false,
): ParsedTrainConfig {
  const problems: Problem[] = [];
  const notes: ConfigNote[] = [];
  const given = new Map<TrainConfigKey, Setting>();
  for (const source of sources)
    mergeFile(given, readSettings(source, isForOthers, problems, notes), problems, notes);
  addSeedGlobalBatch(given, notes);
  for (const setting of readFlags(flags, problems)) given.set(setting.key, setting);
  preferEpochsFlag(given, notes);
  preferLanFlag(given, notes);

  const values: Partial<Record<TrainConfigKey, unknown>> = {};
  for (const key of TRAIN_CONFIG_KEYS) values[key] = checkedValue(key, given.get(key), problems);
  if (!given.has('weightDecay')) values.weightDecay = usualWeightDecay(values.optimizer);
  fillModelSettings(values);
  if (!given.has('dataset')) chooseDataset(values, notes);
  chooseBatches(values, given, notes);
  if (values.lan === true && !given.has('host')) values.host = EVERY_ADDRESS;
  // Every key now holds a value its option's schema has passed, or its default.
  const config = values as unknown as TrainConfig;
  const refused = new Set(problems.flatMap(({ key }) => key ?? []));
  for (const finding of crossCheck(config, given)) {
    if (finding.keys.some((key) => refused.has(key))) continue;
    if (finding.kind === 'problem')
      problems.push(problemOf(finding.setting, finding.expected, finding.got, finding.hint));
    else notes.push(noteOn(finding.setting, finding.message));
  }
  if (problems.length > 0) throw errorOf(problems);
  return { config, notes, given: new Set(given.keys()) };
}

/** More problems than these are only counted. */
const MAX_NAMED_PROBLEMS = 10;

/** What is wrong, one line each. */
function errorOf(problems: readonly Problem[]): ConfigError {
  const named = problems.slice(0, MAX_NAMED_PROBLEMS);
  const lines = named.map(({ line }) => line());
  const others = problems.length - named.length;
  // Not toLocaleString: loading the language data takes 100 ms.
  if (others > 0) lines.push(`... and ${String(others).replaceAll(/\B(?=(\d{3})+$)/g, ',')} more`);
  return new ConfigError(
    lines,
    named.map(({ issue }) => issue),
  );
}

interface Problem {
  /** Made when it is shown: looking for the nearest name takes time. */
  readonly line: () => string;
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
    line: () =>
      `${nameOf(setting)}: expected ${expected}, got ${got}${hint === '' ? '' : `; ${hint}`}`,
    issue: {
      path: setting.place === undefined ? flagOf(setting.key) : setting.writtenAs,
      expected,
      got,
    },
    key: setting.key,
  };
}

/** Reads one file; adds what is wrong to `problems` and what was translated to `notes`. */
function readSettings(
  source: ConfigSource,
  isForOthers: boolean,
  problems: Problem[],
  notes: ConfigNote[],
): Setting[] {
  const { entries, issues } = readYaml(source);
  const file = new Map(entries.map((entry) => [entry.key, entry]));
  for (const { place, message } of issues)
    problems.push({
      line: () => `${place.file}:${place.line}:${place.column} ${message}`,
      issue: {
        path: `${place.file}:${place.line}:${place.column}`,
        expected: 'a YAML mapping of settings',
        got: message,
      },
    });
  return entries.flatMap((entry) => {
    const translation = translateSeedEntry(entry, { file, isForOthers });
    if (translation !== undefined) {
      notes.push(...translation.notes);
      for (const { entry: child, path, expected } of translation.refused)
        problems.push(refusal(child, path, expected));
      for (const { entry: child, path, known } of translation.unknown)
        problems.push(unknownKey(child, path, known));
      return translation.settings;
    }
    const key = keyNamed(entry.key);
    if (key !== undefined)
      return [{ key, value: entry.value, writtenAs: entry.key, place: entry.place }];
    problems.push(
      unknownKey(entry, entry.key, [...TRAIN_CONFIG_KEYS.map(yamlKeyOf), ...SEED_KEYS]),
    );
    return [];
  });
}

function unknownKey(entry: YamlEntry, path: string, known: readonly string[]): Problem {
  const { file, line, column } = entry.place;
  return {
    line: () =>
      `${file}:${line}:${column} unknown key ${textOf(path)}; ${nearest(entry.key, known)}`,
    issue: { path, expected: 'a known key', got: entry.key },
  };
}

function refusal({ place, value }: YamlEntry, path: string, expected: string): Problem {
  const got = textOf(value);
  const where = `${place.file}:${place.line}:${place.column}`;
  return {
    line: () => `${where} ${path}: expected ${expected}, got ${got}`,
    issue: { path, expected, got },
  };
}

function nearest(word: string, known: readonly string[]): string {
  const closest = closestName(word, known);
  return closest === undefined
    ? 'see `lockstep train --help` for all'
    : `did you mean "${closest}"?`;
}

/** Puts one file's settings over those of files before it, with a note where they differ. */
function mergeFile(
  given: Map<TrainConfigKey, Setting>,
  settings: readonly Setting[],
  problems: Problem[],
  notes: ConfigNote[],
): void {
  const ofThisFile = new Set(settings);
  for (const setting of settings) {
    const before = given.get(setting.key);
    if (before === undefined || JSON.stringify(before.value) === JSON.stringify(setting.value)) {
      given.set(setting.key, setting);
      continue;
    }
    const isSameFile = ofThisFile.has(before);
    if (isSameFile && !isHostCount(before, setting)) {
      problems.push(
        problemOf(
          setting,
          `one value for ${yamlKeyOf(setting.key)}`,
          `${textOf(before.value)} as ${before.writtenAs} and ${textOf(setting.value)} as ` +
            setting.writtenAs,
        ),
      );
      continue;
    }
    // SmolCluster waits for num_workers workers, whatever the length of its list of names.
    const winner = isSameFile && before.writtenAs === 'num_workers' ? before : setting;
    const loser = winner === setting ? before : setting;
    notes.push(
      noteOn(
        winner,
        `${textOf(winner.value)} is used, not ${textOf(loser.value)} of ${nameOf(loser)}`,
      ),
    );
    given.set(setting.key, winner);
  }
}

/** SmolCluster's files give the number of workers twice: as num_workers, and by naming hosts. */
function isHostCount(a: Setting, b: Setting): boolean {
  return (
    a.key === 'workers' &&
    a.writtenAs !== b.writtenAs &&
    (a.writtenAs === HOST_LIST || b.writtenAs === HOST_LIST)
  );
}

/** `steps` replaces `epochs`, but flags win over files: `--epochs` beats the `steps` of a file. */
function preferEpochsFlag(given: Map<TrainConfigKey, Setting>, notes: ConfigNote[]): void {
  const epochs = given.get('epochs');
  const steps = given.get('steps');
  if (epochs === undefined || steps === undefined) return;
  if (epochs.place !== undefined || steps.place === undefined) return;
  given.delete('steps');
  notes.push(noteOn(steps, `${textOf(steps.value)} is not used: --epochs is given`));
}

/** `--lan` opens a run whose file says which address of this machine alone it listens on. */
function preferLanFlag(given: Map<TrainConfigKey, Setting>, notes: ConfigNote[]): void {
  const lan = given.get('lan');
  const host = given.get('host');
  if (lan?.value !== true || lan.place !== undefined || host?.place === undefined) return;
  if (typeof host.value !== 'string' || !isLoopback(host.value)) return;
  given.delete('host');
  notes.push(noteOn(host, `${host.value} is not used: --lan is given`));
}

/** SmolCluster's batch_size is per process; the global batch follows unless a file gives one. */
function addSeedGlobalBatch(given: Map<TrainConfigKey, Setting>, notes: ConfigNote[]): void {
  const batch = given.get('microBatch');
  if (batch?.place === undefined || !/(^|\.)batch_size$/.test(batch.writtenAs)) return;
  if (!isAccepted(batch)) return; // Its own check will say why.
  if (given.has('globalBatch')) {
    notes.push(noteOn(batch, 'read as micro_batch; global_batch is given beside it'));
    return;
  }
  const workers = given.get('workers');
  const sharing = workers?.sharing ?? 'server-too';
  const isSeedCount = workers?.sharing !== undefined && isAccepted(workers);
  const count = isSeedCount ? Number(workers.value) : SEED_WORKERS;
  const { globalBatch, message } = seedGlobalBatch(Number(batch.value), count, sharing);
  given.set('globalBatch', { ...batch, key: 'globalBatch', value: globalBatch });
  notes.push(noteOn(batch, message));
}

function isAccepted({ key, value }: Setting): boolean {
  return schemaOf(TRAIN_OPTIONS[key].type).safeParse(value).success;
}

/** What the optimizer takes unless told otherwise: 0, or more with adamw. */
function usualWeightDecay(optimizer: unknown): number {
  const kind = OPTIMIZER_NAMES.find((name) => name === optimizer);
  return kind === undefined
    ? TRAIN_OPTIONS.weightDecay.default
    : OPTIMIZERS[kind].defaults.weightDecay;
}

/** The model's own defaults, where nothing was given. */
function fillModelSettings(values: Partial<Record<TrainConfigKey, unknown>>): void {
  const defaults: Readonly<Record<string, unknown>> = settingsOfModel(String(values.model));
  for (const key of ARCHITECTURE_KEYS) values[key] ??= defaults[key];
}

/** The data set that fits the model, where the one of every model would not. */
function chooseDataset(
  values: Partial<Record<TrainConfigKey, unknown>>,
  notes: ConfigNote[],
): void {
  const dataset = usualDatasetOf(String(values.model));
  if (dataset === undefined) return;
  values.dataset = dataset;
  const message = `${dataset} is taken, which ${String(values.model)} can be trained on`;
  notes.push({ file: 'command line', line: 0, key: '--dataset', message });
}

/** A step of a large model has so many micro-batches when nobody says. */
const USUAL_PARTS = 16;

/** Batches that fit the size of the model, where those of every model would take very long. */
function chooseBatches(
  values: Partial<Record<TrainConfigKey, unknown>>,
  given: ReadonlyMap<TrainConfigKey, Setting>,
  notes: ConfigNote[],
): void {
  const settings = values as Partial<TrainConfig>;
  const { model = '', sequenceLength = 1, microBatch = 1, globalBatch = 1 } = settings;
  const usual = usualMicroBatchOf(model, settings, sequenceLength);
  if (usual === undefined || usual >= microBatch || given.has('microBatch')) return;
  const isFree = !given.has('globalBatch');
  values.microBatch = isFree ? usual : divisorUpTo(usual, globalBatch);
  if (isFree) values.globalBatch = USUAL_PARTS * usual;
  const message =
    `${String(values.microBatch)}, of a global_batch of ${String(values.globalBatch)}, for a ` +
    'model of this size';
  notes.push({ file: 'command line', line: 0, key: '--micro-batch', message });
}

/** The largest divisor of `whole` that is at most `most`. */
function divisorUpTo(most: number, whole: number): number {
  let divisor = most;
  while (whole % divisor !== 0) divisor--;
  return divisor;
}

function readFlags(flags: FlagValues, problems: Problem[]): Setting[] {
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const word = name
      .replace(/^--/, '')
      .replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const key = keyNamed(word);
    if (key === undefined) {
      const flag = `--${word.replaceAll('_', '-')}`;
      problems.push({
        line: () => `${flag}: unknown option; ${nearest(flag, TRAIN_CONFIG_KEYS.map(flagOf))}`,
        issue: { path: flag, expected: 'a known option', got: flag },
      });
      return [];
    }
    const parsed =
      typeof value === 'string' ? parseFlagText(TRAIN_OPTIONS[key].type, value) : value;
    return [{ key, value: parsed, writtenAs: flagOf(key), place: undefined }];
  });
}

/** The final value of a setting: what was given, when it passes, or the default. */
function checkedValue(
  key: TrainConfigKey,
  setting: Setting | undefined,
  problems: Problem[],
): unknown {
  const option = TRAIN_OPTIONS[key];
  if (setting === undefined) return option.default;
  // `steps:` with nothing behind it is how a setting without a value is written.
  if (setting.value === null && option.default === undefined) return undefined;
  const result = schemaOf(option.type).safeParse(setting.value);
  if (result.success) return Object.is(result.data, -0) ? 0 : result.data;
  problems.push(
    problemOf(
      setting,
      expectedOf(option.type),
      textOf(setting.value),
      setting.hint ?? hintOf(option.type, setting.value),
    ),
  );
  return option.default;
}
