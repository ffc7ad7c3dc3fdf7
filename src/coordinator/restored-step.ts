/** The event of a step that counts and was not told of: its coordinator died before it could. */
import type { StepCommitted } from '../metrics/events.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { dataPassOf, learningRateOf, type RunPlan } from '../plan/run-plan.ts';
import type { StepAccount } from '../protocol/messages.ts';

/** The event of the step with which `step` updates were done. */
export function restoredStep(
  plan: RunPlan,
  step: number,
  { sampleCount, lossSum, correctSum }: StepAccount,
): StepCommitted {
  const epoch = Math.floor(
    (step - 1) / stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch),
  );
  const means = {
    lossMean: lossSum / sampleCount,
    ...(plan.job.task !== 'regression' && { accuracy: correctSum / sampleCount }),
  };
  return {
    kind: 'step',
    step,
    epoch: dataPassOf(plan, epoch),
    sampleCount,
    ...means,
    learningRate: learningRateOf(plan, step - 1),
    isRestored: true,
    ...{ stepMs: 0, computeMs: 0, communicateMs: 0, waitMs: 0, otherMs: 0 },
    ranks: [],
  };
}
