/**
 * Which samples make which shard of a round, when workers train on shards by themselves and their
 * results are averaged: pure arithmetic, the same for everyone, whoever computes.
 *
 * A local epoch is an epoch like any other: a permutation of the samples, cut into steps. Shard k
 * has adjacent steps of it, in every local epoch of the round the same ones of another permutation.
 * So every sample is in one shard of each epoch; one shard alone has the steps of plain training.
 * An epoch may hold several rounds, one behind the other: round r of it has the next shards.
 */
import { type EpochLayout, stepsPerEpoch } from './batches.ts';

/** How rounds are cut; `globalBatch` counts the samples of one local step. */
export interface RoundLayout extends EpochLayout {
  /** Shards asked for; see `shardCount`. */
  readonly shards: number;
  /** Passes over the samples in every round; 1 where an epoch holds several rounds. */
  readonly localEpochs: number;
  /** Rounds that an epoch is divided into, as evenly as can be; 1 if absent. */
  readonly roundsPerEpoch?: number;
}

/** One update of a shard: a step of an epoch. */
export interface LocalStep {
  readonly epoch: number;
  readonly stepInEpoch: number;
}

/** Steps that a shard has of each epoch; the last one may have fewer. */
function stepsPerShard(layout: RoundLayout): number {
  const { shards, roundsPerEpoch = 1 } = layout;
  return Math.ceil(stepsOfEpoch(layout) / (shards * roundsPerEpoch));
}

function stepsOfEpoch({ sampleCount, globalBatch }: RoundLayout): number {
  return stepsPerEpoch(sampleCount, globalBatch);
}

/**
 * Shards of a round that have any samples: fewer than asked for when the steps of an epoch do not
 * suffice. The last round of an epoch may have fewer still.
 */
export function shardCount(layout: RoundLayout): number {
  return Math.min(layout.shards, Math.ceil(stepsOfEpoch(layout) / stepsPerShard(layout)));
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

/** Updates that shard `shard` makes in round `round`. */
export function localStepCount(layout: RoundLayout, round: number, shard: number): number {
  return layout.localEpochs * stepsOfShard(layout, round, shard);
}

/** Update `index` of a shard in a round; all three count from 0. */
export function localStepAt(
  layout: RoundLayout,
  round: number,
  shard: number,
  index: number,
): LocalStep {
  const { localEpochs } = layout;
  const steps = stepsOfShard(layout, round, shard);
  return {
    epoch: Math.floor(round / roundsOfEpoch(layout)) * localEpochs + Math.floor(index / steps),
    stepInEpoch: firstStepOf(layout, round, shard) + (index % steps),
  };
}

/** Rounds that hold an epoch: those of `roundAsStep`. */
function roundsOfEpoch(layout: RoundLayout): number {
  return Math.ceil(stepsOfEpoch(layout) / (stepsPerShard(layout) * shardCount(layout)));
}

/** Where a shard begins in its epoch. */
function firstStepOf(layout: RoundLayout, round: number, shard: number): number {
  const roundInEpoch = round % roundsOfEpoch(layout);
  return (roundInEpoch * shardCount(layout) + shard) * stepsPerShard(layout);
}

function stepsOfShard(layout: RoundLayout, round: number, shard: number): number {
  const left = stepsOfEpoch(layout) - firstStepOf(layout, round, shard);
  return Math.max(0, Math.min(stepsPerShard(layout), left));
}
