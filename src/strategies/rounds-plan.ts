/** What a run in rounds plans otherwise than one that computes every step together. */
import type { TrainConfig } from '../config/train-config.ts';
import type { RunPlan } from '../coordinator/run-plan.ts';
import { localStepCount, roundAsStep, type RoundLayout, shardCount } from '../data/shards.ts';
import type { RoundSizes } from '../metrics/events.ts';
import type { Job } from '../protocol/messages.ts';
import { AVERAGING_SCALARS } from './averaging.ts';

/**
 * The part of a plan that rounds decide; the workers' optimizer is the job's, that of the plan is
 * `AVERAGING`.
 */
export interface RoundsPlan extends Pick<RunPlan, 'train' | 'scalarsOf'> {
  readonly job: Required<Pick<Job, 'rounds'>>;
  readonly sizes: RoundSizes;
  /** What the user should know. */
  readonly notes: readonly string[];
}

/** Rounds that a configuration asks for. */
export function roundsOf({ rounds, epochs, localEpochs }: TrainConfig): number {
  return rounds ?? Math.ceil(epochs / localEpochs);
}

/** Plans the rounds of a run; `rateOf` gives the learning rate of each, from 0. */
export function planRounds(
  config: TrainConfig,
  sampleCount: number,
  rateOf: (round: number) => number,
): RoundsPlan {
  const { microBatch, globalBatch, shards, localEpochs } = config;
  const layout: RoundLayout = { sampleCount, microBatch, globalBatch, shards, localEpochs };
  const sizes = { shards: shardCount(layout), localEpochs, localSteps: localStepCount(layout, 0) };
  const rates = Array.from({ length: roundsOf(config) }, (_, round) => rateOf(round));
  return {
    job: { rounds: { shards, localEpochs, rates: withoutTail(rates) } },
    train: roundAsStep(layout),
    scalarsOf: () => ({ ...AVERAGING_SCALARS }),
    sizes,
    notes: sizes.shards === shards ? [] : [fewerShards(config, sampleCount, sizes.shards)],
  };
}

/** The last number stands for all that follow, so repetitions at the end can go. */
function withoutTail(values: readonly number[]): number[] {
  const last = values.at(-1);
  const end = values.findLastIndex((value) => value !== last);
  return values.slice(0, end + 2);
}

function fewerShards(
  { shards, globalBatch }: TrainConfig,
  sampleCount: number,
  made: number,
): string {
  const steps = Math.ceil(sampleCount / globalBatch);
  return (
    `shards: ${steps} steps of ${globalBatch} samples make ${made} ` +
    `shard${made === 1 ? '' : 's'}, not ${shards}; a smaller --global-batch makes more steps`
  );
}
