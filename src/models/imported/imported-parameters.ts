/**
 * Which numbers of a network from a file are trained, which are running statistics, and which stay
 * as they are.
 */
import { ConfigError, GraphError } from '../../base/errors.ts';
import { suggestion } from '../../base/closest-name.ts';
import { GRADIENT_RULES } from '../../autodiff/gradient-rules.ts';
import { numberAttribute } from '../../graph/operators/operator.ts';
import type { Graph, GraphFile, GraphNode } from '../../graph/types.ts';
import type { Tensor } from '../../graph/values/types.ts';
import { weightsOf } from './imported-probe.ts';
import type { ParameterSpec } from '../model.ts';

/** The weights of a network from a file, by what becomes of them. */
export interface ImportedParameters {
  /** Weights that a gradient reaches, in the order of the file. */
  readonly trained: readonly ParameterSpec[];
  readonly statistics: readonly ParameterSpec[];
  /** Weights that a pattern of `freeze` names; constants of every graph. */
  readonly frozen: readonly string[];
  /** Weights through which no gradient passes (masks, tables of positions); constants, too. */
  readonly fixed: readonly string[];
}

/** Names of values in the graphs of a step. */
const RESERVED = /^(?:x|y|sampleWeight|loss|correct|(?:gradient|mask|constant)\..*)$/;

/**
 * Sorts the weights of a network whose forward pass is `graph`.
 *
 * `freeze` are patterns of whole names, in which `*` stands for any characters and `?` for one.
 * Throws: ConfigError for a pattern that names nothing, or when nothing is left to train;
 *         GraphError for names that the training step needs for itself.
 */
export function sortParameters(
  file: GraphFile,
  graph: Graph,
  freeze: readonly string[],
): ImportedParameters {
  const momenta = statisticMomenta(file.nodes);
  const reached = reachedByGradient(graph);
  const weights = weightsOf(file);
  const candidates = weights.filter(({ name }) => reached.has(name) || momenta.has(name));
  const frozen = withPartners(
    frozenNames(
      candidates.map(({ name }) => name),
      freeze,
    ),
    file.nodes,
  );
  const free = candidates.filter(({ name }) => !frozen.has(name));
  refuseSharedStatistics(file.nodes, frozen);
  refuseReservedNames(free);
  const trained = free.filter(({ name }) => !momenta.has(name)).map(specOf);
  if (trained.length === 0) throw nothingToTrain(file.name, freeze);
  return {
    trained,
    statistics: free.flatMap((tensor) => {
      const statisticMomentum = momenta.get(tensor.name);
      return statisticMomentum === undefined ? [] : [{ ...specOf(tensor), statisticMomentum }];
    }),
    frozen: [...frozen],
    fixed: weights.filter((tensor) => !candidates.includes(tensor)).map(({ name }) => name),
  };
}

function refuseReservedNames(weights: readonly Tensor[]): void {
  const odd = weights.find(({ name }) => RESERVED.test(name));
  if (odd === undefined) return;
  throw new GraphError(
    `weight ${odd.name}: the training step needs this name for itself; rename the weight`,
    { name: odd.name },
  );
}

function nothingToTrain(model: string, freeze: readonly string[]): ConfigError {
  const got = freeze.join(', ');
  const why = freeze.length === 0 ? 'it has no weights' : `freeze ${got} leaves none`;
  return new ConfigError(`model ${model}: expected weights to train, but ${why}`, [
    { path: 'freeze', expected: 'a pattern that leaves weights to train', got },
  ]);
}

function specOf({ name, shape, data }: Tensor): ParameterSpec {
  return { name, shape, init: { kind: 'values', values: Float32Array.from(data, Number) } };
}

/**
 * Running means and variances of BatchNormalization, with the part by which each moves towards what
 * a step observes.
 */
export function statisticMomenta(nodes: readonly GraphNode[]): ReadonlyMap<string, number> {
  const momenta = new Map<string, number>();
  for (const node of nodes) {
    if (node.operator !== 'BatchNormalization') continue;
    // ONNX keeps this part of the old value in float32: six digits make 0.1 of 1 - 0.89999998.
    const kept = numberAttribute(node, 'momentum', 0.9);
    const moved = Number((1 - kept).toPrecision(6));
    for (const name of node.inputs.slice(3)) momenta.set(name, moved);
  }
  return momenta;
}

/** A running statistic can follow what one node observes, not two. */
function refuseSharedStatistics(nodes: readonly GraphNode[], frozen: ReadonlySet<string>): void {
  const users = new Map<string, string>();
  for (const { operator, name, inputs } of nodes) {
    if (operator !== 'BatchNormalization') continue;
    for (const statistic of inputs.slice(3).filter((input) => !frozen.has(input))) {
      const other = users.get(statistic);
      if (other === undefined) users.set(statistic, name);
      else
        throw new GraphError(
          `BatchNormalization at ${name}: its running statistic ${statistic} is that of ` +
            `${other}, too. Freeze it, or give each node its own.`,
          { node: name },
        );
    }
  }
}

/** A frozen running mean freezes the variance beside it, and the other way round. */
function withPartners(
  frozen: ReadonlySet<string>,
  nodes: readonly GraphNode[],
): ReadonlySet<string> {
  const pairs = nodes
    .filter(({ operator }) => operator === 'BatchNormalization')
    .map(({ inputs }) => inputs.slice(3, 5));
  return new Set([
    ...frozen,
    ...pairs.filter((pair) => pair.some((name) => frozen.has(name))).flat(),
  ]);
}

/** Finds inputs that have a gradient: on the way to the output are only operators with a rule. */
function reachedByGradient(graph: Graph): ReadonlySet<string> {
  const types = new Map(graph.values.map(({ name, type }) => [name, type]));
  const reached = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes.toReversed()) {
    const isOnTheWay = node.outputs.some((name) => reached.has(name));
    if (!isOnTheWay || typeof GRADIENT_RULES[node.operator] !== 'function') continue;
    for (const name of node.inputs) if (types.get(name) === 'float32') reached.add(name);
  }
  return reached;
}

function frozenNames(names: readonly string[], patterns: readonly string[]): ReadonlySet<string> {
  const frozen = new Set<string>();
  for (const pattern of patterns) {
    const matcher = matcherOf(pattern);
    const matching = names.filter((name) => matcher.test(name));
    if (matching.length === 0) {
      throw new ConfigError(
        `freeze: no weight is called ${pattern}. ${suggestion(pattern, names)}`,
        [{ path: 'freeze', expected: names.join(' | '), got: pattern }],
      );
    }
    for (const name of matching) frozen.add(name);
  }
  return frozen;
}

function matcherOf(pattern: string): RegExp {
  const parts = pattern.split(/([*?])/).map((part) => {
    if (part === '*') return '.*';
    return part === '?' ? '.' : part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
  });
  return new RegExp(`^${parts.join('')}$`, 'su');
}
