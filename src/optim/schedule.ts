/** Learning-rate schedules as data. Updates are counted from 1, as everywhere in optim/. */
import { invariant } from '../base/errors.ts';
import { integerPower } from './scalars.ts';

interface Base {
  /** Highest learning rate, above 0. */
  readonly learningRate: number;
  /**
   * Updates during which the rate rises in equal parts: learningRate * step / warmupSteps. 0: none.
   */
  readonly warmupSteps: number;
}

/** Stays as it is after the warm-up. */
export interface ConstantSchedule extends Base {
  readonly kind: 'constant';
}

/** Half a cosine, from the warm-up to the end of training. Source: torch CosineAnnealingLR. */
interface CosineSchedule extends Base {
  readonly kind: 'cosine';
  /** The rate after the last update; 0 <= minimum <= learningRate. */
  readonly minimum: number;
}

/**
 * Falls by `gamma` every `everySteps` updates, from the start of training. Source: torch StepLR.
 */
interface StepSchedule extends Base {
  readonly kind: 'step';
  /** 0 < gamma <= 1. */
  readonly gamma: number;
  /** Updates between two falls; for N epochs N times the steps of an epoch. */
  readonly everySteps: number;
}

/** A schedule with its numbers. */
export type ScheduleSpec = ConstantSchedule | CosineSchedule | StepSchedule;
/** The name of a schedule. */
export type ScheduleName = ScheduleSpec['kind'];

/** The names that `--schedule` takes, in the order in which they are listed. */
export const SCHEDULE_NAMES = [
  'constant',
  'cosine',
  'step',
] as const satisfies readonly ScheduleName[];

/**
 * The learning rate of update `step` (the first is 1) of `totalSteps`; beyond the end it stays as
 * it ended. Compute it once and send it: cosines may differ between engines in their last bit.
 */
export function learningRateAt(schedule: ScheduleSpec, step: number, totalSteps: number): number {
  invariant(
    Number.isSafeInteger(step) && step >= 1,
    `learning rate: steps count from 1, got ${step}`,
  );
  const { learningRate, warmupSteps } = schedule;
  const warmth = step < warmupSteps ? step / warmupSteps : 1;
  switch (schedule.kind) {
    case 'constant':
      return learningRate * warmth;
    case 'cosine': {
      if (step <= warmupSteps) return learningRate * warmth;
      const span = Math.max(1, totalSteps - warmupSteps);
      const progress = Math.min(1, (step - 1 - warmupSteps) / span);
      const { minimum } = schedule;
      return minimum + ((learningRate - minimum) * (1 + Math.cos(Math.PI * progress))) / 2;
    }
    case 'step': {
      const falls = Math.floor((step - 1) / schedule.everySteps);
      return learningRate * warmth * integerPower(schedule.gamma, falls);
    }
    default:
      return schedule satisfies never;
  }
}
