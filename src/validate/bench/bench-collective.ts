/**
 * How fast gradients are summed: all-reduces between real worker processes, over the connections
 * and by the bodies that training uses.
 */
import { cpus, platform, release } from 'node:os';
import { ConfigError } from '../../base/errors.ts';
import { availableMemory } from '../../data/available-memory.ts';
import type { BodyName } from '../../collectives/body-names.ts';
import { VERSION } from '../../launch/software.ts';
import { isoOf } from '../results/timestamp.ts';
import { BenchCrew, type CrewOptions } from './bench-collective-crew.ts';
import { byteLengthOf, type CollectiveFigures, MEBIBYTE } from './bench-collective-figures.ts';
import type { BenchPlan } from './bench-collective-rank.ts';

/**
 * The largest size's figures at the top, as the original has one size; all of them in `results`.
 */
export interface BenchCollectiveResult extends CollectiveFigures {
  readonly tool_name: 'lockstep';
  readonly tool_version: string;
  readonly timestamp: string;
  readonly backend: BodyName;
  readonly workers: number;
  readonly machine: { readonly hardware_name: string; readonly cores: number; readonly os: string };
  readonly results: readonly CollectiveFigures[];
}

/** What a worker holds: its own sum, and the total. */
const BUFFERS = 2;

/**
 * Measures; undefined when interrupted. Throws: ConfigError for sizes that cannot be; what goes
 * wrong between the processes.
 */
export async function benchCollective(
  options: CrewOptions,
): Promise<BenchCollectiveResult | undefined> {
  const { plan, hosts, signal } = options;
  checkSizes(plan.sizesMb, hosts === undefined ? plan.workers : 1, availableMemory());
  try {
    return resultOf(plan, await new BenchCrew(options).measure());
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

/**
 * Refuses sizes that would not fit into `availableBytes` if so many workers are on this machine.
 *
 * Throws: ConfigError.
 */
export function checkSizes(
  sizesMb: readonly number[],
  workers: number,
  availableBytes: number,
): void {
  const largest = Math.max(...sizesMb);
  const buffers = workers * BUFFERS;
  const neededBytes = byteLengthOf(largest) * buffers;
  if (neededBytes <= availableBytes) return;
  throw new ConfigError(
    `--size-mb ${largest}: ${workers} workers need ${gibibytes(neededBytes)} of memory for ` +
      `it, and ${gibibytes(availableBytes)} are free. ` +
      `Choose at most ${Math.floor(availableBytes / buffers / MEBIBYTE)}, or fewer --workers.`,
  );
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function resultOf(
  { workers, collective }: BenchPlan,
  results: readonly CollectiveFigures[],
): BenchCollectiveResult {
  const largest = results.toSorted((a, b) => b.bytes - a.bytes)[0];
  if (largest === undefined) throw new ConfigError('--sizes: expected at least one size');
  const processors = cpus();
  return {
    tool_name: 'lockstep',
    tool_version: VERSION,
    timestamp: isoOf(Date.now()),
    backend: collective,
    workers,
    ...largest,
    machine: {
      hardware_name: processors[0]?.model.trim() ?? 'unknown',
      cores: processors.length,
      os: `${platform()} ${release()}`,
    },
    results,
  };
}
