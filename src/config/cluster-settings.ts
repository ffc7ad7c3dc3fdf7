/** The settings of group `cluster`: how workers work together, and on what. */
import { CONV_FORM_CHOICES, type ConvFormChoice } from '../autodiff/conv-forms.ts';
import { COLLECTIVE_CHOICES, type CollectiveChoice } from '../collectives/body-names.ts';
import type { OptionTable } from '../options/option-table.ts';
import { FILE_PATH, MAX_COUNT } from '../options/option-types.ts';
import { BALANCE_POLICIES, type BalancePolicy } from '../plan/balance-policies.ts';
import { DEVICE_NAMES, type DeviceName } from '../runtime/device.ts';
import { isLoopback } from '../transport/loopback.ts';

/** Ways to share a training. */
const STRATEGY_NAMES = ['sync', 'rounds', 'local-sgd', 'parameter-server', 'async'] as const;
/** One of `STRATEGY_NAMES`. */
export type StrategyName = (typeof STRATEGY_NAMES)[number];

/** How what travels after a round is made smaller. */
const COMPRESS_CHOICES = ['none', 'int8', 'topk'] as const;
/** One of `COMPRESS_CHOICES`. */
type CompressChoice = (typeof COMPRESS_CHOICES)[number];

/** Promises that a step may make. */
const MODE_NAMES = ['exact', 'deadline'] as const;
/** One of `MODE_NAMES`. */
type ModeName = (typeof MODE_NAMES)[number];

/** What other programs call modes are strategies here. */
const MODES_ELSEWHERE = { 'local-sgd': '--strategy local-sgd', async: '--strategy async' };

/** How workers work together; each setting is explained in `CLUSTER_OPTIONS`. */
export interface ClusterSettings {
  readonly strategy: StrategyName;
  readonly outerLr: number;
  readonly outerMomentum: number;
  readonly compress: CompressChoice;
  readonly topKPart: number;
  readonly collective: CollectiveChoice;
  readonly mode: ModeName;
  readonly gradientTimeout: number;
  readonly maxStaleness: number;
  readonly loadBalancePolicy: BalancePolicy;
  /** Steps; undefined: as often as the policy does by itself. */
  readonly rebalanceInterval: number | undefined;
  readonly gpuProfiles: string | undefined;
  readonly keepSlowLinks: boolean;
  /** Workers take these in turn: worker i has entry i mod length. */
  readonly device: readonly DeviceName[];
  readonly convForms: ConvFormChoice;
  readonly threads: number;
  readonly host: string;
  readonly port: number;
  readonly lan: boolean;
  readonly approve: boolean;
  readonly insecure: boolean;
  readonly meshPlain: boolean;
  readonly linkFile: string | undefined;
}

/** Whether programs of other machines need a key to join. */
export function wantsKey({ host, insecure }: Pick<ClusterSettings, 'host' | 'insecure'>): boolean {
  return !insecure && !isLoopback(host);
}

