/** The settings of group `work`: how much is computed, and in which portions. */
import type { OptionTable } from '../options/option-table.ts';
import { MAX_COUNT } from '../options/option-types.ts';
import { MAX_THROTTLE } from '../runtime/throttle.ts';

/** How much is computed; each setting is explained in `WORK_OPTIONS`. */
export interface WorkSettings {
  readonly workers: number;
  readonly lanes: number | 'auto';
  /** Worker i is slowed down by entry i mod length; 1 is not at all. */
  readonly throttle: readonly number[];
  readonly microBatch: number;
  /** A multiple of `microBatch`. */
  readonly globalBatch: number;
  readonly epochs: number;
  /** Replaces `epochs` when there. */
  readonly steps: number | undefined;
  /** Replaces `epochs` when there, with strategies in rounds. */
  readonly rounds: number | undefined;
  readonly localEpochs: number;
  readonly shards: number;
  /** A divisor of `globalBatch` that leaves whole micro-batches. */
  readonly replicas: number;
  readonly syncEvery: number;
}

/** The most rounds of a run: their learning rates travel in one message. */
export const MAX_ROUNDS = 10_000;

/** The one description of these settings. */
export const WORK_OPTIONS: OptionTable<WorkSettings, 'strategy'> = {
  workers: {
    type: { kind: 'integer', min: 1, max: 1024 },
    default: 2,
    unit: 'processes',
    help: 'Worker processes to start on this machine; the result does not depend on it',
    isEveryday: true,
  },
  lanes: {
    type: { kind: 'integer', min: 1, max: 1024, words: ['auto'] },
    default: 'auto',
    unit: 'threads per worker',
    help:
      'Compute threads of each worker, one micro-batch at a time each; auto shares all cores ' +
      'out; a worker on a GPU has one',
  },
  throttle: {
    type: { kind: 'integers', min: 1, max: MAX_THROTTLE, maxCount: 1024 },
    default: [1],
    unit: 'times slower',
    help:
      'Slows local workers down, to try what unequal machines do: one factor for all, or a list ' +
      'that they take in turn. After each micro-batch a worker sleeps until that has taken so many ' +
      'times as long as its first ones, which are computed unhindered',
  },
  microBatch: {
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 32,
    unit: 'samples',
    help:
      'Samples computed at once: the unit of work that is given to workers; fewer by default for ' +
      'a large bert, gpt2 or gpt, of which global_batch is then 16 times as many',
  },
  globalBatch: {
    type: { kind: 'integer', min: 1, max: 16_777_216 },
    default: 192,
    unit: 'samples',
    help: 'Samples of one step over all workers together; a multiple of micro_batch',
    isEveryday: true,
  },
  epochs: {
    type: { kind: 'integer', min: 1, max: 1_000_000 },
    default: 5,
    unit: 'passes',
    help: 'Passes over the training samples',
    isEveryday: true,
  },
  steps: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT },
    default: undefined,
    unit: 'steps',
    help: 'Train this many steps, instead of epochs',
    isEveryday: true,
  },
  rounds: {
    type: { kind: 'integer', min: 1, max: MAX_ROUNDS },
    default: undefined,
    unit: 'rounds',
    help:
      'Train this many rounds, instead of epochs: in a round workers train on shards of the ' +
      'samples by themselves, then the weights are averaged',
    onlyWith: { key: 'strategy', values: ['rounds', 'local-sgd'] },
  },
  localEpochs: {
    type: { kind: 'integer', min: 1, max: 1_000_000 },
    default: 1,
    unit: 'passes',
    help: 'Passes over the training samples in one round',
    onlyWith: { key: 'strategy', values: ['rounds'] },
  },
  shards: {
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 4,
    help:
      'Parts of the training samples that are trained on apart in a round, in steps of ' +
      'global_batch samples, each by one worker; the result depends on it, and not on the ' +
      'number of workers',
    onlyWith: { key: 'strategy', values: ['rounds'] },
  },
  replicas: {
    type: { kind: 'integer', min: 1, max: 65_536 },
    default: 2,
    help:
      'Copies of the model that are trained apart between two synchronisations, each on its part ' +
      'of every global batch; the result depends on it, and not on the number of workers',
    onlyWith: { key: 'strategy', values: ['local-sgd'] },
  },
  syncEvery: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT },
    default: 100,
    unit: 'steps',
    help:
      'Most steps that replicas make apart; an epoch is divided into rounds of as many, or fewer, ' +
      'as evenly as can be',
    onlyWith: { key: 'strategy', values: ['local-sgd'] },
  },
};
