/** What is known of one worker, from the events alone. */
import type { ComputeParts, RankStep } from '../../metrics/events.ts';

/** Means go over about so many steps. */
const SMOOTHED_STEPS = 20;

/** How a worker is. What a word means stands beside it on the page. */
export type WorkerState =
  'starting' | 'training' | 'stalled' | 'standing-by' | 'ended' | 'lost' | 'banned';

/** One worker as plain data. */
export interface WorkerView {
  readonly rank: number;
  workerId: string;
  host: string;
  processId: number;
  device: string;
  lanes: number;
  state: WorkerState;
  /** Since when it is in that state, in milliseconds since 1970. */
  sinceMs: number;
  /** Why it is lost, stalled or banned. */
  reason: string;
  /** The last step that its work is in. */
  lastStep: number;
  /** Sums over all steps. */
  samples: number;
  microBatches: number;
  /** Running means over steps that its work is in; zero before the first. */
  readonly mean: {
    steps: number;
    samples: number;
    microBatches: number;
    computeMs: number;
    communicateMs: number;
    waitMs: number;
    /** What a micro-batch takes it. */
    microBatchMs: number;
  };
  /** Parts of the time computing, if its engine tells. */
  parts: ComputeParts | null;
}

/** A worker of which nothing is known but its rank. */
export function makeWorker(rank: number, timeMs: number): WorkerView {
  return {
    rank,
    workerId: '',
    host: '',
    processId: 0,
    device: '',
    lanes: 0,
    state: 'starting',
    sinceMs: timeMs,
    reason: '',
    lastStep: 0,
    samples: 0,
    microBatches: 0,
    mean: {
      steps: 0,
      samples: 0,
      microBatches: 0,
      computeMs: 0,
      communicateMs: 0,
      waitMs: 0,
      microBatchMs: 0,
    },
    parts: null,
  };
}

/** Puts a worker into a state, with the reason for it. */
export function setState(
  worker: WorkerView,
  state: WorkerState,
  timeMs: number,
  reason = '',
): void {
  if (worker.state !== state) worker.sinceMs = timeMs;
  worker.state = state;
  worker.reason = reason;
}

/** Adds its part in a step. */
export function addPart(worker: WorkerView, step: number, part: RankStep): void {
  const { mean } = worker;
  mean.steps++;
  const weight = 1 / Math.min(mean.steps, SMOOTHED_STEPS);
  const toward = (before: number, value: number): number => before + weight * (value - before);
  mean.samples = toward(mean.samples, part.samples);
  mean.microBatches = toward(mean.microBatches, part.microBatches);
  mean.computeMs = toward(mean.computeMs, part.computeMs);
  mean.communicateMs = toward(mean.communicateMs, part.communicateMs);
  mean.waitMs = toward(mean.waitMs, part.waitMs);
  if (part.microBatches > 0)
    mean.microBatchMs = toward(mean.microBatchMs, part.computeMs / part.microBatches);
  worker.parts = part.parts ?? null;
  worker.lastStep = step;
  worker.samples += part.samples;
  worker.microBatches += part.microBatches;
}

/** Forgets what it was measured at, since it has begun anew. */
export function forgetMeans(worker: WorkerView): void {
  for (const key of Object.keys(worker.mean) as (keyof WorkerView['mean'])[]) worker.mean[key] = 0;
  worker.parts = null;
}

/** Whether a worker is there, if not computing at the moment. */
export function isThere({ state }: WorkerView): boolean {
  return state !== 'lost' && state !== 'banned';
}
