/** From contributions to reports of slow workers. */
import type { WorkerSlow } from '../metrics/events.ts';
import { type Outlier, Outliers, type Pace } from '../plan/outliers.ts';
import type { CompletedPass, CountedPart, Leaving, PassListener } from './steps/pass-listener.ts';

/** What one worker did in the step under way. */
interface Part {
  readonly workerId: string;
  microBatches: number;
  /** Of its lanes together, computing micro-batches. */
  laneMs: number;
  /** When no lane computed. */
  besidesMs: number;
  linkMs: number;
}

/** Compares the paces of workers step by step, and reports whoever is much slower for long. */
export class SlowWorkers implements PassListener {
  readonly #emit: (event: WorkerSlow) => void;
  readonly #outliers = new Outliers();
  readonly #parts = new Map<number, Part>();

  constructor(emit: (event: WorkerSlow) => void) {
    this.#emit = emit;
  }

  counted({ member, spec, contribution, turnaroundMs }: CountedPart): void {
    if (spec.work !== 'train') return;
    const { rank, workerId, hello } = member;
    const { records, busyMs } = contribution;
    const part = this.#parts.get(rank) ?? {
      workerId,
      microBatches: 0,
      laneMs: 0,
      besidesMs: 0,
      linkMs: 0,
    };
    const times = records.map(({ computeMs }) => computeMs);
    const shortestMs = Math.ceil(times.length / Math.max(1, hello.lanes)) * Math.max(0, ...times);
    part.microBatches += times.length;
    part.laneMs += times.reduce((sum, ms) => sum + ms, 0);
    part.besidesMs += Math.max(0, Math.min(busyMs, turnaroundMs) - shortestMs);
    part.linkMs += Math.max(0, turnaroundMs - busyMs);
    this.#parts.set(rank, part);
  }

  /** At every commit somebody may be reported. Those without work in the step are not judged. */
  completed({ spec, outcome }: CompletedPass): void {
    if (outcome.kind !== 'commit') return;
    const step = spec.step + 1;
    const paces = [...this.#parts].map(([rank, part]): Pace => {
      const { microBatches, laneMs, besidesMs, linkMs } = part;
      return { rank, computeMs: laneMs / Math.max(1, microBatches) + besidesMs, linkMs };
    });
    const ids = new Map([...this.#parts].map(([rank, { workerId }]) => [rank, workerId]));
    const report = (outlier: Outlier): WorkerSlow => {
      const workerId = ids.get(outlier.rank) ?? '';
      return { kind: 'worker-slow', workerId, step, ...outlier };
    };
    this.#parts.clear();
    for (const outlier of this.#outliers.step(paces)) this.#emit(report(outlier));
  }

  /** What was computed for the step under way does not count. */
  undone(): void {
    this.#parts.clear();
  }

  /** Whoever is gone is judged anew when it comes back. */
  left({ how, member: { rank } }: Leaving): void {
    if (how !== 'lost') return;
    this.#outliers.forget(rank);
    this.#parts.delete(rank);
  }
}
