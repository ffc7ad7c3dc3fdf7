/** Which part of this machine each local worker gets. */
import { availableParallelism } from 'node:os';
import type { TrainConfig } from '../config/train-config.ts';
import { type Device, GPU_LANES } from '../runtime/device.ts';

/** What one local worker computes on. */
export interface MachineShare {
  readonly device: Device;
  readonly lanes: number;
  /** How many times slower than it could be. */
  readonly throttle: number;
}

/**
 * The shares of `workers` local workers, by rank. They take `devices` in turn; a worker in front of
 * a GPU has one lane; the cores that are left are shared out among the others, unless `lanes` says.
 * They take `throttles` in turn, too.
 */
export function shareMachine(
  { workers, lanes, throttle: throttles }: Pick<TrainConfig, 'workers' | 'lanes' | 'throttle'>,
  devices: readonly Device[],
  cores: number = availableParallelism(),
): readonly MachineShare[] {
  const deviceOfRank = Array.from(
    { length: workers },
    (_, rank) => devices[rank % devices.length] ?? 'cpu',
  );
  const cpuRanks = [...deviceOfRank.keys()].filter((rank) => deviceOfRank[rank] === 'cpu');
  const coresLeft = cores - (workers - cpuRanks.length);
  return deviceOfRank.map((device, rank) => {
    const throttle = throttles[rank % throttles.length] ?? 1;
    if (device !== 'cpu') return { device, lanes: GPU_LANES, throttle };
    if (lanes !== 'auto') return { device, lanes, throttle };
    const isAmongFirst = cpuRanks.indexOf(rank) < coresLeft % cpuRanks.length;
    return {
      device,
      lanes: Math.max(1, Math.floor(coresLeft / cpuRanks.length) + (isAmongFirst ? 1 : 0)),
      throttle,
    };
  });
}
