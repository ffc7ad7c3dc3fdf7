/**
 * Replicas of the model make some steps apart, each on its part of every global batch; then what
 * they changed is the gradient of one update that all take together (outer-update.ts). A replica is
 * logical: whoever is there trains it, so that the result does not depend on the number of workers.
 *
 * It is `rounds` with several rounds to an epoch: with K replicas and H steps a round has K shards
 * of H steps of globalBatch / K samples, as many samples as H steps of `sync`.
 *
 * Source: Stich 2019, "Local SGD Converges Fast and Communicates Little"; DiLoCo: Douillard et al.
 * 2023.
 */
import { ConfigError } from '../base/errors.ts';
import { MAX_ROUNDS } from '../config/work-settings.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { roundAsStep, type RoundLayout, shardCount } from '../data/shards.ts';
import type { ScheduleSpec } from '../optim/schedule.ts';
import { outerOptimizerOf } from './outer-update.ts';
import { planRounds } from './rounds.ts';
import { RoundsEngine } from './rounds-engine.ts';
import type { Strategy, StrategyRequest } from './strategy.ts';

/** The strategy `local-sgd`. */
export const LOCAL_SGD: Strategy = {
  plan(request) {
    const { config, sampleCount } = request;
    const layout = layoutOf(request);
    const train = roundAsStep(layout);
    const totalSteps = roundsOf(request, stepsPerEpoch(train.sampleCount, train.globalBatch));
    const { outerLr, outerMomentum } = config;
    const { spec, ...plan } = planRounds(request, layout, { kind: 'local-sgd', totalSteps });
    const { roundsPerEpoch } = layout;
    const schedule: ScheduleSpec = { kind: 'constant', learningRate: outerLr, warmupSteps: 0 };
    return {
      ...plan,
      spec: { ...spec, ...(roundsPerEpoch && { roundsPerEpoch }), outerMomentum },
      update: { optimizer: outerOptimizerOf({ outerMomentum }), schedule },
      notes: notesOn(config, sampleCount, layout),
    };
  },
  // Those of `rounds`, and the momentum.
  extraRegions: 5,
  createEngine: async (options) => RoundsEngine.create(options),
};

function layoutOf({ config, sampleCount }: StrategyRequest): RoundLayout {
  const { microBatch, replicas, syncEvery } = config;
  const globalBatch = config.globalBatch / replicas;
  const steps = stepsPerEpoch(sampleCount, config.globalBatch);
  return {
    sampleCount,
    microBatch,
    globalBatch,
    shards: replicas,
    localEpochs: 1,
    roundsPerEpoch: Math.ceil(steps / syncEvery),
  };
}

/** Rounds that a configuration asks for. Throws ConfigError when they are too many to be told. */
function roundsOf({ config }: StrategyRequest, perEpoch: number): number {
  const { rounds, epochs, syncEvery } = config;
  const made = rounds ?? epochs * perEpoch;
  if (made <= MAX_ROUNDS) return made;
  const expected = `at most ${MAX_ROUNDS} rounds`;
  const got = `${made}, for ${epochs} epochs with a round every ${syncEvery} steps`;
  throw new ConfigError(`sync_every: expected ${expected}, got ${got}. Raise --sync-every`, [
    { path: 'sync_every', expected, got },
  ]);
}

function notesOn(
  { replicas, syncEvery, globalBatch }: StrategyRequest['config'],
  sampleCount: number,
  layout: RoundLayout,
): string[] {
  const made = shardCount(layout);
  if (made < replicas)
    return [
      `replicas: ${Math.ceil(sampleCount / layout.globalBatch)} steps of ${layout.globalBatch} ` +
        `samples are enough for ${made} replica${made === 1 ? '' : 's'}, not ${replicas}; a ` +
        'smaller --global-batch makes more steps',
    ];
  const steps = stepsPerEpoch(sampleCount, globalBatch);
  return syncEvery <= steps
    ? []
    : [`sync_every: an epoch has ${steps} steps, and ends a round: ${syncEvery} are never made`];
}
