import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  choose,
  fastestOf,
  LOOPBACK,
  onLanes,
  type Prediction,
  predictWays,
  type TrainingShape,
  type WorkerProfile,
  workerSets,
} from './predict.ts';
import type { LinkSpeed } from './sum-cost.ts';

/** 125 MB a second, 0.2 ms there and back. */
const GIGABIT: LinkSpeed = { roundTripMs: 0.2, bytesPerSecond: 125e6 };
const SLOW: LinkSpeed = { roundTripMs: 10, bytesPerSecond: 1.25e6 };

/** 6 micro-batches of 32 samples; a sum is 1 ms on a gigabit link. */
const SHAPE: TrainingShape = {
  microBatches: 6,
  microBatch: 32,
  sumBytes: 125_000,
  coordinator: { host: 'a', bytesPerSecond: 125e6 },
};

function worker(host: string, profile: Partial<WorkerProfile> = {}): WorkerProfile {
  const times = { microBatchMs: 4, stepFixedMs: 1, ownFixedMs: 1 };
  const usual = { cores: 2, lanes: 2, ...times, link: GIGABIT };
  return { host, ...usual, ...profile };
}

function assertNear(actual: number | undefined, expected: number): void {
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) < 1e-9 * Math.max(1, expected),
    `${actual}, expected ${expected}`,
  );
}

function pathsIn(predictions: readonly Prediction[]): string[] {
  return predictions.map(({ path }) => path);
}

describe('predictWays', () => {
  test('gives a worker alone its waves and its update, and no exchange', () => {
    const [alone, ...more] = predictWays([worker('a')], [0], SHAPE);

    // Three waves of 4 ms on two lanes, and 1 ms.
    assertNear(alone?.stepMs, 13);
    assertNear(alone?.samplesPerSecond, (1000 * 192) / 13);
    assert.deepEqual([alone?.path, alone?.exchangeMs, more.length], ['alone', 0, 0]);
  });

  test('takes less where lanes go from step to step by themselves: alone, and in memory', () => {
    const quick = [worker('a', { ownFixedMs: 0.5 }), worker('b', { ownFixedMs: 0.5 })];
    const long = worker('a', { microBatchMs: 60, ownFixedMs: 0.5 });

    assertNear(predictWays(quick, [0], SHAPE)[0]?.computeMs, 12.5);
    assertNear(predictWays(quick, [0, 1], SHAPE)[0]?.computeMs, 9);
    assertNear(predictWays([long], [0], SHAPE)[0]?.computeMs, 181);
  });

  test('adds a ring, or the star, to the time of the slowest of two machines', () => {
    const ways = predictWays([worker('a'), worker('b')], [0, 1], SHAPE);

    assert.deepEqual(pathsIn(ways), ['ring', 'star']);
    // Three micro-batches each: two waves of 4 ms and 1 ms. Ring: 1 ms, and twice 0.1 ms.
    assertNear(ways[0]?.computeMs, 9);
    assertNear(ways[0]?.exchangeMs, 1.2);
    // Star: the sum of the other machine to the coordinator and back, and 0.2 ms.
    assertNear(ways[1]?.exchangeMs, 2.2);
  });

  test('shares micro-batches out by speed', () => {
    const [ring] = predictWays([worker('a'), worker('b', { microBatchMs: 12 })], [0, 1], SHAPE);

    // Four to the fast one, in two waves, and two to the slow one, in one of 12 ms.
    assertNear(ring?.computeMs, 13);
  });

  test('counts two round trips more where steps are so long that the coordinator leads them', () => {
    const long = [worker('a', { microBatchMs: 60 }), worker('b', { microBatchMs: 60 })];
    const [ring] = predictWays(long, [0, 1], SHAPE);

    assertNear(ring?.computeMs, 121);
    assertNear(ring?.exchangeMs, 1.2 + 2 * 0.2);
  });

  test('adds up in memory on one host, where lanes without a core are slower', () => {
    const pair = [worker('a'), worker('a')];
    const [shm] = predictWays(pair, [0, 1], { ...SHAPE, sumBytes: 5.2e6 });

    assert.equal(shm?.path, 'shm');
    // Four lanes on two cores: everything takes twice as long.
    assertNear(shm?.computeMs, 18);
    assertNear(shm?.exchangeMs, 1.03);
  });

  test('adds up on hosts, then between them, where some share one', () => {
    const three = [worker('a', { cores: 4 }), worker('a', { cores: 4 }), worker('b', { cores: 4 })];
    const [hosts] = predictWays(three, [0, 1, 2], { ...SHAPE, sumBytes: 5.2e6 });

    assert.equal(hosts?.path, 'hosts');
    // Once 41.6 ms over the link between the two hosts and 0.2 ms late, twice 1.03 ms on one.
    assertNear(hosts?.exchangeMs, 41.6 + 0.2 + 2 * 1.03);
  });

  test('names first what auto takes: the star where the ring is clearly slower', () => {
    const late: LinkSpeed = { roundTripMs: 40, bytesPerSecond: 125e6 };
    const four = ['a', 'b', 'c', 'd'].map((host) => worker(host, { link: late }));

    const ways = predictWays(four, [0, 1, 2, 3], SHAPE);

    // Ring: 1.5 ms and six rounds of 20 ms. Star: three sums in and out, and 40 ms.
    assert.deepEqual(pathsIn(ways), ['star', 'ring']);
    assertNear(ways[0]?.exchangeMs, 46);
    assertNear(ways[1]?.exchangeMs, 121.5);
  });

  test('spreads an exchange over the steps that workers make by themselves', () => {
    const pair = [worker('a', { link: SLOW }), worker('b', { link: SLOW })];
    const local = { localSteps: 10, shards: 4, microBatches: 6 };

    const [rounds, ...more] = predictWays(pair, [0, 1], SHAPE, local);

    assert.equal(more.length, 0);
    // Two shards each, of ten steps of 13 ms; 100 ms and two rounds of 5 ms, led with 2 x 10 ms.
    assertNear(rounds?.computeMs, (2 * 10 * 13) / 40);
    assertNear(rounds?.exchangeMs, (100 + 10 + 20) / 40);
    assertNear(rounds?.samplesPerSecond, (1000 * 192 * 40) / 390);
  });

  test('counts a step of each of two replicas, on half of its samples, as one', () => {
    const pair = [worker('a', { link: SLOW }), worker('b', { link: SLOW })];

    const [local] = predictWays(pair, [0, 1], SHAPE, {
      localSteps: 10,
      shards: 2,
      microBatches: 3,
    });

    // Ten steps of three micro-batches on two lanes: 2 x 4 ms, and 1 ms besides.
    assertNear(local?.computeMs, 9);
    assertNear(local?.exchangeMs, (100 + 10 + 20) / 10);
  });

  test('gives all steps to one of two where there is one shard', () => {
    const pair = [worker('a'), worker('b')];
    const [rounds] = predictWays(pair, [0, 1], SHAPE, {
      localSteps: 10,
      shards: 1,
      microBatches: 6,
    });

    assertNear(rounds?.computeMs, 13);
  });
});

