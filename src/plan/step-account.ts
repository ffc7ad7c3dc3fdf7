/** What a committed step comes to. */
import type { StepAccount } from '../protocol/messages.ts';

/** What a part of a step has given. */
interface StepPart {
  readonly lossSum: number | null;
  readonly correctSum: number;
}

/**
 * The account of a step of so many samples. `parts` are its micro-batches in their order: one
 * order, one result.
 */
export function accountOf(sampleCount: number, parts: readonly StepPart[]): StepAccount {
  return {
    sampleCount,
    lossSum: parts.reduce((sum, { lossSum }) => sum + (lossSum ?? 0), 0),
    correctSum: parts.reduce((sum, { correctSum }) => sum + correctSum, 0),
  };
}
