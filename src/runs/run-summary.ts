import type { ErrorCode } from '../base/errors.ts';
import type { LateTally } from '../coordinator/late-gradients.ts';
import type { TimeSplit } from '../coordinator/steps/step-times.ts';
import type { WorkerTally } from '../coordinator/tallies.ts';
import type { Diverged, FileFailed, ForkedFrom, Ledger, RoundSizes } from '../metrics/events.ts';
import type { Job } from '../protocol/messages.ts';

/** `summary.json`: what a run was and how it ended. Absent numbers were not measured. */
export interface RunSummary {
  readonly status: 'finished' | 'interrupted' | 'failed';
  readonly reason?: string;
  /** Of a run that failed; explained in docs/errors.md. */
  readonly code?: ErrorCode;
  readonly name: string;
  readonly model: string;
  /** Of the file that `model` is the path of. */
  readonly modelSha256?: string;
  readonly dataset: string;
  /** What a sample is mapped to. The loss of a sequence is the mean over its positions, in nats. */
  readonly task: Job['task'];
  readonly seed: number;
  /** Committed updates; of a run in rounds, rounds. */
  readonly steps: number;
  /** Of a run in rounds: what each consisted of. */
  readonly rounds?: RoundSizes;
  readonly epochs: number;
  readonly workers: readonly {
    readonly rank: number;
    readonly host: string;
    readonly device: string;
    readonly lanes: number;
    readonly samples: number;
    readonly microBatches: number;
  }[];
  /** 0..1; on the official test set unless `validationAccuracy` says otherwise. */
  readonly testAccuracy?: number;
  readonly testLoss?: number;
  readonly validationAccuracy?: number;
  readonly validationLoss?: number;
  /** Mean over the last epoch's steps. */
  readonly trainLoss?: number;
  /** Present if the training has diverged: with which step, its loss, and that of the first. */
  readonly diverged?: Omit<Diverged, 'kind'>;
  readonly samplesPerSecond?: number;
  readonly wallSeconds: number;
  /** From the command to the first committed step. */
  readonly firstStepSeconds?: number;
  readonly parameters: number;
  /** SHA-256 of the compiled step: runs whose digests are to be equal begin with equal ones. */
  readonly stepDigest: string;
  /** What `model.onnx` takes, `about` in words; of a table with a header, in which columns. */
  readonly input?: {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly (number | string)[];
    readonly about: string;
    readonly columnNames?: readonly string[];
  };
  /** Of its outputs; numbers from 0 where the data have no names. */
  readonly classNames?: readonly string[];
  /** The model files are those after so many updates; `steps` when the run finished. */
  readonly modelStep?: number;
  /** The newest checkpoint is that after so many updates. */
  readonly checkpointStep?: number;
  /**
   * The run went on from the checkpoint of this step: workers, events, bytes and times are of what
   * was done since.
   */
  readonly resumedAtStep?: number;
  readonly forkedFrom?: ForkedFrom;
  /** Why there are no model files. */
  readonly noModel?: string;
  /** Of the state of a run that finished. */
  readonly weightsDigest?: string;
  readonly stateDigest?: string;
  readonly numericsClasses: readonly string[];
  readonly ledger: Ledger;
  readonly events: {
    readonly workersLost: number;
    readonly workersJoined: number;
    readonly workersStalled: number;
    readonly microBatchesReissued: number;
    readonly stepsRedone: number;
    readonly rollbacks: number;
    /** Put out because others computed other gradients. */
    readonly workersDistrusted: number;
  };
  /** Micro-batches that a second worker computed too, with the setting `audit`. */
  readonly microBatchesAudited?: number;
  /** Of a run whose steps do not wait for all gradients: its result depends on when they came. */
  readonly late?: LateTally;
  readonly bytesSent: number;
  readonly timeSplit: TimeSplit;
  /** Where the files are: what was asked for, unless it went away during the run. */
  readonly folder: string;
  /** Where the model is, when its files could not be written into `folder`. */
  readonly modelFolder?: string;
  /** Files that are not as they should be; absent when all are. */
  readonly fileFailures?: readonly Omit<FileFailed, 'kind'>[];
}

/** The workers of a summary. */
export function summariseWorkers(tallies: readonly WorkerTally[]): RunSummary['workers'] {
  return tallies.map(({ rank, host, device, lanes, samples, microBatches }) => ({
    rank,
    host,
    device,
    lanes,
    samples,
    microBatches,
  }));
}
