/** Training on one file: the work of a compute node. */
import { permutation, RandomWords } from '../../base/random.ts';
import { Adam } from './adam.ts';
import { type Rows, TwoLayerNetwork } from './two-layer-network.ts';
import type { NetworkShape } from './parameters.ts';
import type { Recipe } from './recipe.ts';

/** What to train from: the same for every file of a round, but for the seed's second counter. */
export interface FileTask {
  readonly shape: NetworkShape;
  readonly recipe: Recipe;
  /** Parameters at the start of the round. */
  readonly start: Float64Array;
  /** Randomness of the order of rows is a function of these and the epoch. */
  readonly seed: number;
  readonly round: number;
  readonly file: number;
}

/** What training on one file gave. */
export interface FileResult {
  /** Parameters at the end minus those at the start. */
  readonly delta: Float64Array;
  /** Share of the file's rows that are classified wrong at the end, between 0 and 1. */
  readonly trainingError: number;
  /** Epochs that were run: fewer than asked for when training stopped early. */
  readonly epochs: number;
}

/** Networks are kept: instantiating one for each file would cost more than a short task. */
const networks = new Map<string, TwoLayerNetwork>();
const MAX_NETWORKS = 8;

/**
 * Trains on the rows of one file; undefined when `isCancelled`, asked before every epoch, says so.
 *
 * The result is a function of its arguments alone, to the last bit, on every machine.
 */
export function trainOnFile(
  rows: Rows,
  task: FileTask,
  isCancelled: () => boolean = () => false,
): FileResult | undefined {
  const { shape, recipe, start } = task;
  const network = networkFor(shape, recipe.activation);
  network.setParameters(start);
  network.setRows(rows);
  const epochs =
    recipe.optimizer.kind === 'gradient'
      ? descend(network, rows.count, recipe, recipe.optimizer.stopBelow, isCancelled)
      : runAdam(network, rows, task, recipe.optimizer.batch, isCancelled);
  if (epochs === undefined) return undefined;
  const end = network.parameters();
  return {
    delta: end.map((value, i) => value - (start[i] ?? 0)),
    trainingError: network.evaluate().errorRate,
    epochs,
  };
}

/** The share of `rows` that the parameters classify wrong, between 0 and 1. */
export function errorRate(
  rows: Rows,
  shape: NetworkShape,
  activation: Recipe['activation'],
  parameters: Float64Array,
): number {
  const network = networkFor(shape, activation);
  network.setParameters(parameters);
  network.setRows(rows);
  return network.evaluate().errorRate;
}

function networkFor(shape: NetworkShape, activation: Recipe['activation']): TwoLayerNetwork {
  const key = `${shape.features} ${shape.hidden} ${shape.classes} ${activation}`;
  const network = networks.get(key) ?? new TwoLayerNetwork(shape, activation);
  networks.delete(key);
  networks.set(key, network);
  const oldest = networks.keys().next();
  if (networks.size > MAX_NETWORKS && oldest.done !== true) networks.delete(oldest.value);
  return network;
}

function descend(
  network: TwoLayerNetwork,
  rowCount: number,
  { epochs, eta }: Recipe,
  stopBelow: number,
  isCancelled: () => boolean,
): number | undefined {
  let before: number | undefined;
  for (let epoch = 0; epoch < epochs; epoch++) {
    if (isCancelled()) return undefined;
    const { crossEntropy } = network.accumulate(0, rowCount);
    if (before !== undefined && Math.abs(before - crossEntropy) <= stopBelow) return epoch;
    before = crossEntropy;
    network.update((parameters, downhill) => addScaled(parameters, downhill, eta));
  }
  return epochs;
}

function addScaled(target: Float64Array, source: Float64Array, factor: number): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) + factor * (source[i] ?? 0);
}

function runAdam(
  network: TwoLayerNetwork,
  rows: Rows,
  { recipe, seed, round, file }: FileTask,
  batch: number,
  isCancelled: () => boolean,
): number | undefined {
  const adam = new Adam();
  for (let epoch = 0; epoch < recipe.epochs; epoch++) {
    if (isCancelled()) return undefined;
    const counter = round * recipe.epochs + epoch;
    network.setRows(rows, permutation(rows.count, new RandomWords(seed, 'shuffle', counter, file)));
    for (let from = 0; from < rows.count; from += batch) {
      const to = Math.min(rows.count, from + batch);
      network.accumulate(from, to);
      network.update((parameters, downhill) =>
        adam.step(parameters, downhill, to - from, recipe.eta),
      );
    }
  }
  return recipe.epochs;
}
