/** The settings that say what a model is like; every model knows some of them. */
import type { OptionTable } from '../options/option-table.ts';
import { ACTIVATION_NAMES, type ActivationName } from './activation.ts';

/** How a resnet may begin. */
const STEM_NAMES = ['auto', 'large', 'small'] as const;
/** One of `STEM_NAMES`. */
type StemName = (typeof STEM_NAMES)[number];

/**
 * What a model may be told about its layers; each is explained in `ARCHITECTURE_OPTIONS`.
 * Undefined: the model has no such setting, or derives it from the others or from the data.
 */
export interface ArchitectureSettings {
  readonly hidden: readonly number[] | undefined;
  readonly activation: ActivationName | undefined;
  readonly layers: readonly number[] | undefined;
  readonly width: number | undefined;
  readonly heads: number | undefined;
  readonly feedForward: number | undefined;
  readonly dropout: number | undefined;
  readonly tokenTable: number | undefined;
  readonly positionTable: number | undefined;
  readonly tiedHead: boolean | undefined;
  readonly stem: StemName | undefined;
}

/** The one description of these settings. Defaults differ: each kind of model has its own. */
export const ARCHITECTURE_OPTIONS: OptionTable<ArchitectureSettings> = {
  hidden: {
    type: { kind: 'integers', min: 1, max: 65_536, minCount: 0, maxCount: 64 },
    default: undefined,
    unit: 'units',
    help: 'Sizes of the hidden layers, first to last',
    isEveryday: true,
  },
  activation: {
    type: { kind: 'choice', choices: ACTIVATION_NAMES },
    default: undefined,
    help: 'Function between layers; gelu_tanh is the approximation that GPT-2 uses',
  },
  layers: {
    type: { kind: 'integers', min: 1, max: 1000, maxCount: 8 },
    default: undefined,
    unit: 'blocks',
    help:
      'Number of transformer blocks; for a resnet the residual blocks of each stage, e.g. ' +
      '2,2,2,2',
  },
  width: {
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: undefined,
    unit: 'units',
    help: 'Size of an embedding or, for images, channels of the first stage',
  },
  heads: {
    type: { kind: 'integer', min: 1, max: 1024 },
    default: undefined,
    help: 'Attention heads, a divisor of the width; bert and gpt2 take one per 64 units of width',
  },
  feedForward: {
    type: { kind: 'integer', min: 1, max: 262_144 },
    default: undefined,
    unit: 'units',
    help: 'Size of the layer inside a feed-forward part; bert, gpt2 and gpt take 4 times the width',
  },
  dropout: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: undefined,
    help: 'Probability that a value is left out in training; the same ones whoever computes',
  },
  tokenTable: {
    type: { kind: 'integer', min: 1, max: 16_777_216 },
    default: undefined,
    unit: 'rows',
    help: 'Size of the table of token embeddings, at least the vocabulary of the data',
  },
  positionTable: {
    type: { kind: 'integer', min: 1, max: 1_048_576 },
    default: undefined,
    unit: 'rows',
    help: 'Size of the table of position embeddings: the longest sequence',
  },
  tiedHead: {
    type: { kind: 'boolean' },
    default: undefined,
    help: 'Whether the last layer of a language model is its token table again',
  },
  stem: {
    type: { kind: 'choice', choices: STEM_NAMES },
    default: undefined,
    help:
      'Beginning of a resnet: large is 7x7 with stride 2 and a pooling layer, small is 3x3; ' +
      'auto takes small for images below 64 pixels',
  },
};

/** The name of one of these settings. */
export type ArchitectureKey = keyof ArchitectureSettings;

/** Every name, in the order of the table. */
export const ARCHITECTURE_KEYS = Object.keys(ARCHITECTURE_OPTIONS) as readonly ArchitectureKey[];

/** Picks out of settings, such as a whole configuration, those that say what its model is like. */
export function architectureOf(settings: ArchitectureSettings): Readonly<Record<string, unknown>> {
  return Object.fromEntries(ARCHITECTURE_KEYS.map((key) => [key, settings[key]]));
}
