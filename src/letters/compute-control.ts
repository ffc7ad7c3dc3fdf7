/** What a compute node and its thread tell each other. */
import type { Rows } from './numeric/two-layer-network.ts';
import type { FileResult, FileTask } from './numeric/train-file.ts';

/** What the thread is sent. */
export interface ThreadRequest {
  readonly number: number;
  readonly rows: Rows;
  readonly task: FileTask;
}

/** What it answers: a result, or none because it was cancelled, or an error. */
export interface ThreadAnswer {
  readonly result?: FileResult | undefined;
  readonly error?: string;
}

/** Words of the memory that both share. */
export const CONTROL = {
  /** The request that is to be given up. */
  cancelled: 0,
  /** Epochs begun so far. */
  epochs: 1,
  words: 2,
} as const;
