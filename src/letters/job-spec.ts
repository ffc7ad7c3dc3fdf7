/** What a client asks for. */
import { ConfigError, type ConfigIssue } from '../base/errors.ts';
import { MAX_PATH_LENGTH } from './numeric/bounded-file.ts';
import { type NetworkShape, parameterCount } from './numeric/parameters.ts';
import { type Recipe, seedRecipe } from './numeric/recipe.ts';

/**
 * seed: to the last digit what the seed system computes: its start, its linear "ReLU", its stop
 * rule, files averaged without weights. default: a real ReLU, inputs scaled to mean 0 and variance
 * 1, files weighted by their rows.
 */
export const MODES = ['default', 'seed'] as const;
/** One of the two ways to compute a job. */
export type Mode = (typeof MODES)[number];

/** Ways in which a node moves the parameters; mode `seed` knows the first one only. */
export const LETTERS_OPTIMIZERS = ['gradient', 'adam'] as const;
/** The name of one of them. */
type LettersOptimizer = (typeof LETTERS_OPTIMIZERS)[number];

/** A job as a client asks for it: data, network and recipe. `checkJobSpec` knows the ranges. */
export interface JobSpec {
  /** The data, on the machine of the coordinator. */
  readonly directory: string;
  readonly rounds: number;
  /** Per round and file. */
  readonly epochs: number;
  /** Units of the hidden layer. */
  readonly hidden: number;
  readonly classes: number;
  /** Learning rate. */
  readonly eta: number;
  readonly mode: Mode;
  readonly optimizer: LettersOptimizer;
  /** Rows per step of adam. */
  readonly batch: number;
  /** Decides the first parameters and the order of rows; without effect in mode `seed`. */
  readonly seed: number;
}

/** What a call of the seed system does not say. */
export const SEED_DEFAULTS: Pick<JobSpec, 'mode' | 'optimizer' | 'batch' | 'seed' | 'rounds'> = {
  mode: 'seed',
  optimizer: 'gradient',
  batch: 64,
  seed: 0,
  rounds: 1,
};

/** Letters A to Z. */
export const LETTER_CLASSES = 26;
/** Larger ones would not be letters, and their parameters travel with every task. */
export const MAX_PARAMETERS: number = 4 << 20;

const RANGES = {
  rounds: [1, 1_000_000],
  epochs: [1, 1_000_000],
  hidden: [1, 65_536],
  classes: [2, 256],
  batch: [1, 1_000_000],
  seed: [0, 0xffff_ffff],
} as const;

/** Throws: ConfigError naming everything that is out of range. */
export function checkJobSpec(spec: JobSpec): void {
  const issues: ConfigIssue[] = [];
  const add = (path: string, expected: string, got: unknown): void =>
    void issues.push({ path, expected, got: String(got) });
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const value = spec[name as keyof typeof RANGES];
    if (!Number.isInteger(value) || value < least || value > most)
      add(spelled(name), `a whole number from ${least} to ${most}`, value);
  }
  if (!(spec.eta > 0 && spec.eta <= 1000)) add('eta', 'a number above 0, at most 1000', spec.eta);
  if (spec.directory === '') add('dir', 'a directory', 'nothing');
  if (spec.directory.length > MAX_PATH_LENGTH)
    add('dir', `a path of at most ${MAX_PATH_LENGTH} characters`, 'more');
  if (spec.mode === 'seed' && spec.optimizer !== 'gradient')
    add('optimizer', 'gradient in mode seed', spec.optimizer);
  if (issues.length === 0) return;
  const words = issues.map(
    ({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`,
  );
  throw new ConfigError(words.join('; '), issues);
}

/** Throws: ConfigError when the network would be too large for rows of this many features. */
export function shapeOf(spec: JobSpec, features: number): NetworkShape {
  const shape = { features, hidden: spec.hidden, classes: spec.classes };
  if (parameterCount(shape) > MAX_PARAMETERS) {
    throw new ConfigError(
      `h: expected a network of at most ${MAX_PARAMETERS} parameters, got ` +
        `${parameterCount(shape)} with h ${spec.hidden}`,
    );
  }
  return shape;
}

/** How the files of the job are trained on. */
export function recipeOf(spec: JobSpec): Recipe {
  const { mode, optimizer, batch, epochs, eta } = spec;
  if (mode === 'seed') return seedRecipe(epochs, eta);
  return {
    activation: 'relu',
    optimizer: optimizer === 'adam' ? { kind: 'adam', batch } : { kind: 'gradient', stopBelow: 0 },
    epochs,
    eta,
  };
}

/** A setting's name on the command line. */
function spelled(name: string): string {
  return { hidden: 'h', classes: 'k' }[name] ?? name;
}
