/** The settings of group `cluster`: how workers work together, and on what. */
import { CONV_FORM_CHOICES, type ConvFormChoice } from '../autodiff/conv-forms.ts';
import type { OptionTable } from '../options/option-table.ts';
import { DEVICE_NAMES, type DeviceName } from '../runtime/device.ts';

/** Ways to share a training. */
const STRATEGY_NAMES = ['sync', 'rounds'] as const;
/** One of `STRATEGY_NAMES`. */
export type StrategyName = (typeof STRATEGY_NAMES)[number];

/** Ways in which gradients may travel. */
const ENGINE_NAMES = ['star'] as const;
/** One of `ENGINE_NAMES`. */
type EngineName = (typeof ENGINE_NAMES)[number];

/** Promises that a step may make. */
const MODE_NAMES = ['exact'] as const;
/** One of `MODE_NAMES`. */
type ModeName = (typeof MODE_NAMES)[number];

/** How workers work together; each setting is explained in `CLUSTER_OPTIONS`. */
export interface ClusterSettings {
  readonly strategy: StrategyName;
  readonly engine: EngineName;
  readonly mode: ModeName;
  /** Workers take these in turn: worker i has entry i mod length. */
  readonly device: readonly DeviceName[];
  readonly convForms: ConvFormChoice;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
}

/** The one description of these settings. */
export const CLUSTER_OPTIONS: OptionTable<ClusterSettings> = {
  strategy: {
    type: { kind: 'choice', choices: STRATEGY_NAMES },
    default: 'sync',
    help:
      'How workers share the training: sync computes every step together; rounds has them ' +
      'train on shards by themselves and averages the weights after each round (a step of the ' +
      'run is then a round, also for schedules and eval_every)',
  },
  engine: {
    type: { kind: 'choice', choices: ENGINE_NAMES, later: ['ring', 'shm', 'mpi'] },
    default: 'star',
    help: 'How gradients travel: star sends them through the coordinator',
  },
  mode: {
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
    type: { kind: 'choices', choices: DEVICE_NAMES, maxCount: 1024 },
    default: ['cpu'],
    help:
      'Where micro-batches are computed: one for all workers, or a list that local workers ' +
      'take in turn; auto is the fastest that works. Workers of different devices differ in ' +
      'the last bits',
    isEveryday: true,
  },
  convForms: {
    type: { kind: 'choice', choices: CONV_FORM_CHOICES },
    default: 'default',
    help:
      'How convolutions and their gradients are computed: default follows from their shapes, ' +
      'with the same digest wherever the coordinator runs; measured takes what is fastest on ' +
      "the coordinator's machine, and keeps it there for later runs",
  },
  threads: {
    type: { kind: 'integer', min: 1, max: 1024 },
    default: 1,
    unit: 'threads per lane',
    help: 'Threads inside one computation; exact mode needs 1, and uses more cores by more lanes',
  },
  host: {
    type: {
      kind: 'text',
      pattern: /^[A-Za-z0-9.:_%-]{1,255}$/,
      expected: 'a host name or IP address',
    },
    default: '127.0.0.1',
    help: 'Address the coordinator listens on; 0.0.0.0 is every network of this machine',
    isEveryday: true,
  },
  port: {
    type: { kind: 'integer', min: 0, max: 65_535 },
    default: 0,
    help: 'TCP port the coordinator listens on; 0 is any free one',
    isEveryday: true,
  },
};
