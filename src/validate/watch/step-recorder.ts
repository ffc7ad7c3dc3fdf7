/** The steps of a run as they were reported, and when training began and ended. */
import type { RunEvent, StepCommitted } from '../../metrics/events.ts';
import type { ResultStep } from '../results/result.ts';

/** When training began or ended. */
export interface Moment {
  /** On the monotonic clock. */
  readonly ms: number;
  /** Milliseconds since 1970 by the clock on the wall. */
  readonly wallMs: number;
}

/** The committed steps, each once: what is undone or redone is replaced. */
export class StepRecorder {
  readonly #steps: StepCommitted[] = [];
  #began: Moment | undefined;
  #ended: Moment | undefined;

  /**
   * Takes an event at the moment it happens. Keeps steps only, and does nothing else with them
   * while the run goes on.
   */
  add(event: RunEvent, now: Moment): void {
    if (event.kind === 'rolled-back' && event.reason === 'distrusted')
      this.#steps.length = event.toStep;
    if (event.kind !== 'step') return;
    this.#began ??= { ms: now.ms - event.stepMs, wallMs: now.wallMs - event.stepMs };
    this.#ended = now;
    this.#steps[event.step - 1] = event;
  }

  get count(): number {
    return this.#steps.length;
  }

  get last(): StepCommitted | undefined {
    return this.#steps.at(-1);
  }

  /** The beginning of the first step; undefined before it is committed. */
  get began(): Moment | undefined {
    return this.#began;
  }

  /** The commit of the last step. */
  get ended(): Moment | undefined {
    return this.#ended;
  }

  get sampleCount(): number {
    return this.#steps.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
  }

  /** Step by step, as the result file has them. */
  steps(): ResultStep[] {
    return this.#steps.map(resultStepOf);
  }
}

/** A committed step in the words of the result file. */
function resultStepOf(event: StepCommitted): ResultStep {
  return {
    step: event.step - 1,
    loss: event.lossMean,
    throughput_samples_per_sec: perSecond(event.sampleCount, event.stepMs),
    allreduce_time_ms: event.communicateMs,
    compute_time_ms: event.computeMs,
    wait_time_ms: event.waitMs,
    other_time_ms: event.otherMs,
    step_time_ms: event.stepMs,
    loss_bits: bitsOf(event.lossMean),
    workers: event.ranks.map((rank) => ({
      worker_id: rank.rank,
      samples: rank.samples,
      micro_batches: rank.microBatches,
      compute_time_ms: rank.computeMs,
      allreduce_time_ms: rank.communicateMs,
      wait_time_ms: rank.waitMs,
    })),
  };
}

/** A rate; 0 where there was no time to measure. */
export function perSecond(count: number, ms: number): number {
  return ms > 0 ? (count / ms) * 1000 : 0;
}

/** The bits of a float64 as 16 hexadecimal digits, sign first. */
export function bitsOf(value: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0).toString(16).padStart(16, '0');
}
