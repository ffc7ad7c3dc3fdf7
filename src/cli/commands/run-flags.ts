/** The flags of `lockstep run`: MiniCluster's, checked, and what is worth telling about them. */
import { resolve } from 'node:path';
import { ConfigError } from '../../base/errors.ts';
import { DEVICE_NAMES, type DeviceName } from '../../runtime/device.ts';
import { checkWritable } from '../../validate/results/output-file.ts';
import { readResultFile } from '../../validate/results/read-result.ts';
import {
  microBatchOf,
  WORKLOAD_NAMES,
  WORKLOAD_SAMPLES,
  type WorkloadOptions,
} from '../../validate/watch/workloads.ts';
import { parseChoice, parseNumber, parseWhole } from '../shell/arguments.ts';

/** The flags as commander gives them: text, or absent. */
export interface RunFlags {
  readonly workers: string;
  readonly steps: string;
  readonly batchSize: string;
  readonly learningRate: string;
  readonly hiddenSize: string;
  readonly numLayers: string;
  readonly seed: string;
  readonly workload: string;
  readonly backend?: string;
  readonly lanes: string;
  readonly device: string;
  readonly tdpWatts?: string;
  readonly baselineThroughput?: string;
  readonly output: string;
  readonly healthCheckpointPath: string;
  readonly plain?: string;
  readonly keepFiles?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** What was asked for, checked. */
export interface RunRequest {
  readonly workload: WorkloadOptions;
  readonly device: DeviceName;
  readonly tdpWatts: number | undefined;
  readonly baselineThroughput: number | undefined;
  readonly output: string;
  readonly healthPath: string;
  readonly plain: string | undefined;
  readonly keepsFiles: boolean;
  readonly isVerbose: boolean;
  readonly isJson: boolean;
  readonly notes: readonly string[];
}

/**
 * Steps that the result file holds at most: some hundred bytes each, and they are kept in memory.
 */
const MAX_STEPS = 100_000;
/** MiniCluster's formula begins with the power of an idle machine. */
const LEAST_TDP_WATTS = 20;

/**
 * Checks flags and the files that they name. Throws ConfigError for the first that cannot be used.
 */
export function parseRunFlags(flags: RunFlags): RunRequest {
  const workload: WorkloadOptions = {
    workload: parseChoice('--workload', flags.workload, WORKLOAD_NAMES),
    workers: parseWhole('--workers', flags.workers, 1, 256),
    lanes: parseWhole('--lanes', flags.lanes, 1, 256),
    steps: parseWhole('--steps', flags.steps, 1, MAX_STEPS),
    batchSize: parseWhole('--batch-size', flags.batchSize, 1, WORKLOAD_SAMPLES),
    learningRate: parseLearningRate(flags.learningRate),
    hiddenSize: parseWhole('--hidden-size', flags.hiddenSize, 1, 65_536),
    numLayers: parseWhole('--num-layers', flags.numLayers, 1, 65),
    seed: parseWhole('--seed', flags.seed, 0, 0xffff_ffff),
  };
  if (flags.backend !== undefined)
    parseChoice('--backend', flags.backend, ['gloo', 'nccl', 'star']);
  const { tdpWatts, baselineThroughput } = flags;
  const { output, healthCheckpointPath: healthPath, plain } = flags;
  checkOutputs([
    ['--output', output],
    ['--health-checkpoint-path', healthPath],
    ...(plain === undefined ? [] : [['--plain', plain] as const]),
  ]);
  return {
    workload,
    device: parseChoice('--device', flags.device, DEVICE_NAMES),
    tdpWatts:
      tdpWatts === undefined
        ? undefined
        : parseNumber('--tdp-watts', tdpWatts, LEAST_TDP_WATTS, 100_000),
    baselineThroughput:
      baselineThroughput === undefined ? undefined : baselineOf(baselineThroughput),
    output,
    healthPath,
    plain,
    keepsFiles: flags.keepFiles === true,
    isVerbose: flags.verbose === true,
    isJson: flags.json === true,
    notes: notesOn(workload, flags),
  };
}

function parseLearningRate(text: string): number {
  const rate = parseNumber('--learning-rate', text, 0, 1000);
  if (rate > 0) return rate;
  throw new ConfigError(`--learning-rate: expected a number above 0, got "${text}"`);
}

/** A number, or the result file of a run on one worker. */
function baselineOf(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) {
    if (value > 0) return value;
    throw new ConfigError(
      `--baseline-throughput: expected samples per second above 0, got "${text}"`,
    );
  }
  const { average_throughput_samples_per_sec: found } = readResultFile(text).payload;
  if (found > 0) return found;
  throw new ConfigError(
    `--baseline-throughput ${text}: expected a run with a throughput above 0, got ${found}`,
  );
}

function checkOutputs(outputs: readonly (readonly [flag: string, path: string])[]): void {
  const seen = new Map<string, string>();
  for (const [flag, path] of outputs) {
    checkWritable(flag, path);
    const other = seen.get(resolve(path));
    if (other !== undefined)
      throw new ConfigError(`${flag} ${path}: expected another file than that of ${other}`);
    seen.set(resolve(path), flag);
  }
}

function notesOn(workload: WorkloadOptions, { backend }: RunFlags): string[] {
  const { workers, batchSize } = workload;
  const count = batchSize / microBatchOf(batchSize);
  const notes: string[] = [];
  if (backend !== undefined && backend !== 'star')
    notes.push(
      `--backend ${backend}: sums travel through Lockstep's own engine, recorded as "star"`,
    );
  if (workers > count)
    notes.push(
      `--workers ${workers}: a step of ${batchSize} samples is ${count} ` +
        `micro-batch${count === 1 ? '' : 'es'}, so ${workers - count} of the workers will have ` +
        'nothing to compute; a larger --batch-size gives them work',
    );
  return notes;
}
