/** How fast this machine is, measured: products of matrices, and copies in memory. */
import { cpus, totalmem } from 'node:os';
import { RuntimeError } from '../base/errors.ts';
import type { MachineSpeed } from '../plan/balance-policies.ts';
import type { Device } from './device.ts';
import { probeHere } from './device-probe.ts';

/** More than caches hold. */
const COPIED_BYTES = 64 << 20;
const COPIES = 3;

/** What computes, and how much slower than it could. */
interface MeasuredWorker {
  readonly device: Device;
  readonly lanes: number;
  readonly throttle?: number;
}

/**
 * Measures the machine as a worker uses it; takes about a quarter of a second.
 *
 * Throws: RuntimeError when the device does not work.
 */
export async function measureMachine(worker: MeasuredWorker): Promise<MachineSpeed> {
  const { device, lanes, throttle = 1 } = worker;
  const result = await probeHere(device);
  if (result.kind === 'fails')
    throw new RuntimeError(`measuring ${device}: ${result.reason}`, { device });
  return {
    teraflops: (lanes * result.gigaflops) / 1_000 / throttle,
    memory: totalmem() / 2 ** 30,
    bandwidth: measureBandwidth() / throttle,
    clock: Math.max(0, ...cpus().map(({ speed }) => speed)) / 1_000,
  };
}

/** 10^9 bytes per second that one thread reads and writes. */
export function measureBandwidth(): number {
  const from = new Float64Array(COPIED_BYTES / 8).fill(1);
  const to = new Float64Array(COPIED_BYTES / 8).fill(0);
  let bestMs = Infinity;
  for (let copy = 0; copy < COPIES; copy++) {
    const startedMs = performance.now();
    to.set(from);
    bestMs = Math.min(bestMs, performance.now() - startedMs);
  }
  return (2 * COPIED_BYTES) / bestMs / 1e6;
}
