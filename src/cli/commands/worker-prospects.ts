/** What is predicted of workers that a machine, or several, would have. */
import type { TrainConfig } from '../../config/train-config.ts';
import type { ProfiledMachine } from '../../doctor/facts/profile-file.ts';
import type { StepProfile } from '../../job/step-profile.ts';
import { type MachineShare, shareMachine } from '../../launch/share-machine.ts';
import {
  type LocalTraining,
  LOOPBACK,
  onLanes,
  type Prediction,
  predictWays,
  type TrainingShape,
  type WorkerProfile,
  workerSets,
} from '../../plan/predict.ts';
import type { LinkSpeed } from '../../plan/sum-cost.ts';

/** A machine with what the step takes it. */
export interface Measured {
  readonly machine: Pick<ProfiledMachine, 'hostname' | 'cores'>;
  readonly step: StepProfile;
}

/** The machine of rank 0, and of the coordinator. */
export const FIRST_HOST = 'host 0';

/** Workers on this machine share its cores: each has fewer, the more there are. */
export function localPredictions(
  config: TrainConfig,
  measured: readonly Measured[],
  shape: TrainingShape,
  local: LocalTraining,
): readonly Prediction[] {
  const [here] = measured;
  if (here === undefined) return [];
  return counts(config.workers).flatMap((workers) => {
    const shares = shareMachine({ ...config, workers }, [here.step.device]);
    const all = shares.map((share) => workerOf(here, FIRST_HOST, LOOPBACK, share));
    return waysOf(all, [...all.keys()], shape, local);
  });
}

/** Each worker on a machine of its own: machines and links are given to ranks in turn. */
export function linkedPredictions(
  { workers, lanes, throttle }: TrainConfig,
  {
    measured,
    links,
  }: { readonly measured: readonly Measured[]; readonly links: readonly LinkSpeed[] },
  shape: TrainingShape,
  local: LocalTraining,
): readonly Prediction[] {
  const all = Array.from({ length: workers }, (_, rank) => {
    const one = measured[rank % measured.length];
    const link = links[rank % links.length];
    if (one === undefined || link === undefined) return [];
    const share = {
      lanes: lanes === 'auto' ? one.step.lanes : lanes,
      throttle: throttle[rank % throttle.length] ?? 1,
    };
    return [workerOf(one, `host ${rank}`, link, share)];
  }).flat();
  const shown = new Set(counts(workers));
  return workerSets(all, shape)
    .filter((set) => shown.has(set.length))
    .flatMap((set) => waysOf(all, set, shape, local));
}

function workerOf(
  { machine, step }: Measured,
  host: string,
  link: LinkSpeed,
  { lanes, throttle }: Pick<MachineShare, 'lanes' | 'throttle'>,
): WorkerProfile {
  const whole = {
    ...{ host, link, cores: machine.cores, lanes: step.lanes },
    microBatchMs: throttle * step.micro_batch_ms,
    stepFixedMs: step.step_fixed_ms,
    ownFixedMs: step.own_fixed_ms,
  };
  return onLanes(whole, lanes);
}

function waysOf(
  all: readonly WorkerProfile[],
  which: readonly number[],
  shape: TrainingShape,
  local: LocalTraining,
): readonly Prediction[] {
  const exact = predictWays(all, which, shape);
  return which.length === 1 ? exact : [...exact, ...predictWays(all, which, shape, local)];
}

/** Numbers of workers that are compared: all up to 8, then powers of two, and the last. */
function counts(workers: number): readonly number[] {
  return Array.from({ length: workers }, (_, i) => i + 1).filter(
    (count) => count <= 8 || count === workers || Number.isInteger(Math.log2(count)),
  );
}
