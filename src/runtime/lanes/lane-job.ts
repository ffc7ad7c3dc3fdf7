import type { Dataset } from '../../data/dataset.ts';
import type { EncodedGraph } from '../../graph/file/encode.ts';
import { Arena, type RegionRequest } from '../../kernels/arena.ts';
import { type ArenaLayout, makeArenaLayout } from '../../kernels/layout.ts';
import type { OptimizerSpec } from '../../optim/spec.ts';
import type { Commit, Grant, Job, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import { stateBytesOf } from '../../state/state-layout.ts';
import type { Device } from '../device.ts';
import type { EngineAttempt, GroupSeat } from '../engine.ts';

/** What a lane thread is started with; posted, so plain data over shared memory. */
export interface LaneStart {
  readonly lane: number;
  readonly laneCount: number;
  /** How many times slower than it could be the lane computes; 1 if absent. */
  readonly throttle?: number;
  readonly device: Device;
  readonly job: Job;
  readonly optimizer: OptimizerSpec;
  readonly trainModel: EncodedGraph;
  readonly evaluateModel: EncodedGraph;
  readonly train: Dataset;
  readonly evaluate: Dataset;
  readonly sharedMemory: WebAssembly.Memory;
  readonly control: Int32Array<SharedArrayBuffer>;
  readonly microBatchCapacity: number;
  /** One squared norm per block. */
  readonly blockSums: Float64Array<SharedArrayBuffer>;
  /** What each lane tells the others of an attempt at a granted step (lane-notes.ts). */
  readonly notes: Uint8Array<SharedArrayBuffer>;
  /** Loss sum and correct sum of each of its micro-batches. */
  readonly losses: Float32Array<SharedArrayBuffer>;
  /** Plain data for the hooks of a lane program other than the ordinary one. */
  readonly extra?: unknown;
}

/** What the pool tells its lanes; all lanes get the same. */
export type LaneCommand =
  | { readonly kind: 'pass'; readonly plan: Plan }
  /** More leases for the pass that was last begun. */
  | { readonly kind: 'resume' }
  /** Compute for comparison only; the lanes take them in turn. */
  | { readonly kind: 'audit'; readonly plan: Plan; readonly microBatches: readonly number[] }
  | { readonly kind: 'apply'; readonly commit: Commit; readonly source: 'own' | 'received' }
  /** Compute and commit granted steps until they are done, or `era` is over. */
  | {
      readonly kind: 'follow';
      readonly grant: Grant;
      readonly seat?: GroupSeat;
      readonly era: number;
    }
  | { readonly kind: 'import' }
  | { readonly kind: 'export' }
  | { readonly kind: 'probe' }
  | { readonly kind: 'exit' };

/** What a lane tells besides its answers: attempts at granted steps, in order. */
export interface LaneNews {
  readonly kind: 'attempted';
  readonly era: number;
  readonly attempts: readonly EngineAttempt[];
}

/** What a lane answers, once per command. */
export type LaneAnswer =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'computed'; readonly records: readonly MicroBatchRecord[] }
  | { readonly kind: 'applied'; readonly norms: readonly number[] }
  | { readonly kind: 'done' }
  | { readonly kind: 'probed'; readonly numericsClass: string; readonly trialMs: number }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string };

/** Where the parameters of a job lie in a region of an arena. */
export function layoutOf(job: Job): ArenaLayout {
  return makeArenaLayout(job.parameters);
}

/**
 * The memory that all threads of a worker share: gradient sums per lane, their total, totals
 * received from the cluster, and the whole state, unpadded, when it is handed over. Pages that are
 * never touched cost nothing.
 */
export function makeSharedArena(
  job: Job,
  optimizer: OptimizerSpec,
  laneCount: number,
  memory?: WebAssembly.Memory,
): Arena {
  const byteLength = 4 * layoutOf(job).paddedLength;
  // One lane has nobody to exchange weights and sums with.
  const sums =
    laneCount === 1 ? [] : Array.from({ length: laneCount }, (_, lane) => sumRegion(lane));
  const names = ['gathered', 'received', ...(laneCount === 1 ? [] : ['weights']), ...sums];
  const requests: RegionRequest[] = [
    ...names.map((name) => ({ name, byteLength })),
    { name: 'state', byteLength: stateBytesOf(job.parameters, optimizer) },
  ];
  return new Arena(requests, memory === undefined ? { shared: true } : { shared: true, memory });
}

/** The region of the shared arena that holds the gradient sum of a lane. */
export function sumRegion(lane: number): string {
  return `sum.${lane}`;
}