describe('workerSets', () => {
  test('leaves out first whose link costs most, and ends with the fastest alone', () => {
    const three = [worker('a', { microBatchMs: 6 }), worker('b', { link: SLOW }), worker('c')];

    assert.deepEqual(workerSets(three, SHAPE), [[2], [0, 2], [0, 1, 2]]);
  });

  test('leaves out the last of equals', () => {
    const equal = ['a', 'b', 'c'].map((host) => worker(host));

    assert.deepEqual(workerSets(equal, SHAPE), [[0], [0, 1], [0, 1, 2]]);
  });
});

describe('choose', () => {
  const all = [worker('a', { link: SLOW }), worker('b', { link: SLOW })];
  const predictions = [
    ...predictWays(all, [0], SHAPE),
    ...predictWays(all, [0, 1], SHAPE),
    ...predictWays(all, [0, 1], SHAPE, { localSteps: 100, shards: 2, microBatches: 3 }),
  ];

  test('takes one worker when two would be slower, and says what would be faster', () => {
    const choice = choose(predictions);

    assert.deepEqual(choice?.exact.workers, [0]);
    assert.deepEqual(choice?.asked.workers, [0, 1]);
    assert.ok(choice.asked.samplesPerSecond < choice.alone.samplesPerSecond);
    assert.ok((choice.local?.samplesPerSecond ?? 0) > 1.2 * choice.alone.samplesPerSecond);
  });

  test('chooses nothing where nobody was predicted alone', () => {
    assert.equal(choose(predictions.slice(1)), undefined);
    assert.equal(fastestOf([]), undefined);
  });
});

describe('onLanes', () => {
  test('makes the update longer where fewer lanes share it', () => {
    assertNear(onLanes(worker('a', { link: LOOPBACK }), 1).stepFixedMs, 2);
  });
});
