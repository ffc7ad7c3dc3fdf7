/**
 * The one description of every training setting: flags, YAML, messages and documentation come from
 * it.
 */
import type { OptionType } from './option-types.ts';
import {
  ACTIVATION_NAMES,
  AUGMENT_NAMES,
  BAD_ROW_ACTIONS,
  DATASET_NAMES,
  CONV_FORM_NAMES,
  DEVICE_NAMES,
  ENGINE_NAMES,
  LOSS_NAMES,
  MODE_NAMES,
  NORMALISE_NAMES,
  TOKEN_KINDS,
  MODEL_NAMES,
  OPTIMIZER_NAMES,
  SCHEDULE_NAMES,
  STEM_NAMES,
  STRATEGY_NAMES,
} from './train-config.ts';
import type { TrainConfig, TrainConfigKey } from './train-config.ts';

/** Headings under which settings are listed. */
export type OptionGroup = 'model' | 'data' | 'work' | 'optimizer' | 'run' | 'cluster';

/**
 * One setting. Its flag is the key in kebab-case, its YAML key the same in snake_case (kebab-case
 * also read).
 */
export interface TrainOption<Value> {
  readonly group: OptionGroup;
  readonly type: OptionType;
  /** Undefined: there is no value until one is given. */
  readonly default: Value;
  /** Of the number; absent for words and pure numbers. */
  readonly unit?: string;
  /** One sentence without full stop. */
  readonly help: string;
  /**
   * The setting does something only while another has one of these values; `*.csv` and `a folder`
   * are kinds of paths.
   */
  readonly onlyWith?: { readonly key: TrainConfigKey; readonly values: readonly string[] };
}

const COUNT_MAX = 1_000_000_000;
/** Their learning rates travel in one message. */
export const MAX_ROUNDS = 10_000;
const FILE_PATH: OptionType = {
  kind: 'text',
  // No control characters, no halves of surrogate pairs: every such path survives a round trip
  // through YAML.
  pattern: /^[^\p{Cc}\p{Cs}]+$/u,
  expected: 'a path',
};

