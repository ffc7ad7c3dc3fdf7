import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { STEPS_THAT_READ_FILES } from '../../test/steps-that-read-files.ts';
import { makeSyntheticRegression } from '../data/sources/synthetic-regression.ts';
import type { RunData } from '../job/data-source.ts';
import { datasetSpecOf } from '../job/data-source.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { makeModel } from '../models/models.ts';
import { makeStepGraphs } from '../models/step-graphs.ts';
import { makeOptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import { engineFactory } from './worker-engine.ts';

const splits = makeSyntheticRegression({
  seed: 3,
  sampleCount: 40,
  testSampleCount: 10,
  features: 5,
  outputs: 2,
});
const { train, test: evaluate } = splits;
const data: RunData = { splits, train, evaluate, evaluateSplit: 'test', digest: 'known' };
const model = makeModel('mlp', train, { hidden: [3] });
const graphs = makeStepGraphs(model, 4);
const files = { train: encodeGraph(graphs.train), evaluate: encodeGraph(graphs.evaluate) };

const job: Job = {
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

/** What becomes of a job: the error of its engine, and how often data were loaded for it. */
async function refusal(
  changes: Partial<Job>,
  received: { readonly train: Uint8Array; readonly evaluate: Uint8Array } = files,
): Promise<{ readonly code: string; readonly message: string; readonly loads: number }> {
  let loads = 0;
  const load = async (): Promise<RunData> => {
    loads++;
    return data;
  };
  const options = { device: 'cpu', lanes: 2, log: () => {} } as const;
  const nobody = {
    watchLanes: () => {},
    hold: () => assert.fail('lanes were started'),
    await: () => {},
  };
  const handlers = { onDone: () => {}, onFailed: () => {} };
  const make = engineFactory(options, load, nobody);
  return new Promise((resolve) =>
    make({ ...job, ...changes }, received, handlers).whenReady(
      () => assert.fail('an engine was made'),
      ({ code, message }) => resolve({ code, message, loads }),
    ),
  );
}

describe('engineFactory', () => {
  for (const [name, file] of Object.entries(STEPS_THAT_READ_FILES)) {
    test(`refuses a job whose steps name another file in ${name}, before anything else`, async () => {
      for (const received of [
        { ...files, train: file },
        { ...files, evaluate: file },
      ]) {
        const { code, message, loads } = await refusal({}, received);
        assert.equal(code, 'GRAPH_UNSUPPORTED');
        assert.match(message, /^the (training|evaluation) step that the coordinator sent was /);
        assert.equal(loads, 0);
      }
    });
  }

  test('refuses more memory than there is before it takes any, and before it looks for data', async () => {
    const huge = 2 ** 40;
    const g = new GraphBuilder('large');
    const x = g.input('x', 'float32', [1, 1]);
    g.output('y', g.reduceSum(g.apply('Expand', [x, g.ints([2 ** 18, 2 ** 18])])));
    const large = encodeGraph(g.build());
    const parameters = [{ name: 'w', shape: [huge], statisticMomentum: null }];
    const masks = [{ name: 'mask.0', shape: [huge, 2 ** 10], rate: 0.5 }];

    for (const refused of [
      await refusal({ parameters }),
      await refusal({ masks }),
      await refusal({ microBatch: 65_536, featureCount: huge }),
      await refusal({}, { ...files, evaluate: large }),
    ]) {
      const { code, message, loads } = refused;
      assert.match(message, /^this worker of 2 lanes needs at least [\d.]+ GiB of memory, and /);
      assert.deepEqual([code, loads], ['RUNTIME_FAILED', 0]);
    }
  });

  test('computes nothing from data that are not those of the job', async () => {
    const { code, message, loads } = await refusal({ dataDigest: 'another' });

    assert.match(
      message,
      /^data of the run: expected SHA-256 another, found known: .*same files\.$/,
    );
    assert.deepEqual([code, loads], ['DATA_INVALID', 1]);
    assert.match((await refusal({ featureCount: 6 })).message, /^job: expected samples of 5 /);
  });
});
