/** The one description of every training setting: flags, YAML, messages and documentation come from it. */
import type { OptionType } from './option-types.ts';
import {
  ACTIVATION_NAMES,
  DATASET_NAMES,
  DEVICE_NAMES,
  ENGINE_NAMES,
  MODE_NAMES,
  MODEL_NAMES,
  OPTIMIZER_NAMES,
  SCHEDULE_NAMES,
  STRATEGY_NAMES,
} from './train-config.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';

/** Headings under which settings are listed. */
export type OptionGroup = 'model' | 'data' | 'work' | 'optimizer' | 'run' | 'cluster';

/** One setting. Its flag is the key in kebab-case, its YAML key the same in snake_case (kebab-case also read). */
export interface TrainOption<Value> {
  readonly group: OptionGroup;
  readonly type: OptionType;
  /** Undefined: there is no value until one is given. */
  readonly default: Value;
  /** Of the number; absent for words and pure numbers. */
  readonly unit?: string;
  /** One sentence without full stop. */
  readonly help: string;
  /** The setting does something only while another has one of these values. */
  readonly onlyWith?: { readonly key: TrainConfigKey; readonly values: readonly string[] };
}

const COUNT_MAX = 1_000_000_000;
const FILE_PATH: OptionType = {
  kind: 'text',
  // No control characters, no halves of surrogate pairs: every such path survives a round trip through YAML.
  pattern: /^[^\p{Cc}\p{Cs}]+$/u,
  expected: 'a path',
};

