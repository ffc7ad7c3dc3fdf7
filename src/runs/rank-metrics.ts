/** `logs/rank_<r>_metrics.json`: what each rank did, in the format of the heterogeneous trainer. */
import { renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { LockstepError } from '../base/errors.ts';
import type { RankStep, StepCommitted } from '../metrics/events.ts';
import { RecordFile } from './record-file.ts';
import { fileError } from './run-file.ts';

/**
 * An iteration of a rank. Forward and backward are one graph: forward is what evaluating so many
 * samples took last, backward the rest; both are null before the first evaluation. Null as well is
 * what the rank's engine does not tell.
 */
interface Iteration {
  readonly epoch: number;
  readonly iteration: number;
  readonly loss: number;
  /** Samples per second. */
  readonly throughput: number;
  /** Seconds, as all times. */
  readonly iteration_time: number;
  readonly data_loading_time: number | null;
  readonly forward_time: number | null;
  readonly backward_time: number | null;
  readonly optimizer_time: number | null;
  readonly gpu_utilization: null;
  readonly gpu_memory_percent: null;
}

/** A JSON array that grows beside its place, and is put there once it is whole. */
class GrowingArray {
  #path: string;
  readonly #records: RecordFile;
  #isEmpty = true;
  #failure: LockstepError | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#records = new RecordFile(partialOf(path), 'w');
  }

  get failure(): LockstepError | undefined {
    return this.#failure ?? this.#records.failure;
  }

  get missingCount(): number {
    return this.#records.missingCount;
  }

  get isInPlace(): boolean {
    return this.#records.isInPlace;
  }

  add(record: Iteration, nowMs: number): void {
    this.#records.add(`${this.#isEmpty ? '[' : ','}\n${JSON.stringify(record)}`, nowMs);
    this.#isEmpty = false;
  }

  moveTo(folder: string): void {
    const path = join(folder, basename(this.#path));
    this.#records.moveTo(partialOf(path));
    this.#path = path;
  }

  /** Ends the array, if need be without what does not fit any more. */
  close(nowMs: number): void {
    this.#records.flush(nowMs);
    if (!this.#records.end(this.#records.isEmpty ? '[]\n' : '\n]\n')) return;
    try {
      renameSync(partialOf(this.#path), this.#path);
    } catch (error) {
      this.#failure = fileError(this.#path, error);
    }
  }
}

function partialOf(path: string): string {
  return `${path}.partial`;
}

/** The files of all ranks, each begun with the first step that its rank has a part in. */
export class RankMetrics {
  #folder: string;
  readonly #files = new Map<number, GrowingArray>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Why what is newest of a rank could not be written; undefined when nothing is missing. */
  get failure(): LockstepError | undefined {
    for (const { failure } of this.#files.values()) if (failure !== undefined) return failure;
    return undefined;
  }

  /** Records of all ranks that are in no file. */
  get missingCount(): number {
    return [...this.#files.values()].reduce((sum, { missingCount }) => sum + missingCount, 0);
  }

  get isInPlace(): boolean {
    return [...this.#files.values()].every(({ isInPlace }) => isInPlace);
  }

  /** Records a step. */
  add(event: StepCommitted, nowMs: number): void {
    for (const part of event.ranks) this.#fileOf(part.rank).add(iterationOf(event, part), nowMs);
  }

  /** Goes on in another folder, with everything that was written. Throws FILE_FAILED. */
  moveTo(folder: string): void {
    this.#folder = folder;
    for (const file of this.#files.values()) file.moveTo(folder);
  }

  /** Ends every file. */
  close(nowMs: number): void {
    for (const file of this.#files.values()) file.close(nowMs);
  }

  #fileOf(rank: number): GrowingArray {
    const known = this.#files.get(rank);
    if (known !== undefined) return known;
    const file = new GrowingArray(join(this.#folder, `rank_${rank}_metrics.json`));
    this.#files.set(rank, file);
    return file;
  }
}

function iterationOf(
  { epoch, step, lossMean, stepMs }: StepCommitted,
  { samples, parts }: RankStep,
): Iteration {
  const { dataMs, graphMs, forwardMs, updateMs } = parts ?? {};
  const backwardMs = forwardMs === undefined ? undefined : (graphMs ?? 0) - forwardMs;
  return {
    epoch,
    iteration: step,
    loss: lossMean,
    throughput: (samples / stepMs) * 1000,
    iteration_time: stepMs / 1000,
    data_loading_time: secondsOf(dataMs),
    forward_time: secondsOf(forwardMs),
    backward_time: secondsOf(backwardMs),
    optimizer_time: secondsOf(updateMs),
    gpu_utilization: null,
    gpu_memory_percent: null,
  };
}

function secondsOf(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms * 1000) / 1e6;
}
