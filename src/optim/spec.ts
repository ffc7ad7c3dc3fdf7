/**
 * Optimizers as data: what the user chooses, its defaults (those of torch.optim) and its limits.
 */
import { ConfigError, type ConfigIssue } from '../base/errors.ts';

interface Decay {
  /** PyTorch's weight_decay, from 0. L2 (added to the gradient), but decoupled for adamw. */
  readonly weightDecay: number;
  /** Whether tensors of fewer than two dimensions (biases, norms) decay too; PyTorch: true. */
  readonly decayBias: boolean;
}

/** w -= learningRate * g. Source: torch.optim.SGD. */
export interface SgdSpec extends Decay {
  readonly kind: 'sgd';
}

/** SGD along a running sum of gradients. Source: torch.optim.SGD with momentum. */
export interface MomentumSpec extends Decay {
  readonly kind: 'momentum';
  /** 0 <= momentum < 1. */
  readonly momentum: number;
  /** 0 <= dampening < 1: the new gradient counts 1 - dampening, except in the first step. */
  readonly dampening: number;
  /** Steps along g + momentum * velocity; needs momentum > 0 and dampening 0. */
  readonly nesterov: boolean;
}

interface Moments extends Decay {
  /** How long the mean of gradients lasts: 0 <= beta1 < 1. */
  readonly beta1: number;
  /** How long the mean of their squares lasts: 0 <= beta2 < 1. */
  readonly beta2: number;
  /** Not below 2^-126 (float32): with 0 a unit without gradient would divide 0 by 0. */
  readonly epsilon: number;
}

/** Steps of about learningRate, scaled by running moments. Source: torch.optim.Adam, no amsgrad. */
export interface AdamSpec extends Moments {
  readonly kind: 'adam';
}

/** Adam with the decay beside the gradient. Source: torch.optim.AdamW, without amsgrad. */
export interface AdamWSpec extends Moments {
  readonly kind: 'adamw';
}

/** An optimizer with its numbers. */
export type OptimizerSpec = SgdSpec | MomentumSpec | AdamSpec | AdamWSpec;
/** The name of an optimizer. */
export type OptimizerKind = OptimizerSpec['kind'];
type SpecOf<K extends OptimizerKind> = Extract<OptimizerSpec, { readonly kind: K }>;

/** What an optimizer keeps, and what it does unless told otherwise. */
export interface OptimizerEntry<S extends OptimizerSpec> {
  /**
   * Float32 regions of the weights' layout, zero at first; PyTorch's names, in the order that
   * `applyOptimizer` takes.
   */
  readonly stateNames: readonly string[];
  readonly defaults: S;
  /** The learning rate of users who name none. */
  readonly learningRate: number;
}

/**
 * Every optimizer. Defaults are PyTorch's; momentum, which has none there, takes the customary 0.9.
 */
export const OPTIMIZERS: { readonly [K in OptimizerKind]: OptimizerEntry<SpecOf<K>> } = {
  sgd: {
    stateNames: [],
    defaults: { kind: 'sgd', weightDecay: 0, decayBias: true },
    learningRate: 0.01,
  },
  momentum: {
    stateNames: ['momentum_buffer'],
    defaults: {
      kind: 'momentum',
      momentum: 0.9,
      dampening: 0,
      nesterov: false,
      weightDecay: 0,
      decayBias: true,
    },
    learningRate: 0.01,
  },
  adam: {
    stateNames: ['exp_avg', 'exp_avg_sq'],
    defaults: {
      kind: 'adam',
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0,
      decayBias: true,
    },
    learningRate: 0.001,
  },
  adamw: {
    stateNames: ['exp_avg', 'exp_avg_sq'],
    defaults: {
      kind: 'adamw',
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      weightDecay: 0.01,
      decayBias: true,
    },
    learningRate: 0.001,
  },
};

/** The names that `--optimizer` takes, in the order in which they are listed. */
export const OPTIMIZER_NAMES = [
  'adam',
  'adamw',
  'sgd',
  'momentum',
] as const satisfies readonly OptimizerKind[];

interface Rule {
  readonly expected: string;
  readonly holds: (value: unknown, spec: Readonly<Record<string, unknown>>) => boolean;
}

const FRACTION: Rule = {
  expected: 'a number from 0 to below 1',
  holds: (value) => typeof value === 'number' && value >= 0 && value < 1,
};

const FLAG: Rule = { expected: 'true or false', holds: (value) => typeof value === 'boolean' };

const RULES: Readonly<Record<string, Rule>> = {
  weightDecay: {
    expected: 'a finite number from 0',
    holds: (value) => typeof value === 'number' && value >= 0 && value < Infinity,
  },
  decayBias: FLAG,
  momentum: FRACTION,
  dampening: FRACTION,
  nesterov: {
    expected: 'true or false; true only with momentum above 0 and dampening 0',
    holds: (value, spec) =>
      typeof value === 'boolean' && (!value || (spec.momentum !== 0 && spec.dampening === 0)),
  },
  beta1: FRACTION,
  beta2: FRACTION,
  epsilon: {
    expected: 'a number from 1.2e-38 to below 1',
    holds: (value) => typeof value === 'number' && value >= 2 ** -126 && value < 1,
  },
};

/** Makes the spec of `kind`, with PyTorch's defaults. Throws: as `parseOptimizerSpec`. */
export function makeOptimizerSpec<K extends OptimizerKind>(
  kind: K,
  overrides: Partial<Omit<SpecOf<K>, 'kind'>> = {},
): SpecOf<K> {
  const spec: SpecOf<K> = { ...OPTIMIZERS[kind].defaults, ...overrides, kind };
  checkOptimizerSpec(spec);
  return spec;
}

/**
 * Reads an optimizer spec from a message; the fields must be exactly those of its kind.
 *
 * Throws: ConfigError that names every field which is missing, unknown or out of range.
 */
export function parseOptimizerSpec(value: Readonly<Record<string, unknown>>): OptimizerSpec {
  checkOptimizerSpec(value);
  return value;
}

/** Throws ConfigError unless `value` is an optimizer spec; every issue is in its context. */
function checkOptimizerSpec(value: object): asserts value is OptimizerSpec {
  const spec = value as Readonly<Record<string, unknown>>;
  const issues = issuesOf(spec);
  const [first] = issues;
  if (first === undefined) return;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  throw new ConfigError(
    `optimizer: ${first.path}: expected ${first.expected}, got ${first.got}${more}`,
    issues,
  );
}

function issuesOf(spec: Readonly<Record<string, unknown>>): ConfigIssue[] {
  const { kind } = spec;
  if (!isOptimizerKind(kind)) {
    return [{ path: 'kind', expected: Object.keys(OPTIMIZERS).join(', '), got: String(kind) }];
  }
  const names = Object.keys(OPTIMIZERS[kind].defaults);
  const unknown = Object.keys(spec).filter((name) => !names.includes(name));
  const broken = names.filter((name) => RULES[name]?.holds(spec[name], spec) === false);
  return [
    ...broken.map((path) => ({
      path,
      expected: RULES[path]?.expected ?? '',
      got: String(spec[path]),
    })),
    ...unknown.map((path) => ({ path, expected: `one of ${names.join(', ')}`, got: path })),
  ];
}

function isOptimizerKind(kind: unknown): kind is OptimizerKind {
  return typeof kind === 'string' && Object.hasOwn(OPTIMIZERS, kind);
}
