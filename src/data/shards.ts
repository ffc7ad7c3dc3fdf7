/**
 * Which samples make which shard of a round, when workers train on shards by themselves and their
 * results are averaged: pure arithmetic, the same for everyone, whoever computes.
 *
 * A local epoch is an epoch like any other: a permutation of the samples, cut into steps. Shard k
 * has adjacent steps of it, in every local epoch of the round the same ones of another permutation.
 * So every sample is in one shard of each epoch; one shard alone has the steps of plain training.
 */
import { type EpochLayout, stepsPerEpoch } from './batches.ts';

/** How rounds are cut; `globalBatch` counts the samples of one local step. */
export interface RoundLayout extends EpochLayout {
  /** Shards asked for; see `shardCount`. */
  readonly shards: number;
  /** Passes over the samples in every round. */
  readonly localEpochs: number;
}

/** One update of a shard: a step of an epoch. */
export interface LocalStep {
  readonly epoch: number;
  readonly stepInEpoch: number;
}

/** Steps that a shard has of each epoch; the last one may have fewer. */
function stepsPerShard(layout: RoundLayout): number {
  return Math.ceil(stepsPerEpoch(layout.sampleCount, layout.globalBatch) / layout.shards);
}

/** Shards that have any samples: fewer than asked for when the steps of an epoch do not suffice. */
export function shardCount(layout: RoundLayout): number {
  return Math.ceil(stepsPerEpoch(layout.sampleCount, layout.globalBatch) / stepsPerShard(layout));
}

/**
 * The round as one step whose micro-batches are the shards; a sample counts once per local epoch.
 */
export function roundAsStep(layout: RoundLayout): EpochLayout {
  const { sampleCount, globalBatch, localEpochs } = layout;
  const microBatch = stepsPerShard(layout) * globalBatch * localEpochs;
  return {
    sampleCount: sampleCount * localEpochs,
    globalBatch: microBatch * shardCount(layout),
    microBatch,
  };
}

/** Updates that shard `shard` makes in one round. */
export function localStepCount(layout: RoundLayout, shard: number): number {
  return layout.localEpochs * stepsOfShard(layout, shard);
}

/** Update `index` of a shard in a round; all three count from 0. */
export function localStepAt(
  layout: RoundLayout,
  round: number,
  shard: number,
  index: number,
): LocalStep {
  const steps = stepsOfShard(layout, shard);
  return {
    epoch: round * layout.localEpochs + Math.floor(index / steps),
    stepInEpoch: shard * stepsPerShard(layout) + (index % steps),
  };
}

function stepsOfShard(layout: RoundLayout, shard: number): number {
  const perShard = stepsPerShard(layout);
  const steps = stepsPerEpoch(layout.sampleCount, layout.globalBatch);
  return Math.max(0, Math.min(perShard, steps - shard * perShard));
}
