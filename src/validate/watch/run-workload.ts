/** `lockstep run`: one real training run of a workload, measured, as a result. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { cpus, hostname, totalmem } from 'node:os';
import { systemClock } from '../../base/clock.ts';
import type { DataPlaces } from '../../data/dataset.ts';
import type { SelfCommand } from '../../launch/local-workers.ts';
import type { RunSummary } from '../../runs/run-summary.ts';
import { runTraining, type TrainingRunOptions } from '../../launch/training-run.ts';
import type { Device } from '../../runtime/device.ts';
import { canonicalResult } from './canonical-result.ts';
import type { PowerSource } from './power-meter.ts';
import type { Result, TrainingPayload } from '../results/result.ts';
import { isoOf } from '../results/timestamp.ts';
import { RunObserver } from './run-observer.ts';
import { trainingPayload } from './training-payload.ts';
import { workloadConfig, type WorkloadOptions } from './workloads.ts';

/** What to train, where its files go, and what is measured beside it. */
export interface RunWorkloadOptions extends Pick<
  TrainingRunOptions,
  'onListening' | 'sinks' | 'onNote' | 'onPhase' | 'signal' | 'startedMs'
> {
  readonly workload: WorkloadOptions;
  readonly devices: readonly Device[];
  readonly self: SelfCommand;
  readonly places: DataPlaces;
  /** The folder in which the run's own files lie while it goes on. */
  readonly folder: string;
  /** Whether they stay there when it has ended well. */
  readonly keepsFiles: boolean;
  readonly healthPath: string;
  readonly power: PowerSource | undefined;
  readonly tdpWatts: number | undefined;
  readonly baselineThroughput: number | undefined;
}

/** How a run ended that did not fail. */
export type WorkloadOutcome =
  | {
      readonly kind: 'finished';
      readonly result: Result;
      readonly payload: TrainingPayload;
      readonly summary: RunSummary;
      /** Whether the run's own files and the health file are all as they should be. */
      readonly isRecorded: boolean;
      readonly isPowerEstimated: boolean;
    }
  | { readonly kind: 'interrupted'; readonly summary: RunSummary };

/**
 * Trains, and resolves with what was measured.
 *
 * Effect: writes the health file while it goes on. The run's own files (model, events, logs) stay
 *         only when asked for, when the run did not finish, or when one could not be written.
 * Throws: LockstepError when the run cannot start or go on.
 */
export async function runWorkload(options: RunWorkloadOptions): Promise<WorkloadOutcome> {
  const { workload, healthPath, power } = options;
  const name = `lockstep-run-${randomBytes(6).toString('hex')}`;
  let isWatched = true;
  const observer = new RunObserver({
    runId: name,
    totalSteps: workload.steps,
    healthPath,
    host: hostname(),
    power,
    clock: systemClock,
    wallNow: () => Date.now(),
    onFailed: ({ message }) => {
      isWatched = false;
      options.onNote(`the run is not watched: ${message}`);
    },
  });
  try {
    const summary = await runTraining({
      ...options,
      config: workloadConfig(workload, { outDir: options.folder }),
      name,
      sinks: [observer, ...options.sinks],
    });
    observer.finish(summary.status === 'finished');
    if (summary.status !== 'finished') return { kind: 'interrupted', summary };
    const isRecorded = isWatched && summary.fileFailures === undefined;
    if (!options.keepsFiles && isRecorded) rmSync(summary.folder, { recursive: true, force: true });
    const isPowerEstimated = options.power?.isEstimate === true;
    const { result, payload } = resultOf(options, observer, summary);
    return { kind: 'finished', summary, isRecorded, isPowerEstimated, result, payload };
  } finally {
    observer.close();
  }
}

function resultOf(
  options: RunWorkloadOptions,
  observer: RunObserver,
  summary: RunSummary,
): { result: Result; payload: TrainingPayload } {
  const { workload, tdpWatts, baselineThroughput, healthPath } = options;
  const power = observer.power?.profile();
  const { peakBytes, percent, covers } = observer.memory.use();
  const { weightsDigest, stateDigest, ledger, events, numericsClasses, firstStepSeconds } = summary;
  const payload = trainingPayload(observer.steps, {
    options: workload,
    tdpWatts,
    baselineThroughput,
    healthPath,
    snapshots: observer.health.snapshots(),
    power,
    weightsDigest,
    stateDigest,
    ledger,
    more: {
      // From the command to the first committed step: processes, data and compilation, of which
      // total_time_sec has none.
      startup_time_sec: firstStepSeconds ?? null,
      wall_time_sec: summary.wallSeconds,
      machine: { cores: cpus().length, memory_bytes: totalmem(), node_version: process.version },
      memory_metrics: { peak_resident_bytes: peakBytes, covers },
      events,
      numerics_classes: numericsClasses,
    },
  });
  const { batchSize } = workload;
  const timestamp = isoOf(Date.now());
  return {
    payload,
    result: canonicalResult(payload, { batchSize, memoryPercent: percent, power, timestamp }),
  };
}
