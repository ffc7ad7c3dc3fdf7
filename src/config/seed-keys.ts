/**
 * Keys of SmolCluster's `cluster_config.yaml` and `nn_config.yaml`, read as they are. Each becomes
 * a setting of ours or a note saying why it is not used; nothing disappears silently.
 *
 * Source: YuvrajSingh-mist/smolcluster, README and `NoRingReduce`.
 */
import type { TrainConfigKey } from './train-config.ts';
import type { ConfigPlace, YamlEntry } from './yaml-source.ts';

/** A line about a key that was translated, changed or not used. */
export interface ConfigNote {
  readonly file: string;
  /** The line of the file, from 1; 0 for a flag. */
  readonly line: number;
  readonly key: string;
  readonly message: string;
}

/** A value for a setting, as somebody wrote it, not yet checked. */
export interface Setting {
  readonly key: TrainConfigKey;
  readonly value: unknown;
  /** The key as written, e.g. `learning_rate` or `model.hidden`. */
  readonly writtenAs: string;
  /** The file and line; undefined for a flag. */
  readonly place: ConfigPlace | undefined;
}

/** What one entry in SmolCluster's terms comes to. */
export interface SeedTranslation {
  readonly settings: readonly Setting[];
  readonly notes: readonly ConfigNote[];
  /** Entries whose keys are known to nobody, with the names they might have meant. */
  readonly unknown: readonly {
    readonly entry: YamlEntry;
    readonly path: string;
    readonly known: readonly string[];
  }[];
}

type Rule = (entry: YamlEntry, path: string) => SeedTranslation;

/** SmolCluster's number of workers when no file says. */
export const SEED_WORKERS = 2;

const TOP_RULES: Readonly<Record<string, Rule>> = {
  // Its note, and the global batch, need num_workers: see `seedGlobalBatch`.
  batch_size: renamed('microBatch'),
  learning_rate: renamed('lr', 'read as lr'),
  num_epochs: renamed('epochs', 'read as epochs'),
  eval_steps: renamed('evalEvery', 'read as eval_every'),
  num_workers: renamed(
    'workers',
    "read as workers; SmolCluster's server computed too, our coordinator only coordinates",
  ),
  timeout: (entry) =>
    onlyNote(
      entry,
      'timeout',
      `${textOf(entry.value)} s is not used: exact mode waits for every micro-batch and ` +
        're-issues the work of a stalled worker; nothing is dropped',
    ),
  host_ip: (entry) =>
    onlyNote(
      entry,
      'host_ip',
      `${textOf(entry.value)} is not used: train stays on loopback unless --host is given`,
    ),
  worker_connect_ip: (entry) =>
    onlyNote(
      entry,
      'worker_connect_ip',
      `${textOf(entry.value)} is not used by train: give it to \`lockstep worker --join\` on ` +
        'the other machines',
    ),
  server: (entry) =>
    onlyNote(
      entry,
      'server',
      `${textOf(entry.value)} is not used: the coordinator runs where train is started; ` +
        'launching over ssh is not part of train',
    ),
};

const MODEL_RULES: Readonly<Record<string, Rule>> = {
  type: (entry, path) => ({
    settings: [setting('model', entry.value === 'SimpleNN' ? 'mlp' : entry.value, path, entry)],
    notes: entry.value === 'SimpleNN' ? [note(entry, path, 'SimpleNN is read as model mlp')] : [],
    unknown: [],
  }),
  hidden: (entry, path) => ({
    settings: [setting('hidden', entry.value, path, entry)],
    notes: [
      note(
        entry,
        path,
        `read as hidden ${textOf([entry.value].flat())}, as SmolCluster documents it; its ` +
          'code in fact built layers of 256 and 512 units: hidden [256, 512]',
      ),
    ],
    unknown: [],
  }),
  activation: renamed('activation', 'read as activation'),
  input_dim: sizeOfData,
  out: sizeOfData,
};

