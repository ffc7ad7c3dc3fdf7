import type { LockstepError } from '../base/errors.ts';
import type { CommonMemory } from '../collectives/collective.ts';
import type { Piece, PieceRequest } from '../data/parcels/piece.ts';
import type {
  Commit,
  Grant,
  Job,
  MicroBatchRecord,
  Plan,
  ReceivedData,
} from '../protocol/messages.ts';

/** What the engine did in an attempt at a granted step. */
export interface EngineAttempt {
  readonly pass: number;
  readonly records: readonly MicroBatchRecord[];
  /** To the end of its update; in a group from the sum before until it is computed. */
  readonly busyMs: number;
  /** To the end of its update, since the attempt before it ended. */
  readonly elapsedMs: number;
  /** What its update took. */
  readonly updateMs: number;
  /** The gradient norm per tensor; empty unless the attempt counts and the job tracks them. */
  readonly norms: readonly number[];
  /** Absent where the worker is alone. */
  readonly ofGroup?: {
    /** What all workers told each other (plan/attempt-note.ts), in the order of their places. */
    readonly notes: Uint8Array;
    readonly addingMs: number;
    /** Of that, until the others' sums were there. */
    readonly waitPeersMs: number;
  };
}

/** Where an engine adds up granted steps with those of the other workers of a group. */
export interface GroupSeat {
  readonly generation: number;
  readonly common: CommonMemory;
  /** This worker's place in the group. */
  readonly place: number;
  /** Bytes of a sum, and of one worker's note behind it. */
  readonly sumBytes: number;
  readonly noteBytes: number;
}

/** What an engine tells its worker. */
export interface EngineHandlers {
  /**
   * All micro-batches given so far for `pass` are done. `records` and `sum`, the int32 sum of their
   * gradients, are those since the last call; the sum is empty for an evaluation or when the pass
   * is reduced alone, and stays unchanged until more is computed.
   */
  onDone(pass: number, records: readonly MicroBatchRecord[], sum: Uint8Array): void;
  /** Granted steps were attempted, in this order, and committed if they count. */
  onAttempted(attempts: readonly EngineAttempt[]): void;
  /** The engine cannot go on. */
  onFailed(error: LockstepError): void;
}

/** What is known once an engine is ready. */
export interface EngineProfile {
  /** SHA-256 of the data that it trains on. */
  readonly dataDigest: string;
  /** Hash of the gradient of one fixed micro-batch. */
  readonly numericsClass: string;
  /** What one micro-batch took that was tried; absent where a part of a step is more than one. */
  readonly trialMs?: number;
  /** About how fast the machine should be, where the job wants that measured (`computeScore`). */
  readonly computeScore?: number;
  /** Present when the data came from the coordinator. */
  readonly received?: ReceivedData;
}

/** The data of a job as the coordinator gives them to a worker that lacks them. */
export interface DataSupply {
  /** What there is; interpreted by `data/`. */
  readonly offer: Readonly<Record<string, unknown>>;
  /** Asks for a piece; calls back once, in the order of asking. */
  ask(
    request: PieceRequest,
    answer: (piece: Piece) => void,
    failed: (error: LockstepError) => void,
  ): void;
}

/**
 * The computing half of a worker. It does what it is told in the order in which it is told, and
 * calls back in that order. `begin`, `apply` and `importState` void the pass before them, and the
 * granted steps that are not done: no micro-batch of it is started any more.
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
  /**
   * Computes and commits granted steps by itself; after the grants before it, if it goes on where
   * they end. Each attempt is told behind the work. At the start of what is granted to a group
   * `seat` says where it adds up: it does so until the group is halted, or something else begun.
   */
  follow(grant: Grant, seat?: GroupSeat): void;
  /**
   * Ends granted steps of a group, in the middle of one if need be. Calls back once all that it did
   * of them is told, and it looks at the memory of the group no more; at once if it does not.
   */
  halt(generation: number, done: () => void): void;
  /** Takes over a whole state (unpadded float32); `bytes` must stay unchanged until `done`. */
  importState(bytes: Uint8Array, done: () => void): void;
  /** Gives the whole state; the bytes stay until the next export or digest of a later one. */
  exportState(done: (bytes: Uint8Array) => void): void;
  /** Gives the digests of the state as it is when what was begun before is done; perhaps later. */
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

/**
 * Makes the engine for a job: loads data, compiles, measures. Fails with a LockstepError. Without
 * `supply` the data must be here.
 */
export type EngineFactory = (
  job: Job,
  files: { train: Uint8Array; evaluate: Uint8Array },
  handlers: EngineHandlers,
  supply?: DataSupply,
) => PendingEngine;

/** An engine that is being made; `whenReady` answers once, with the engine or the error. */
interface PendingEngine {
  whenReady(
    ready: (engine: Engine, profile: EngineProfile) => void,
    failed: (error: LockstepError) => void,
  ): void;
}
