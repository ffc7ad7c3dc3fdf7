/** `logs/rank_<r>_metrics.json`: what each rank did, in the format of the heterogeneous trainer. */
import { join } from 'node:path';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import { GrowingFile } from './run-file.ts';

/** An iteration. Phases that one compiled step cannot tell apart are null. */
interface Iteration {
  readonly epoch: number;
  readonly iteration: number;
  readonly loss: number;
  /** Samples per second. */
  readonly throughput: number;
  /** Seconds, as all times. */
  readonly iteration_time: number;
  readonly data_loading_time: null;
  readonly forward_time: null;
  readonly backward_time: null;
  readonly optimizer_time: null;
  readonly gpu_utilization: null;
  readonly gpu_memory_percent: null;
}

/** Records are written in batches of about this size. */
const FLUSH_BYTES = 16 << 10;

/** A JSON array written as it grows. */
class GrowingArray {
  readonly #file: GrowingFile;
  #buffer = '';
  #isFirst = true;
  /** Nothing is in the file yet. */
  #isEmpty = true;
  #isClosed = false;

  constructor(path: string) {
    this.#file = new GrowingFile(path, 'w');
  }

  add(record: Iteration): void {
    this.#buffer += `${this.#isFirst ? '[' : ','}\n${JSON.stringify(record)}`;
    this.#isFirst = false;
    if (this.#buffer.length > FLUSH_BYTES) this.#flush();
  }

  /** Ends the array, if need be without what does not fit any more; then it throws FILE_FAILED. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#flush();
    } finally {
      try {
        this.#file.write(this.#isEmpty ? '[]\n' : '\n]\n');
      } finally {
        this.#file.close();
      }
    }
  }

  #flush(): void {
    if (this.#buffer === '') return;
    this.#file.write(this.#buffer);
    this.#buffer = '';
    this.#isEmpty = false;
  }
}

/** The files of all ranks, each begun with the first step that its rank has a part in. */
export class RankMetrics implements EventSink {
  readonly #folder: string;
  readonly #files = new Map<number, GrowingArray>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Records a step. Throws FILE_FAILED. */
  onEvent(event: RunEvent): void {
    if (event.kind !== 'step') return;
    for (const { rank, samples } of event.ranks) {
      this.#fileOf(rank).add({
        epoch: event.epoch,
        iteration: event.step,
        loss: event.lossMean,
        throughput: (samples / event.stepMs) * 1000,
        iteration_time: event.stepMs / 1000,
        data_loading_time: null,
        forward_time: null,
        backward_time: null,
        optimizer_time: null,
        gpu_utilization: null,
        gpu_memory_percent: null,
      });
    }
  }

  /** Ends every file; then it throws the first FILE_FAILED, if there was one. */
  close(): void {
    const failures: unknown[] = [];
    for (const file of this.#files.values()) {
      try {
        file.close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #fileOf(rank: number): GrowingArray {
    const known = this.#files.get(rank);
    if (known !== undefined) return known;
    const file = new GrowingArray(join(this.#folder, `rank_${rank}_metrics.json`));
    this.#files.set(rank, file);
    return file;
  }
}