const DATASET_RULES: Readonly<Record<string, Rule>> = {
  name: (entry, path) => {
    const { value } = entry;
    const isPath = typeof value === 'string' && /[./\\]/.test(value);
    const name = typeof value === 'string' && !isPath ? value.toLowerCase() : value;
    return {
      settings: [setting('dataset', name, path, entry)],
      notes: [note(entry, path, `read as dataset ${textOf(name)}`)],
      unknown: [],
    };
  },
};

/** Top-level keys that only SmolCluster's files have. */
export const SEED_KEYS: readonly string[] = Object.keys(TOP_RULES);

/**
 * What a top-level entry means when it is written in SmolCluster's way; undefined when it is not.
 */
export function translateSeedEntry(entry: YamlEntry): SeedTranslation | undefined {
  const { key, children, value } = entry;
  if (key === 'model' && children !== undefined)
    return translateNested(entry, children, MODEL_RULES);
  if (key === 'dataset' && children !== undefined)
    return translateNested(entry, children, DATASET_RULES);
  if (key === 'workers' && isListOfNames(value)) return translateHostNames(entry, value);
  return ruleNamed(TOP_RULES, key)?.(entry, key);
}

/**
 * The global batch that SmolCluster averaged over: its server computed a share too, so there were
 * `batchSize` x (workers + 1) samples in a step.
 */
export function seedGlobalBatch(
  batchSize: number,
  workers: number,
): { globalBatch: number; message: string } {
  const globalBatch = batchSize * (workers + 1);
  return {
    globalBatch,
    message:
      `read as micro_batch ${batchSize} and global_batch ${globalBatch}, the batch ` +
      `SmolCluster averaged over: ${batchSize} x (${workers} workers + the server, which ` +
      `computed a share too); it stays ${globalBatch} on any number of workers`,
  };
}

/** A note on what `entry`, written as `path`, came to. */
export function note({ place }: { place: ConfigPlace }, key: string, message: string): ConfigNote {
  return { file: place.file, line: place.line, key, message };
}

/** A value for a message: JSON, cut short. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function renamed(key: TrainConfigKey, message?: string): Rule {
  return (entry, path) => ({
    settings: [setting(key, entry.value, path, entry)],
    notes: message === undefined ? [] : [note(entry, path, message)],
    unknown: [],
  });
}

function onlyNote(entry: YamlEntry, path: string, message: string): SeedTranslation {
  return { settings: [], notes: [note(entry, path, message)], unknown: [] };
}

function sizeOfData(entry: YamlEntry, path: string): SeedTranslation {
  return onlyNote(
    entry,
    path,
    `${textOf(entry.value)} is not used: sizes of input and output follow from the data set`,
  );
}

function setting(
  key: TrainConfigKey,
  value: unknown,
  writtenAs: string,
  { place }: YamlEntry,
): Setting {
  return { key, value, writtenAs, place };
}

function translateNested(
  parent: YamlEntry,
  children: readonly YamlEntry[],
  rules: Readonly<Record<string, Rule>>,
): SeedTranslation {
  const parts = children.map((entry): SeedTranslation => {
    const path = `${parent.key}.${entry.key}`;
    const known = Object.keys(rules);
    return (
      ruleNamed(rules, entry.key)?.(entry, path) ?? {
        settings: [],
        notes: [],
        unknown: [{ entry, path, known }],
      }
    );
  });
  return {
    settings: parts.flatMap(({ settings }) => settings),
    notes: parts.flatMap(({ notes }) => notes),
    unknown: parts.flatMap(({ unknown }) => unknown),
  };
}

function translateHostNames(entry: YamlEntry, names: readonly string[]): SeedTranslation {
  return {
    settings: [setting('workers', names.length, 'workers (list)', entry)],
    notes: [
      note(
        entry,
        'workers',
        `the list of ${names.length} host names is read as a count: that many workers are ` +
          'started on this machine; launching over ssh is not part of train',
      ),
    ],
    unknown: [],
  };
}

function isListOfNames(value: unknown): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string')
  );
}

function ruleNamed(rules: Readonly<Record<string, Rule>>, name: string): Rule | undefined {
  return Object.hasOwn(rules, name) ? rules[name] : undefined;
}
