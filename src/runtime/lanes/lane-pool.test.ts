import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import {
  closePools,
  commitOf,
  digestOf,
  evaluate,
  grantsOf,
  initialState,
  makeJob,
  makePool,
  MICRO_BATCHES,
  planOf,
  train,
} from '../../../test/lane-pools.ts';
import { StarReducer } from '../../collectives/star.ts';
import type { Job, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import type { EngineAttempt } from '../engine.ts';

after(closePools);

async function trainSteps(
  laneCount: number,
  job: Job,
  reduction: Plan['reduction'],
): Promise<{ digest: string; norms: number[][] }> {
  const { pool, done } = await makePool(laneCount, job);
  pool.importState(initialState(), () => {});
  const norms: number[][] = [];
  for (let step = 0; step < 4; step++) {
    const plan = planOf(step, step, [0, 1, 2, 3, 4, 5], reduction);
    pool.begin(plan);
    const { sum } = await done();
    pool.apply(commitOf(plan), reduction === 'star' ? sum : undefined, (given) =>
      norms.push([...given]),
    );
  }
  return { digest: await digestOf(pool), norms };
}

/** A pool that has gone through all of that by itself; what it told, and its state. */
async function followGrants(laneCount: number, maximum: number) {
  const attempts: EngineAttempt[] = [];
  const job = makeJob({ tracksNorms: true });
  const { pool } = await makePool(laneCount, job, undefined, (told) => void attempts.push(...told));
  pool.importState(initialState(), () => {});
  for (const grant of grantsOf(maximum)) pool.follow(grant);
  return { pool, attempts, digest: await digestOf(pool) };
}

describe('LanePool', () => {
  for (const maximum of [4, 1e-4])
    test(`goes through granted steps alike on any number of lanes, from a grid for ${maximum}`, async () => {
      const [one, two, three] = await Promise.all(
        [1, 2, 3].map(async (laneCount) => followGrants(laneCount, maximum)),
      );

      assert.deepEqual([two!.digest, three!.digest], [one!.digest, one!.digest]);
      const factsOf = (attempts: readonly EngineAttempt[]): unknown[] =>
        attempts.map(({ pass, records, norms }) => ({
          pass,
          norms,
          records: records
            .map(({ microBatch, lossSum, maxima }) => ({ microBatch, lossSum, maxima }))
            .sort((a, b) => a.microBatch - b.microBatch),
        }));
      for (const { attempts } of [two!, three!])
        assert.deepEqual(factsOf(attempts), factsOf(one!.attempts));
      const { attempts } = one!;
      const committed = attempts.filter(({ norms }) => norms.length > 0);
      assert.equal(committed.length, 5);
      assert.equal(attempts.length > 5, maximum < 1);
      assert.deepEqual(
        attempts.map(({ pass }) => pass),
        attempts.map((_, index) => 3 + index),
      );
      assert.ok(attempts.every(({ records }) => records.length === MICRO_BATCHES));
    });

  for (const laneCount of [1, 2])
    test(`stops granted steps when it gets another state, with ${laneCount} lanes`, async () => {
      const attempts: EngineAttempt[] = [];
      const { pool, done } = await makePool(laneCount, makeJob(), undefined, (news) => {
        attempts.push(...news);
      });
      const fresh = await digestOf(pool);
      const [first] = grantsOf(4);
      const many = Array.from({ length: 500 }, () => first!.updates[0]!);
      pool.importState(initialState(), () => {});
      const initial = await digestOf(pool);
      pool.follow({ ...first!, updates: many });
      while (attempts.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));

      pool.importState(initialState(), () => {});
      const told = attempts.length;
      assert.equal(await digestOf(pool), initial);
      pool.begin(planOf(1_000, 0, [0, 1]));
      assert.equal((await done()).records.length, 2);

      assert.notEqual(initial, fresh);
      assert.equal(attempts.length, told);
      assert.ok(told < 500);
    });

  for (const laneCount of [1, 2]) {
    test(
      'computes audited micro-batches again to the same records without changing a sum, with ' +
        `${laneCount} lanes`,
      async () => {
        const { pool, done } = await makePool(laneCount, makeJob({ isAudited: true }));
        pool.importState(initialState(), () => {});
        const plan = planOf(0, 0, [0, 1, 2, 3, 4, 5]);
        pool.begin(plan);
        const whole = await done();
        const audit = new Promise<readonly MicroBatchRecord[]>((resolve) =>
          pool.audit([4, 1], resolve),
        );
        const audited = await audit;
        const withoutTime = (record: MicroBatchRecord): object => ({
          ...record,
          computeMs: 0,
          dataMs: 0,
          quantiseMs: 0,
        });
        const sorted = (records: readonly MicroBatchRecord[]): object[] =>
          records.toSorted((a, b) => a.microBatch - b.microBatch).map(withoutTime);

        assert.deepEqual(
          sorted(audited),
          sorted(whole.records.filter(({ microBatch }) => [1, 4].includes(microBatch))),
        );
        const reducer = new StarReducer(whole.sum.length / 4);
        const total = whole.records.reduce((sum, { checksum = 0 }) => (sum + checksum) >>> 0, 0);
        assert.equal(reducer.checksumOf(whole.sum), total);
        pool.apply(commitOf(plan), undefined, () => {});
        const digest = await digestOf(pool);
        const plain = await makePool(1, makeJob());
        plain.pool.importState(initialState(), () => {});
        plain.pool.begin(plan);
        await plain.done();
        plain.pool.apply(commitOf(plan), undefined, () => {});
        assert.equal(digest, await digestOf(plain.pool));
      },
    );
  }

  test('computes what is leased during an audit once the last sum is not needed', async () => {
    const { pool, done } = await makePool(1, makeJob({ isAudited: true }));
    pool.importState(initialState(), () => {});
    pool.begin(planOf(0, 0, [0, 1]));
    await done();
    let audited = 0;
    pool.audit([0, 1, 0, 1], (records) => (audited = records.length));
    pool.extend([2, 3]);
    const { records } = await done();

    assert.equal(audited, 4);
    assert.deepEqual(
      records.map(({ microBatch }) => microBatch),
      [2, 3],
    );
  });

  test('computes what is leased while it gives a copy of its state', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin(planOf(0, 0, [0, 1]));
    await done();
    const digest = digestOf(pool);
    pool.extend([2]);
    const { records } = await done();

    await digest;
    assert.deepEqual(
      records.map(({ microBatch }) => microBatch),
      [2],
    );
  });

  test('ends with the same state whatever the number of lanes and the way of totals', async () => {
    const job = makeJob({ clipNorm: 0.5, tracksNorms: true });
    const reference = await trainSteps(1, job, 'alone');

    for (const [lanes, reduction] of [
      [1, 'star'],
      [2, 'alone'],
      [2, 'star'],
      [4, 'star'],
    ] as const) {
      assert.deepEqual(
        await trainSteps(lanes, job, reduction),
        reference,
        `${lanes} lanes, ${reduction}`,
      );
    }
    assert.equal(reference.norms.length, 4);
    assert.ok(reference.norms.every((perTensor) => perTensor.every((norm) => norm > 0)));
  });

  test('gives sums of parts that add up to the sum of the whole', async () => {
    const { pool, done } = await makePool(2, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin(planOf(1, 0, [0, 1, 2, 3, 4, 5]));
    const whole = new Int32Array((await done()).sum.buffer);

    pool.begin(planOf(2, 0, [5, 0]));
    const first = new Int32Array((await done()).sum.buffer);
    pool.extend([1, 2, 3, 4]);
    const rest = new Int32Array((await done()).sum.buffer);

    assert.deepEqual(
      [...first].map((value, i) => value + rest[i]!),
      [...whole],
    );
  });

  test('gives back leases that no lane has started, and never computes them', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    await digestOf(pool);
    pool.begin(planOf(1, 0, [0, 1, 2, 3, 4, 5]));

    const released = pool.release(5);
    const computed = (await done()).records.map((record) => record.microBatch);

    assert.deepEqual(
      [...released, ...computed].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5],
    );
  });

  test('says nothing of a pass that another has voided', async () => {
    const { pool, done } = await makePool(2, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin(planOf(1, 0, [0, 1, 2, 3]));
    pool.begin(planOf(2, 0, [4]));

    const { pass, records } = await done();

    assert.equal(pass, 2);
    assert.deepEqual(
      records.map((record) => record.microBatch),
      [4],
    );
  });

  test('computes what is leased of a pass while lanes are at the one before', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    await digestOf(pool);
    pool.begin(planOf(1, 0, [0, 1, 2, 3]));
    pool.begin(planOf(2, 0, [4]));
    pool.extend([0, 5, 1]);
    const released = pool.release(1);

    const { pass, records } = await done();

    assert.deepEqual([pass, released], [2, [1]]);
    assert.deepEqual(
      records.map((record) => record.microBatch),
      [0, 4, 5],
    );
  });

  test('lends its memory for totals to nobody while any update in the queue needs it', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    const plan = planOf(1, 0, [0, 1, 2, 3, 4, 5]);
    pool.begin(plan);
    const { sum } = await done();

    const lent: boolean[] = [];
    const applied = new Promise<void>((resolve) => {
      for (const step of [0, 1, 2]) {
        pool.apply(commitOf({ ...plan, step }), sum, () => {
          lent.push(pool.totalsTarget() !== undefined);
          if (step === 2) resolve();
        });
      }
    });
    await applied;

    assert.deepEqual(lent, [false, false, true]);
  });

  test('hands over its state bit for bit', async () => {
    const { pool } = await makePool(3, makeJob());
    const state = initialState().map((byte, i) => (i % 4 === 3 ? byte : (byte + i) % 251));
    pool.importState(state, () => {});

    const exported = await new Promise<Uint8Array>((resolve) => pool.exportState(resolve));

    assert.deepEqual(Buffer.from(exported), Buffer.from(state));
  });

  test('weighs the samples of a partly filled micro-batch as they are', async () => {
    const { pool, done } = await makePool(1, makeJob());
    pool.importState(initialState(), () => {});
    pool.begin({ ...planOf(1, 0, [0]), stepInEpoch: 2 });

    const { records } = await done();

    assert.equal(records[0]!.sampleCount, 4); // 100 samples: two steps of 48, and 4 left
  });

  test('refuses a graph that ONNX Runtime refuses, and leaves no thread behind', async () => {
    const broken = train.slice(0, 200) as typeof train;

    await assert.rejects(
      makePool(2, makeJob(), { train: broken, evaluate }),
      /training graph: ONNX Runtime refused it/,
    );
  });
});