export const TRAIN_OPTIONS: { readonly [Key in TrainConfigKey]: TrainOption<TrainConfig[Key]> } = {
  model: {
    group: 'model',
    type: { kind: 'choice', choices: MODEL_NAMES, orPath: 'of an .onnx file' },
    default: 'mlp',
    help:
      'Model architecture, or a network exported from PyTorch, whose weights are trained ' +
      'further; docs/settings.md says for which data each is, and which settings it has',
  },
  freeze: {
    group: 'model',
    type: {
      kind: 'texts',
      pattern: /^[^\p{Cc}\p{Cs},]+$/u,
      expected: 'names of weights, in which * stands for any characters and ? for one',
      maxCount: 1024,
    },
    default: [],
    help:
      'Weights of an .onnx file that stay as they are, e.g. encoder.*; a frozen BatchNorm ' +
      'keeps its statistics',
    onlyWith: { key: 'model', values: ['*.onnx'] },
  },
  loss: {
    group: 'model',
    type: { kind: 'choice', choices: LOSS_NAMES },
    default: 'auto',
    help:
      'What training makes small: auto is cross-entropy for classes, bce for yes-or-no ' +
      'targets, mse for numbers',
  },
  labelSmoothing: {
    group: 'model',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0,
    unit: 'fraction',
    help: 'Part of each label that a cross-entropy spreads over all classes',
  },
  // Defaults of the model's own settings are in `MODEL_SETTINGS`, one per model.
  hidden: {
    group: 'model',
    type: { kind: 'integers', min: 1, max: 65_536, minCount: 0, maxCount: 64 },
    default: undefined,
    unit: 'units',
    help: 'Sizes of the hidden layers, first to last',
  },
  activation: {
    group: 'model',
    type: { kind: 'choice', choices: ACTIVATION_NAMES },
    default: undefined,
    help: 'Function between layers; gelu_tanh is the approximation that GPT-2 uses',
  },
  layers: {
    group: 'model',
    type: { kind: 'integers', min: 1, max: 1000, maxCount: 8 },
    default: undefined,
    unit: 'blocks',
    help:
      'Number of transformer blocks; for a resnet the residual blocks of each stage, e.g. ' +
      '2,2,2,2',
  },
  width: {
    group: 'model',
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: undefined,
    unit: 'units',
    help: 'Size of an embedding or, for images, channels of the first stage',
  },
  heads: {
    group: 'model',
    type: { kind: 'integer', min: 1, max: 1024 },
    default: undefined,
    help: 'Attention heads, a divisor of the width; bert and gpt2 take one per 64 units of width',
  },
  feedForward: {
    group: 'model',
    type: { kind: 'integer', min: 1, max: 262_144 },
    default: undefined,
    unit: 'units',
    help: 'Size of the layer inside a feed-forward part; bert, gpt2 and gpt take 4 times the width',
  },
  dropout: {
    group: 'model',
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: undefined,
    help: 'Probability that a value is left out in training; the same ones whoever computes',
  },
  tokenTable: {
    group: 'model',
    type: { kind: 'integer', min: 1, max: 16_777_216 },
    default: undefined,
    unit: 'rows',
    help: 'Size of the table of token embeddings, at least the vocabulary of the data',
  },
  positionTable: {
    group: 'model',
    type: { kind: 'integer', min: 1, max: 1_048_576 },
    default: undefined,
    unit: 'rows',
    help: 'Size of the table of position embeddings: the longest sequence',
  },
  tiedHead: {
    group: 'model',
    type: { kind: 'boolean' },
    default: undefined,
    help: 'Whether the last layer of a language model is its token table again',
  },
  stem: {
    group: 'model',
    type: { kind: 'choice', choices: STEM_NAMES },
    default: undefined,
    help:
      'Beginning of a resnet: large is 7x7 with stride 2 and a pooling layer, small is 3x3; ' +
      'auto takes small for images below 64 pixels',
  },

  dataset: {
    group: 'data',
    type: {
      kind: 'choice',
      choices: DATASET_NAMES,
      orPath:
        'of a .npz, .csv or .txt file, or of a folder of .npy files or class-named images ' +
        '(./folder)',
    },
    default: 'mnist',
    help: 'Data set to train on; `lockstep data --list` says what each name is',
  },
  dataDir: {
    group: 'data',
    type: FILE_PATH,
    default: undefined,
    help:
      "Folder with the data set's files, searched before cache, installed packages and " +
      'download',
  },
  validationSplit: {
    group: 'data',
    type: { kind: 'fraction', whenTrue: 0.1 },
    default: 0,
    unit: 'fraction',
    help:
      'Part of the training samples set aside, at random by seed, for validation; true is ' +
      '0.1, false is 0',
  },
  samples: {
    group: 'data',
    type: { kind: 'integer', min: 1, max: 100_000_000 },
    default: 8192,
    unit: 'samples',
    help: 'Training samples of a synthetic set; a quarter as many are made for the test',
    onlyWith: {
      key: 'dataset',
      values: [
        'synthetic_image',
        'synthetic_text',
        'synthetic_regression',
        'linear_regression',
        'number_sequences',
        'token_bags',
      ],
    },
  },
  classes: {
    group: 'data',
    type: { kind: 'integer', min: 2, max: 65_536 },
    default: undefined,
    help:
      'Classes of a synthetic set (not given: 10 for images, 2 for text), or of labels in ' +
      '.npy files (not given: as many as occur)',
    onlyWith: {
      key: 'dataset',
      values: ['synthetic_image', 'synthetic_text', '*.npz', 'a folder'],
    },
  },
  imageSize: {
    group: 'data',
    type: { kind: 'integer', min: 4, max: 1024 },
    default: undefined,
    unit: 'pixels',
    help:
      'Height and width of synthetic images (not given: 32), or to which the images of a ' +
      'folder are brought (not given: all must have one size)',
    onlyWith: { key: 'dataset', values: ['synthetic_image', 'a folder'] },
  },
  channels: {
    group: 'data',
    type: { kind: 'integer', min: 1, max: 64 },
    default: 3,
    help:
      'Channels of synthetic images; of the images of a folder 3 (red, green, blue) or 1 ' +
      '(grey)',
    onlyWith: { key: 'dataset', values: ['synthetic_image', 'a folder'] },
  },
  sequenceLength: {
    group: 'data',
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 128,
    unit: 'tokens',
    help: 'Tokens of one sample',
    onlyWith: { key: 'dataset', values: ['moby_dick', 'synthetic_text', '*.txt'] },
  },
  vocabulary: {
    group: 'data',
    type: { kind: 'integer', min: 2, max: 1_000_000 },
    default: undefined,
    unit: 'tokens',
    help:
      'Different tokens of synthetic text (not given: 1000), or of token ids in .npy files ' +
      '(not given: as many as occur)',
    onlyWith: { key: 'dataset', values: ['synthetic_text', '*.npz', 'a folder'] },
  },
  textTokens: {
    group: 'data',
    type: { kind: 'choice', choices: TOKEN_KINDS },
    default: 'char',
    help:
      'What a token of a text is: one of the characters that occur in it, or a byte of its ' +
      'UTF-8',
    onlyWith: { key: 'dataset', values: ['moby_dick', '*.txt'] },
  },
  labelColumn: {
    group: 'data',
    type: {
      kind: 'text',
      pattern: /^[^\p{Cc}\p{Cs}]+$/u,
      expected: 'the name of a column, or its number from 1',
    },
    default: undefined,
    help:
      'Column of a .csv file that is to be predicted: its name in the header, or its number ' +
      'from 1; not given: the only one that is not a number, else the last',
    onlyWith: { key: 'dataset', values: ['*.csv'] },
  },
  onBadRow: {
    group: 'data',
    type: { kind: 'choice', choices: BAD_ROW_ACTIONS },
    default: 'stop',
    help:
      'Rows of a .csv file, or images of a folder, that cannot be used: end with their line ' +
      'numbers or names, or leave them out and count them',
    onlyWith: { key: 'dataset', values: ['*.csv', 'a folder'] },
  },
  normalise: {
    group: 'data',
    type: { kind: 'choice', choices: NORMALISE_NAMES },
    default: 'auto',
    help:
      'auto brings features to mean 0 and standard deviation 1, by column or channel; none ' +
      'leaves them as they are',
  },
  augment: {
    group: 'data',
    type: { kind: 'choice', choices: AUGMENT_NAMES },
    default: 'none',
    help:
      'crop-flip shifts every training image at random by up to an eighth, and mirrors every ' +
      'other one',
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
    help:
      'Compute threads of each worker, one micro-batch at a time each; auto shares all cores ' +
      'out; a worker on a GPU has one',
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
  rounds: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: MAX_ROUNDS },
    default: undefined,
    unit: 'rounds',
    help:
      'Train this many rounds, instead of epochs: in a round workers train on shards of the ' +
      'samples by themselves, then the weights are averaged',
    onlyWith: { key: 'strategy', values: ['rounds'] },
  },
  localEpochs: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 1_000_000 },
    default: 1,
    unit: 'passes',
    help: 'Passes over the training samples in one round',
    onlyWith: { key: 'strategy', values: ['rounds'] },
  },
  shards: {
    group: 'work',
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 4,
    help:
      'Parts of the training samples that are trained on apart in a round, in steps of ' +
      'global_batch samples, each by one worker; the result depends on it, and not on the ' +
      'number of workers',
    onlyWith: { key: 'strategy', values: ['rounds'] },
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
    help:
      'Largest L2 norm of the whole gradient; a longer one is scaled down to it; not given: ' +
      'no limit',
  },
  schedule: {
    group: 'optimizer',
    type: { kind: 'choice', choices: SCHEDULE_NAMES },
    default: 'constant',
    help:
      'How the learning rate moves: cosine falls to min_lr, step multiplies by gamma every ' +
      'step_size steps',
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
    onlyWith: { key: 'strategy', values: ['sync'] },
  },
  audit: {
    group: 'run',
    type: { kind: 'number', min: 0, max: 1 },
    default: 0,
    unit: 'fraction',
    help:
      'Part of the steps in which a micro-batch of every worker is computed by another one ' +
      'too; a worker whose bits differ is put out and its steps are computed again (needs ' +
      'three workers that compute the same bits)',
  },
  name: {
    group: 'run',
    type: {
      kind: 'text',
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
      expected:
        'a folder name of letters, digits, ".", "_" and "-" (at most 100, beginning with a ' +
        'letter or digit)',
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
    help:
      'How workers share the training: sync computes every step together; rounds has them ' +
      'train on shards by themselves and averages the weights after each round (a step of the ' +
      'run is then a round, also for schedules and eval_every)',
  },
  engine: {
    group: 'cluster',
    type: { kind: 'choice', choices: ENGINE_NAMES, later: ['ring', 'shm', 'mpi'] },
    default: 'star',
    help: 'How gradients travel: star sends them through the coordinator',
  },
  mode: {
    group: 'cluster',
    type: {
      kind: 'choice',
      choices: MODE_NAMES,
      later: ['deadline'],
      instead: { 'local-sgd': '--strategy rounds' },
    },
    default: 'exact',
    help:
      'What a step promises: exact counts every sample once and gives the same bits on any ' +
      'number of workers',
  },
  device: {
    group: 'cluster',
    type: { kind: 'choices', choices: DEVICE_NAMES, maxCount: 1024 },
    default: ['cpu'],
    help:
      'Where micro-batches are computed: one for all workers, or a list that local workers ' +
      'take in turn; auto is the fastest that works. Workers of different devices differ in ' +
      'the last bits',
  },
  convForms: {
    group: 'cluster',
    type: { kind: 'choice', choices: CONV_FORM_NAMES },
    default: 'default',
    help:
      'How convolutions and their gradients are computed: default follows from their shapes, ' +
      'with the same digest wherever the coordinator runs; measured takes what is fastest on ' +
      "the coordinator's machine, and keeps it there for later runs",
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
    type: {
      kind: 'text',
      pattern: /^[A-Za-z0-9.:_%-]{1,255}$/,
      expected: 'a host name or IP address',
    },
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
export const TRAIN_CONFIG_KEYS: readonly TrainConfigKey[] = Object.keys(
  TRAIN_OPTIONS,
) as TrainConfigKey[];

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
