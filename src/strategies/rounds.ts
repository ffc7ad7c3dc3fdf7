/**
 * Workers train on shards of the samples by themselves, and their weights are averaged: a step of
 * the run is a round, a part of it a shard. The optimizer that the user asked for is that of the
 * shards; the update of a round is `AVERAGING`.
 */
import type { TrainConfig } from '../config/train-config.ts';
import { localStepCount, roundAsStep, type RoundLayout, shardCount } from '../data/shards.ts';
import { learningRateAt } from '../optim/schedule.ts';
import { AVERAGING, AVERAGING_SCHEDULE } from './averaging.ts';
import { RoundsEngine } from './rounds-engine.ts';
import type { RoundsSpec } from './rounds-spec.ts';
import type { Strategy, StrategyPlan, StrategyRequest } from './strategy.ts';

/** The strategy `rounds`. */
export const ROUNDS: Strategy = {
  plan(request) {
    const { config, sampleCount } = request;
    const { microBatch, globalBatch, shards, localEpochs } = config;
    const layout: RoundLayout = { sampleCount, microBatch, globalBatch, shards, localEpochs };
    const made = shardCount(layout);
    const notes = made === shards ? [] : [fewerShards(config, sampleCount, made)];
    return {
      ...planRounds(request, layout, { kind: 'rounds', totalSteps: roundsOf(config) }),
      update: { optimizer: AVERAGING, schedule: AVERAGING_SCHEDULE },
      notes,
    };
  },
  // The weights of the run, what a shard changed, its rounded sum, and the sum on its way.
  extraRegions: 4,
  createEngine: async (options) => RoundsEngine.create(options),
};

/** What all strategies in rounds have in common: a round is a step, and a shard a part of it. */
export function planRounds(
  { config: { compress, topKPart }, schedule }: StrategyRequest,
  layout: RoundLayout,
  { kind, totalSteps }: { readonly kind: RoundsSpec['kind']; readonly totalSteps: number },
): Omit<StrategyPlan, 'spec' | 'update' | 'notes'> & { readonly spec: RoundsSpec } {
  const { shards, localEpochs } = layout;
  const rates = Array.from({ length: totalSteps }, (_, round) =>
    learningRateAt(schedule, round + 1, totalSteps),
  );
  const isPacked = compress !== 'none';
  const isPart = compress === 'topk';
  return {
    spec: {
      ...{ kind, shards, localEpochs, rates: withoutTail(rates) },
      ...(isPacked && { compress }),
      ...(isPart && { topKPart }),
    },
    stepBatch: layout.globalBatch,
    totalSteps,
    train: roundAsStep(layout),
    passesPerEpoch: localEpochs,
    ...(isPacked && { packsSums: true }),
    ...(isPart && { remembered: 1 }),
    units: { step: 'round', part: 'shard', lanesPerPart: 'all' },
    rounds: { shards: shardCount(layout), localEpochs, localSteps: localStepCount(layout, 0, 0) },
  };
}

/** Rounds that a configuration asks for. */
function roundsOf({ rounds, epochs, localEpochs }: TrainConfig): number {
  return rounds ?? Math.ceil(epochs / localEpochs);
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
