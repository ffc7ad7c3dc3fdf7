/** The job of a small network on made-up numbers, for tests of what a worker takes from others. */
import { parseTrainConfig } from '../src/config/parse-train-config.ts';
import { makeSyntheticRegression } from '../src/data/sources/synthetic-regression.ts';
import { encodeGraph } from '../src/graph/file/encode.ts';
import { datasetSpecOf, type RunData } from '../src/job/data-source.ts';
import { makeModel } from '../src/models/models.ts';
import { makeStepGraphs } from '../src/models/step-graphs.ts';
import { makeOptimizerSpec } from '../src/optim/spec.ts';
import type { Job } from '../src/protocol/messages.ts';

const splits = makeSyntheticRegression({
  seed: 3,
  sampleCount: 40,
  testSampleCount: 10,
  features: 5,
  outputs: 2,
});
const { train, test: evaluate } = splits;
/** What a worker of it finds. */
export const REGRESSION_DATA: RunData = {
  splits,
  train,
  evaluate,
  evaluateSplit: 'test',
  digest: 'known',
};
const model = makeModel('mlp', train, { hidden: [3] });
const graphs = makeStepGraphs(model, 4);
/** Its compiled steps. */
export const REGRESSION_STEPS = {
  train: encodeGraph(graphs.train),
  evaluate: encodeGraph(graphs.evaluate),
};

/** A job that a worker would take; it says nothing of the sizes of its steps. */
export const REGRESSION_JOB: Job = {
  runId: 'test',
  seed: 1,
  dataset: { ...datasetSpecOf(parseTrainConfig([], {}).config) },
  dataDigest: 'known',
  task: 'regression',
  featureCount: 5,
  targetCount: 2,
  microBatch: 4,
  globalBatch: 16,
  evaluateMicroBatch: 4,
  parameters: model.parameters.map(({ name, shape }) => ({
    name,
    shape: [...shape],
    statisticMomentum: null,
  })),
  masks: [],
  optimizer: { ...makeOptimizerSpec('sgd') },
  clipNorm: null,
  tracksNorms: false,
  isAudited: false,
  strategy: { kind: 'sync' },
  trainBytes: 0,
  evaluateBytes: 0,
};
