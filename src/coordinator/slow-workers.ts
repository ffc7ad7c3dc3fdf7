/** From contributions to reports of slow workers. */
import type { WorkerSlow } from '../metrics/events.ts';
import { type Outlier, Outliers, type Pace } from '../plan/outliers.ts';
import type { Contribution } from '../protocol/messages.ts';
import type { Member } from './member.ts';

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

export class SlowWorkers {
  readonly #outliers = new Outliers();
  readonly #parts = new Map<number, Part>();

  /**
   * A contribution to the step under way was counted; `turnaroundMs` since it was given the work.
   */
  contribution(
    { rank, workerId, hello }: Pick<Member, 'rank' | 'workerId' | 'hello'>,
    { records, busyMs }: Pick<Contribution, 'records' | 'busyMs'>,
    turnaroundMs: number,
  ): void {
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

  /** Step `step` is committed: who is to be reported. Those without work in it are not judged. */
  committed(step: number): WorkerSlow[] {
    const paces = [...this.#parts].map(([rank, part]): Pace => {
      const { microBatches, laneMs, besidesMs, linkMs } = part;
      return { rank, computeMs: laneMs / Math.max(1, microBatches) + besidesMs, linkMs };
    });
    const ids = new Map([...this.#parts].map(([rank, { workerId }]) => [rank, workerId]));
    const report = (outlier: Outlier): WorkerSlow => {
      const workerId = ids.get(outlier.rank) ?? '';
      return { kind: 'worker-slow', workerId, step, ...outlier };
    };
    this.skip();
    return this.#outliers.step(paces).map(report);
  }

  /** What was computed for the step under way does not count. */
  skip(): void {
    this.#parts.clear();
  }

  forget(rank: number): void {
    this.#outliers.forget(rank);
    this.#parts.delete(rank);
  }
}
