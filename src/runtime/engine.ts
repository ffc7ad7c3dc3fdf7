import type { LockstepError } from '../base/errors.ts';
import type { Commit, Job, MicroBatchRecord, Plan } from '../protocol/messages.ts';

/** What an engine tells its worker. */
export interface EngineHandlers {
  /**
   * All micro-batches given so far for `pass` are done. `records` and `sum`, the int32 sum of their
   * gradients, are those since the last call; the sum is empty for an evaluation or when the pass
   * is reduced alone, and stays unchanged until more is computed.
   */
  onDone(pass: number, records: readonly MicroBatchRecord[], sum: Uint8Array): void;
  /** The engine cannot go on. */
  onFailed(error: LockstepError): void;
}

/** What is known once an engine is ready. */
export interface EngineProfile {
  /** SHA-256 of the data that it trains on. */
  readonly dataDigest: string;
  /** Hash of the gradient of one fixed micro-batch. */
  readonly numericsClass: string;
}

/**
 * The computing half of a worker. It does what it is told in the order in which it is told, and
 * calls back in that order. `begin`, `apply` and `importState` void the pass before them: no
 * micro-batch of it is started any more.
 *
 * Real bodies run lanes of ONNX Runtime; the simulation has one of its own.
 */
export interface Engine {
  /** Starts a pass and voids the one before. Gradient sums start from zero. */
  begin(plan: Plan): void;
  /**
   * More micro-batches for the pass that was begun, or none: then only that the last sum is not
   * needed any more. To be called once a sum is on its way, since what was extended meanwhile is
   * not computed before.
   */
  extend(microBatches: readonly number[]): void;
  /** Gives back up to `count` micro-batches of the pass that are not started. */
  release(count: number): number[];
  /**
   * Computes micro-batches of the pass that was begun for comparison only, in no sum. Calls back
   * with their records, or not at all if the pass is void by then.
   */
  audit(
    microBatches: readonly number[],
    done: (records: readonly MicroBatchRecord[]) => void,
  ): void;
  /**
   * Applies an update to the state. `totals` [sum length] int32 as bytes, or undefined: the
   * engine's own sum of the pass is the total. Calls back with the gradient norm per tensor (empty
   * unless the job tracks them).
   */
  apply(
    commit: Commit,
    totals: Uint8Array | undefined,
    done: (norms: readonly number[]) => void,
  ): void;
  /** Takes over a whole state (unpadded float32); `bytes` must stay unchanged until `done`. */
  importState(bytes: Uint8Array, done: () => void): void;
  /** Gives the whole state; the bytes stay unchanged until the next export or digest. */
  exportState(done: (bytes: Uint8Array) => void): void;
  digest(done: (weightsDigest: string, stateDigest: string) => void): void;
  /**
   * Memory that the next totals may be received into; undefined while an update is applied from it.
   */
  totalsTarget(): Uint8Array | undefined;
  /**
   * Memory that a whole state may be received into for
   * `importState`; undefined while the last one is used.
   */
  stateTarget(): Uint8Array | undefined;
  close(): void;
}

/** Makes the engine for a job: loads data, compiles, measures. Fails with a LockstepError. */
export type EngineFactory = (
  job: Job,
  files: { train: Uint8Array; evaluate: Uint8Array },
  handlers: EngineHandlers,
) => PendingEngine;

/** An engine that is being made; `whenReady` answers once, with the engine or the error. */
interface PendingEngine {
  whenReady(
    ready: (engine: Engine, profile: EngineProfile) => void,
    failed: (error: LockstepError) => void,
  ): void;
}
