import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  REGRESSION_DATA as data,
  REGRESSION_JOB as job,
  REGRESSION_STEPS as files,
} from '../../test/regression-job.ts';
import { STEPS_THAT_READ_FILES } from '../../test/steps-that-read-files.ts';
import { PeerLostError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { CameData } from '../job/worker-data.ts';
import type { Job } from '../protocol/messages.ts';
import type { EngineProfile } from '../runtime/engine.ts';
import type { LanePool } from '../runtime/lanes/lane-pool.ts';
import { type DataLoader, engineFactory } from './worker-engine.ts';

/** What becomes of a job: the error of its engine, and how often data were loaded for it. */
async function refusal(
  changes: Partial<Job>,
  received: { readonly train: Uint8Array; readonly evaluate: Uint8Array } = files,
): Promise<{ readonly code: string; readonly message: string; readonly loads: number }> {
  let loads = 0;
  const load: DataLoader = async () => {
    loads++;
    return { data };
  };
  const options = { device: 'cpu', lanes: 2, log: () => {} } as const;
  const nobody = {
    watchLanes: () => {},
    hold: () => assert.fail('lanes were started'),
    await: () => {},
  };
  const handlers = { onDone: () => {}, onAttempted: () => {}, onFailed: () => {} };
  const make = engineFactory(options, load, nobody);
  return new Promise((resolve) =>
    make({ ...job, ...changes }, received, handlers).whenReady(
      () => assert.fail('an engine was made'),
      ({ code, message }) => resolve({ code, message, loads }),
    ),
  );
}

/** What becomes known of an engine of two lanes, whose threads have ended then. */
async function profileOf(
  load: DataLoader,
  onStarted: () => void = () => {},
): Promise<EngineProfile> {
  const pools: LanePool[] = [];
  const owner = {
    watchLanes: onStarted,
    hold: (pool: LanePool) => void pools.push(pool),
    await: () => {},
  };
  const make = engineFactory({ device: 'cpu', lanes: 2, log: () => {} }, load, owner);
  const handlers = { onDone: () => {}, onAttempted: () => {}, onFailed: () => {} };
  const profile = await new Promise<EngineProfile>((resolve, reject) =>
    make(job, files, handlers).whenReady((_, known) => resolve(known), reject),
  );
  await Promise.all(pools.map(async (pool) => pool.closed(2_000)));
  return profile;
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

  test('tells what it trains on, and how long one micro-batch took that it tried', async () => {
    const { dataDigest, trialMs } = await profileOf(async () => ({ data }));

    assert.equal(dataDigest, 'known');
    assert.ok(trialMs !== undefined && trialMs > 0 && trialMs < 5_000, `${trialMs} ms`);
  });

  test('starts its lanes while data come, and computes from them when they are there', async () => {
    const x = new Float32Array(new SharedArrayBuffer(data.train.x.byteLength));
    const given = { ...data, train: { ...data.train, x } };
    let come: (came: CameData) => void = () => {};
    const coming = new Promise<CameData>((resolve) => (come = resolve));
    const received = { bytes: 1, wireBytes: 1, receiveMs: 1 };
    const all = await profileOf(async () => ({ data }));

    const profile = await profileOf(
      async () => ({ data: given, coming }),
      () => {
        x.set(data.train.x);
        come({ received, isKept: Promise.resolve() });
      },
    );

    assert.deepEqual(profile.received, received);
    assert.equal(profile.numericsClass, all.numericsClass);
    const lost = Promise.reject<CameData>(new PeerLostError('cut'));
    await assert.rejects(
      profileOf(async () => ({ data, coming: lost })),
      { code: 'PEER_LOST' },
    );
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
