/**
 * How the workers of a run are, by its events: what the health file and the end of the result file
 * say of them.
 */
import type { RankStep, RunEvent, StepCommitted } from '../../metrics/events.ts';
import type { Health, WorkerSnapshot } from '../results/result.ts';
import { isoOf } from '../results/timestamp.ts';
import { perSecond } from './step-recorder.ts';

/** Times of a worker are means over about so many of its last steps. */
const SMOOTHED_STEPS = 20;
/** A slow worker is healthy again once its times are within this factor of the others'. */
const RECOVERED_FACTOR = 1.5;

/** One worker, by rank. */
interface WorkerState {
  status: WorkerSnapshot['status'];
  /** Whether it left: what it contributed before may still count, without bringing it back. */
  isGone: boolean;
  /** The step when it was last in the run. */
  step: number;
  /** Steps with its work. */
  seenSteps: number;
  /** Means, per step with its work. */
  samples: number;
  microBatches: number;
  computeMs: number;
  communicateMs: number;
  /** When something was last heard of it. */
  wallMs: number;
}

/** The workers of a run as its events make them out. */
export class RunHealth {
  readonly #runId: string;
  readonly #totalSteps: number;
  readonly #workers = new Map<number, WorkerState>();
  #completedSteps = 0;
  #loss: number | null = null;

  constructor(runId: string, totalSteps: number) {
    this.#runId = runId;
    this.#totalSteps = totalSteps;
  }

  /** Takes an event at the moment it happens. Cost: a few additions per worker. */
  add(event: RunEvent, wallMs: number): void {
    switch (event.kind) {
      case 'worker-joined':
        this.#workers.set(event.rank, newState(event.step, wallMs));
        break;
      case 'worker-lost':
      case 'worker-distrusted':
        this.#mark(event.rank, 'failed', wallMs, true);
        break;
      case 'worker-stalled':
        this.#mark(event.rank, 'failed', wallMs);
        break;
      case 'worker-slow':
        this.#mark(event.rank, 'slow', wallMs);
        break;
      case 'rolled-back':
        this.#completedSteps = event.toStep;
        break;
      case 'step':
        this.#addStep(event, wallMs);
        break;
      default:
    }
  }

  #mark(rank: number, status: WorkerSnapshot['status'], wallMs: number, isGone = false): void {
    const worker = this.#workers.get(rank);
    if (worker === undefined) return;
    worker.status = status;
    worker.isGone ||= isGone;
    worker.wallMs = wallMs;
  }

  #addStep(event: StepCommitted, wallMs: number): void {
    this.#completedSteps = event.step;
    this.#loss = Number.isFinite(event.lossMean) ? event.lossMean : null;
    for (const rank of event.ranks) this.#addRank(rank, wallMs);
    for (const [rank, worker] of this.#workers) {
      // Every worker that is in the run applies every update, whoever computed.
      if (worker.status !== 'failed') worker.step = event.step;
      if (worker.status === 'slow' && this.#isFastAgain(rank, worker)) worker.status = 'healthy';
    }
  }

  #addRank(rank: RankStep, wallMs: number): void {
    const worker = this.#workers.get(rank.rank);
    if (worker === undefined || rank.microBatches === 0) return;
    if (worker.status === 'failed' && !worker.isGone) worker.status = 'healthy';
    worker.wallMs = wallMs;
    worker.seenSteps++;
    const part = 1 / Math.min(worker.seenSteps, SMOOTHED_STEPS);
    worker.samples += part * (rank.samples - worker.samples);
    worker.microBatches += part * (rank.microBatches - worker.microBatches);
    worker.computeMs += part * (rank.computeMs - worker.computeMs);
    worker.communicateMs += part * (rank.communicateMs - worker.communicateMs);
  }

  #isFastAgain(rank: number, worker: WorkerState): boolean {
    const others = [...this.#workers].filter(
      ([other, { seenSteps }]) => other !== rank && seenSteps > 0,
    );
    if (others.length === 0 || worker.seenSteps === 0) return false;
    const isNear = (of: (state: WorkerState) => number): boolean =>
      of(worker) <= RECOVERED_FACTOR * Math.max(...others.map(([, other]) => of(other)));
    return isNear(msPerMicroBatch) && isNear(({ communicateMs }) => communicateMs);
  }

  /** The workers by rank, as they are now. */
  snapshots(): WorkerSnapshot[] {
    return [...this.#workers]
      .sort(([a], [b]) => a - b)
      .map(([rank, worker]) => ({
        worker_id: rank,
        step: worker.step,
        loss: this.#loss,
        throughput_samples_per_sec: worker.status === 'failed' ? 0 : speedOf(worker),
        allreduce_time_ms: worker.communicateMs,
        compute_time_ms: worker.computeMs,
        status: worker.status,
        timestamp: isoOf(worker.wallMs),
      }));
  }

  /** The health file at this moment. */
  file(wallMs: number, isComplete: boolean): Health {
    return {
      run_id: this.#runId,
      total_steps: this.#totalSteps,
      completed_steps: this.#completedSteps,
      workers: this.snapshots(),
      timestamp: isoOf(wallMs),
      is_complete: isComplete,
    };
  }
}

function newState(step: number, wallMs: number): WorkerState {
  const means = { seenSteps: 0, samples: 0, microBatches: 0, computeMs: 0, communicateMs: 0 };
  return { status: 'healthy', isGone: false, step, ...means, wallMs };
}

function msPerMicroBatch({ computeMs, microBatches }: WorkerState): number {
  return microBatches > 0 ? computeMs / microBatches : 0;
}

/**
 * Samples per second of the time in which it had work. Not its part of the run's throughput: work
 * is shared out by micro-batches, so a worker with one fewer than another is no slower.
 */
function speedOf({ samples, computeMs, communicateMs }: WorkerState): number {
  return perSecond(samples, computeMs + communicateMs);
}