export const TRAIN_OPTIONS: { readonly [Key in TrainConfigKey]: TrainOption<TrainConfig[Key]> } = {
  model: {
    group: 'model',
    type: { kind: 'choice', choices: MODEL_NAMES },
    default: 'mlp',
    help: 'Model architecture: mlp is a stack of fully connected layers',
  },
  hidden: {
    group: 'model',
    type: { kind: 'integers', min: 1, max: 65_536, maxCount: 64 },
    default: [256, 512],
    unit: 'units',
    help: 'Sizes of the hidden layers, first to last',
  },
  activation: {
    group: 'model',
    type: { kind: 'choice', choices: ACTIVATION_NAMES },
    default: 'relu',
    help: 'Function between layers',
  },

  dataset: {
    group: 'data',
    type: { kind: 'choice', choices: DATASET_NAMES },
    default: 'mnist',
    help: 'Data set to train on',
  },
  dataDir: {
    group: 'data',
    type: FILE_PATH,
    default: undefined,
    help: "Folder with the data set's files, searched before cache, installed packages and download",
  },
  validationSplit: {
    group: 'data',
    type: { kind: 'fraction', whenTrue: 0.1 },
    default: 0,
    unit: 'fraction',
    help: 'Part of the training samples set aside, at random by seed, for validation; true is 0.1, false is 0',
  },

  workers: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 1024 },
    default: 2,
    unit: 'processes',
    help: 'Worker processes to start on this machine; the result does not depend on it',
  },
  lanes: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 1024, word: 'auto' },
    default: 'auto',
    unit: 'threads per worker',
    help: 'Compute threads of each worker, one micro-batch at a time each; auto shares all cores out',
  },
  microBatch: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 32,
    unit: 'samples',
    help: 'Samples computed at once: the unit of work that is given to workers',
  },
  globalBatch: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 16_777_216 },
    default: 192,
    unit: 'samples',
    help: 'Samples of one step over all workers together; a multiple of micro_batch',
  },
  epochs: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 1_000_000 },
    default: 5,
    unit: 'passes',
    help: 'Passes over the training samples',
  },
  steps: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: COUNT_MAX },
    default: undefined,
    unit: 'steps',
    help: 'Train this many steps, instead of epochs',
  },

  optimizer: {
    group: 'optimizer',
    type: { kind: 'choice', choices: OPTIMIZER_NAMES },
    default: 'adam',
    help: 'Update rule; momentum is sgd with momentum',
  },
  lr: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1000, exclusive: 'min' },
    default: 0.001,
    help: 'Learning rate, before the schedule',
  },
  momentum: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.9,
    help: 'Part of the last update that is kept',
    onlyWith: { key: 'optimizer', values: ['momentum'] },
  },
  beta1: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.9,
    help: 'Decay of the first moment',
    onlyWith: { key: 'optimizer', values: ['adam', 'adamw'] },
  },
  beta2: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.999,
    help: 'Decay of the second moment',
    onlyWith: { key: 'optimizer', values: ['adam', 'adamw'] },
  },
  epsilon: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'min' },
    default: 1e-8,
    help: 'Added to the root of the second moment',
    onlyWith: { key: 'optimizer', values: ['adam', 'adamw'] },
  },
  weightDecay: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 10 },
    default: 0,
    help: 'Pull of the weights towards 0; when not given, 0.01 with adamw',
  },
  clipNorm: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1e12, exclusive: 'min' },
    default: undefined,
    help: 'Largest L2 norm of the whole gradient; a longer one is scaled down to it; not given: no limit',
  },
  schedule: {
    group: 'optimizer',
    type: { kind: 'choice', choices: SCHEDULE_NAMES },
    default: 'constant',
    help: 'How the learning rate moves: cosine falls to min_lr, step multiplies by gamma every step_size steps',
  },
  warmupSteps: {
    group: 'optimizer',
    type: { kind: 'integer', min: 0, max: COUNT_MAX },
    default: 0,
    unit: 'steps',
    help: 'Steps over which the learning rate first rises from 0',
  },
  minLr: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1000 },
    default: 0,
    help: 'Learning rate at the end of a cosine schedule',
    onlyWith: { key: 'schedule', values: ['cosine'] },
  },
  stepSize: {
    group: 'optimizer',
    type: { kind: 'integer', min: 1, max: COUNT_MAX },
    default: 1000,
    unit: 'steps',
    help: 'Steps between two drops of a step schedule',
    onlyWith: { key: 'schedule', values: ['step'] },
  },
  gamma: {
    group: 'optimizer',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'min' },
    default: 0.1,
    help: 'Factor of each drop of a step schedule',
    onlyWith: { key: 'schedule', values: ['step'] },
  },

  seed: {
    group: 'run',
    type: { kind: 'integer', min: 0, max: 4_294_967_295 },
    default: 42,
    help: 'Initial weights, order of samples and splits follow from it',
  },
  evalEvery: {
    group: 'run',
    type: { kind: 'integer', min: 1, max: COUNT_MAX, word: 'epoch' },
    default: 'epoch',
    unit: 'steps',
    help: 'Evaluate on the test samples every so many steps; epoch: after each epoch',
  },
  trackGradients: {
    group: 'run',
    type: { kind: 'boolean' },
    default: false,
    help: 'Record the L2 norm of every gradient tensor',
  },
  name: {
    group: 'run',
    type: {
      kind: 'text',
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
      expected:
        'a folder name of letters, digits, ".", "_" and "-" (at most 100, beginning with a letter or digit)',
    },
    default: undefined,
    help: 'Name of the run and of its folder; not given: model, data set and time',
  },
  outDir: {
    group: 'run',
    type: FILE_PATH,
    default: 'experiments',
    help: "Folder in which the run's folder is made",
  },

  strategy: {
    group: 'cluster',
    type: { kind: 'choice', choices: STRATEGY_NAMES },
    default: 'sync',
    help: 'How workers share the training: sync computes every step together',
  },
  engine: {
    group: 'cluster',
    type: { kind: 'choice', choices: ENGINE_NAMES, later: ['ring', 'shm', 'mpi'] },
    default: 'star',
    help: 'How gradients travel: star sends them through the coordinator',
  },
  mode: {
    group: 'cluster',
    type: { kind: 'choice', choices: MODE_NAMES, later: ['deadline', 'local-sgd'] },
    default: 'exact',
    help: 'What a step promises: exact counts every sample once and gives the same bits on any number of workers',
  },
  device: {
    group: 'cluster',
    type: { kind: 'choice', choices: DEVICE_NAMES, later: ['webgpu', 'cuda', 'coreml', 'directml', 'gpu'] },
    default: 'cpu',
    help: 'Where micro-batches are computed',
  },
  threads: {
    group: 'cluster',
    type: { kind: 'integer', min: 1, max: 1024 },
    default: 1,
    unit: 'threads per lane',
    help: 'Threads inside one computation; exact mode needs 1, and uses more cores by more lanes',
  },
  host: {
    group: 'cluster',
    type: { kind: 'text', pattern: /^[A-Za-z0-9.:_%-]{1,255}$/, expected: 'a host name or IP address' },
    default: '127.0.0.1',
    help: 'Address the coordinator listens on; 0.0.0.0 is every network of this machine',
  },
  port: {
    group: 'cluster',
    type: { kind: 'integer', min: 0, max: 65_535 },
    default: 0,
    help: 'TCP port the coordinator listens on; 0 is any free one',
  },
};

/** Every key, in the order of the table. */
export const TRAIN_CONFIG_KEYS: readonly TrainConfigKey[] = Object.keys(TRAIN_OPTIONS) as TrainConfigKey[];

/** The key in YAML, e.g. `micro_batch`. */
export function yamlKeyOf(key: TrainConfigKey): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The flag, e.g. `--micro-batch`. */
export function flagOf(key: TrainConfigKey): string {
  return `--${yamlKeyOf(key).replaceAll('_', '-')}`;
}

/** The setting that a word in snake_case or kebab-case names; undefined when none. */
export function keyNamed(word: string): TrainConfigKey | undefined {
  return KEY_BY_WORD.get(word.replaceAll('-', '_'));
}

const KEY_BY_WORD: ReadonlyMap<string, TrainConfigKey> = new Map(
  TRAIN_CONFIG_KEYS.map((key) => [yamlKeyOf(key), key]),
);
