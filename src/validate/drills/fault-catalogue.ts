/** The faults that `fault-test` injects. */
import { ConfigError } from '../../base/errors.ts';
import { closestName } from '../../base/closest-name.ts';
import type { AlarmKind } from './alarms.ts';
import type { WorkloadName } from '../watch/workloads.ts';

/** A fault: what is done to a run, and what must come of it. */
export interface Fault {
  readonly name: string;
  /** What is done, in a few words. */
  readonly about: string;
  /** The detectors whose word counts. Any other alarm that comes first is a miss. */
  readonly shownBy: readonly AlarmKind[];
  /** Whether the run must end as if nothing had happened. */
  readonly isSurvived: boolean;
  /** What is trained. A step of the mlp takes a millisecond or two: too little for some faults. */
  readonly workload: WorkloadName;
}

const WRONG_NUMBERS = {
  shownBy: ['worker-distrusted'],
  isSurvived: true,
  workload: 'mlp',
} as const;
const GONE = {
  shownBy: ['worker-stalled', 'worker-lost'],
  isSurvived: true,
  workload: 'mlp',
} as const;
const SLOW = {
  shownBy: ['worker-slow', 'worker-stalled'],
  isSurvived: true,
  workload: 'mlp',
} as const;
const TURNED_AWAY = { shownBy: ['worker-refused'], isSurvived: true } as const;

/** Every fault, in the order in which they are injected. The first three are MiniCluster's. */
export const FAULTS = [
  { name: 'slow_worker', about: 'a worker sleeps 0.5 s in every step', ...SLOW },
  {
    name: 'gradient_sync_anomaly',
    about: 'noise in gradients before the reduce',
    ...WRONG_NUMBERS,
  },
  { name: 'worker_timeout', about: 'a worker freezes (SIGSTOP)', ...GONE },
  { name: 'gradient_scale_10', about: 'gradients times 10', ...WRONG_NUMBERS },
  { name: 'gradient_zeros', about: 'gradients are zero', ...WRONG_NUMBERS },
  { name: 'gradient_nan', about: 'a gradient element is not a number', ...WRONG_NUMBERS },
  { name: 'gradient_sign_flip', about: 'gradients with the wrong sign', ...WRONG_NUMBERS },
  { name: 'gradient_scale_half', about: 'gradients times 0.5', ...WRONG_NUMBERS },
  {
    name: 'gradient_bit_flip',
    about: 'a high bit of one gradient element is flipped',
    ...WRONG_NUMBERS,
  },
  {
    name: 'gradient_mantissa_bit',
    about: 'the lowest bit of one gradient element is flipped',
    ...WRONG_NUMBERS,
  },
  { name: 'stale_worker', about: 'a worker misses one update', ...WRONG_NUMBERS },
  { name: 'kill', about: 'a worker is killed (SIGKILL)', ...GONE },
  {
    name: 'half_open',
    about: "a worker's host vanishes: nothing arrives, nothing is closed",
    ...GONE,
  },
  { name: 'partition', about: 'nothing arrives until the partition heals', ...GONE },
  { name: 'corrupted_frame', about: 'a bit is flipped on the way to the coordinator', ...GONE },
  { name: 'delayed_frames', about: "every byte of a worker's link is 100 ms late", ...SLOW },
  {
    name: 'duplicate_worker',
    about: 'a second process says that it is a worker that is there',
    ...TURNED_AWAY,
    workload: 'transformer',
  },
  { name: 'wrong_data', about: 'a worker has other data', ...TURNED_AWAY, workload: 'mlp' },
  {
    name: 'clock_jump',
    about: "a worker's wall clock jumps by an hour",
    shownBy: ['clock-jumped'],
    isSurvived: true,
    workload: 'transformer',
  },
  {
    name: 'disk_full',
    about: "the disk of the run's files is full",
    shownBy: ['file-failed'],
    isSurvived: true,
    workload: 'mlp',
  },
] as const satisfies readonly Fault[];

/** The name of a fault, as `--faults` takes it. */
export type FaultName = (typeof FAULTS)[number]['name'];

/**
 * The faults that a list of names, separated by commas, asks for, in the order of the catalogue.
 * Throws ConfigError.
 */
export function faultsNamed(text: string): readonly Fault[] {
  const wanted = text.split(',').map((name) => name.trim());
  const names = FAULTS.map(({ name }) => name);
  for (const name of wanted) {
    if (names.some((known) => known === name)) continue;
    const nearest = closestName(name, names);
    const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`;
    throw new ConfigError(
      `--faults: there is no fault "${name}".${hint} There are: ${names.join(', ')}`,
    );
  }
  return FAULTS.filter(({ name }) => wanted.includes(name));
}
