/** Events of a run as dashboards are told them. */
import type { RunEvent, StepCommitted } from '../src/metrics/events.ts';

type Joined = Extract<RunEvent, { kind: 'worker-joined' }>;

/** Rank 0 has joined. */
export const JOINED: Joined = {
  ...{ kind: 'worker-joined', rank: 0, workerId: 'w0', host: 'desk', processId: 11 },
  ...{ device: 'cpu', lanes: 1, numericsClass: 'n', step: 0, stateFrom: 'coordinator' },
};

/** Another worker has joined. */
export function joined(rank: number, changes: Partial<Joined> = {}): Joined {
  return { ...JOINED, rank, workerId: `w${rank}`, processId: 11 + rank, ...changes };
}

/** A step of three workers, each with what is given for its rank, in milliseconds. */
export function stepOf(
  step: number,
  computeMs: readonly number[] = [80, 80, 80],
  changes: Partial<StepCommitted> = {},
): StepCommitted {
  const stepMs = Math.max(...computeMs) + 20;
  return {
    ...{ kind: 'step', step, epoch: 0, sampleCount: 96, lossMean: 2 / (1 + step / 50) },
    ...{ accuracy: 0.5, learningRate: 0.1, stepMs },
    ...{ computeMs: 80, communicateMs: 10, waitMs: 5, otherMs: 5 },
    ranks: computeMs.map((ms, rank) => ({
      ...{ rank, samples: 32, microBatches: 4, computeMs: ms, communicateMs: 10 },
      waitMs: stepMs - ms - 10,
    })),
    ...changes,
  };
}