/** The one description of these settings. */
export const CLUSTER_OPTIONS: OptionTable<ClusterSettings> = {
  strategy: {
    type: { kind: 'choice', choices: STRATEGY_NAMES, aliases: { allreduce: 'sync' } },
    default: 'sync',
    help:
      'How workers share the training: sync (also: allreduce) computes every step together; ' +
      'parameter-server does the same, with all sums through the coordinator; async goes on ' +
      'without who is slower, whose gradients are added later with less weight; rounds has ' +
      'workers train on shards by themselves and averages the weights after each round (a step ' +
      'of the run is then a round, also for schedules and eval_every); local-sgd (DiLoCo) has ' +
      'replicas make sync_every steps apart, and then one update together: a round, too',
  },
  outerLr: {
    type: { kind: 'number', min: 0, max: 1000, exclusive: 'min' },
    default: 0.7,
    help: 'Learning rate of the update that a round ends with; 1 without momentum is the average',
    onlyWith: { key: 'strategy', values: ['local-sgd'] },
  },
  outerMomentum: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.5,
    help:
      'Nesterov momentum of the update that a round ends with; 0.9, as in the paper, is for ' +
      'hundreds of rounds',
    onlyWith: { key: 'strategy', values: ['local-sgd'] },
  },
  compress: {
    type: { kind: 'choice', choices: COMPRESS_CHOICES, aliases: { 'top-k': 'topk' } },
    default: 'none',
    help:
      'How what a round changed travels: none as 4 bytes per weight; int8 rounds it at random to ' +
      'one byte, so that the mean stays, and less where that will do; topk has only the largest ' +
      'changes travel, as int8, and makes up for the others in later rounds',
    onlyWith: { key: 'strategy', values: ['rounds', 'local-sgd'] },
  },
  topKPart: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'min' },
    default: 0.1,
    help: 'Part of the changes in each tensor of weights that travels after a round: the largest',
    onlyWith: { key: 'compress', values: ['topk'] },
  },
  collective: {
    type: { kind: 'choice', choices: COLLECTIVE_CHOICES, later: ['mpi'] },
    default: 'auto',
    help:
      'How sums of gradients travel: shm adds them up in memory that the workers of one machine ' +
      'share (where they are on several, as with star, with a warning), ring from worker to ' +
      'worker, star through the coordinator; auto takes shm on one machine, and else what is ' +
      'faster by the links that the workers measure: the coordinator, or a ring, with shm on ' +
      'each machine of several workers. The digest is the same',
  },
  mode: {
    type: { kind: 'choice', choices: MODE_NAMES, instead: MODES_ELSEWHERE },
    default: 'exact',
    help:
      'What a step promises: exact counts every sample once and gives the same bits on any ' +
      'number of workers; deadline (with strategy parameter-server) goes on after ' +
      'gradient_timeout with what is there, and leaves out what is late',
  },
  gradientTimeout: {
    type: { kind: 'number', min: 0, max: 3_600, exclusive: 'min' },
    default: 1,
    unit: 'seconds',
    help: 'How long a step waits for gradients; for the first one it waits as long as it takes',
    onlyWith: { key: 'mode', values: ['deadline'] },
  },
  maxStaleness: {
    type: { kind: 'integer', min: 1, max: 64 },
    default: 8,
    unit: 'steps',
    help:
      'By so many steps, at most, a gradient may be older than the step that it is added to; ' +
      'faster workers wait where it would be more',
    onlyWith: { key: 'strategy', values: ['async'] },
  },
  loadBalancePolicy: {
    type: { kind: 'choice', choices: BALANCE_POLICIES },
    default: 'adaptive',
    help:
      'How a step is shared out among the workers: adaptive by their measured speeds, and whoever ' +
      'is done takes over from others; equal; proportional, dynamic and hybrid by the formulas of ' +
      'the third seed system. The result does not depend on it',
  },
  rebalanceInterval: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT },
    default: undefined,
    unit: 'steps',
    help:
      'Shares stay for so many steps (default: 10; adaptive works them out every step, or every ' +
      'tenth of a second where workers commit by themselves)',
  },
  gpuProfiles: {
    type: FILE_PATH,
    default: undefined,
    help:
      'JSON file with the compute_score of every rank, as `lockstep profile` writes it, for ' +
      'proportional, dynamic and hybrid (default: each worker measures its machine)',
    onlyWith: { key: 'loadBalancePolicy', values: ['proportional', 'dynamic', 'hybrid'] },
  },
  keepSlowLinks: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'Workers take part in every step even if exchanging sums with them takes longer than what ' +
      'they compute saves; by default the workers of such a machine stand by',
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
  lan: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'Workers of other machines may join, by the line that is printed: listens in every network ' +
      'of this machine, to those with the key',
    isEveryday: true,
  },
  approve: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'With --lan: whoever joins by the link waits until you have compared the six digits that ' +
      'both screens show',
  },
  insecure: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'Listens on --host without keys and encryption: whoever reaches the port can join, read ' +
      'and alter everything. In private networks only',
  },
  meshPlain: {
    type: { kind: 'boolean' },
    default: false,
    help:
      'Workers send their sums to each other without encryption, for a link that nobody else is ' +
      'on (Thunderbolt): who is on it can read and alter them',
  },
  linkFile: {
    type: FILE_PATH,
    default: undefined,
    help: 'Writes the join link to this file, for its owner only, instead of printing it',
  },
};
