import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { listCheckpoints } from '../checkpoint/read-checkpoints.ts';
import type { PlannedRun } from '../job/make-plan.ts';
import { historyOf, keeperOf, planWith, snapshotOf } from '../../test/kept-runs.ts';
import { MemoryCheckpoints } from '../../test/memory-checkpoints.ts';

let planned: PlannedRun;
before(async () => (planned = await planWith()));

async function stepsIn(store: MemoryCheckpoints): Promise<number[]> {
  return (await listCheckpoints(store)).map(({ step }) => step);
}

async function untilSaved(keeper: { readonly savedStep: number }, step: number): Promise<void> {
  while (keeper.savedStep !== step) await setImmediate();
}

describe('CheckpointKeeper', () => {
  test('writes at the steps that were asked for, and the newest of those that wait', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, failures } = keeperOf(planned, store);

    for (const step of [3, 9, 10, 11, 20, 30])
      keeper.offer(snapshotOf(planned, step), historyOf(step));
    await keeper.finish(snapshotOf(planned, 30), historyOf(30));

    assert.deepEqual(await stepsIn(store), [30, 10]);
    assert.equal(keeper.savedStep, 30);
    assert.deepEqual(failures, []);
  });

  test('writes what may be the best, at most once a second', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, clock } = keeperOf(planned, store, { checkpointEvery: '1000s', keep: '1' });

    for (const [step, accuracy] of [
      [1, 0.5],
      [2, 0.8],
      [3, 0.7],
      [4, 0.9],
    ] as const) {
      clock.advance(step === 4 ? 500 : 1_500);
      keeper.offer(snapshotOf(planned, step), historyOf(step, accuracy));
      if (step <= 2) await untilSaved(keeper, step);
    }
    await keeper.finish(snapshotOf(planned, 5), historyOf(4, 0.6));

    assert.deepEqual(await stepsIn(store), [5, 2]);
  });

  test('takes nothing for the best that was never written', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, clock } = keeperOf(planned, store, { checkpointEvery: '1000s', keep: '1' });
    for (const [step, accuracy] of [
      [1, 0.5],
      [2, 0.9],
    ] as const) {
      clock.advance(1_500);
      keeper.offer(snapshotOf(planned, step), historyOf(step, accuracy));
    }
    await keeper.finish(snapshotOf(planned, 3), historyOf(3));

    clock.advance(1_500);
    keeper.offer(snapshotOf(planned, 4), historyOf(4, 0.8));
    await keeper.finish(snapshotOf(planned, 5), historyOf(5));

    assert.deepEqual(await stepsIn(store), [5, 4]);
  });

  test('lets older ones go for a new one where room is short, but for two', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, failures } = keeperOf(planned, store, { keep: '5' });
    const save = async (step: number): Promise<void> =>
      keeper.finish(snapshotOf(planned, step), historyOf(step, 1 / step));
    await save(10);
    const [used, margin] = [store.usedBytes, 4 << 20];
    store.capacity = margin + 3 * used + 1_000;
    for (const step of [20, 30, 40]) await save(step);
    const whileThereIsRoom = await stepsIn(store);
    store.capacity = margin;

    await save(50);

    assert.deepEqual(whileThereIsRoom, [40, 30, 20]);
    assert.deepEqual(await stepsIn(store), [40, 30]);
    assert.match(
      failures.join('; '),
      /^it needs \S+ MB, and \S+ MB are free: a checkpoint is missing, the newest is of step 40$/,
    );
  });

  test('has one under way on a slow disk, waits for none, and writes the newest then', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, failures } = keeperOf(planned, store);
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => (release = resolve));
    store.onSync = async () => slow;

    for (const step of [10, 20, 30]) keeper.offer(snapshotOf(planned, step), historyOf(step));
    await setImmediate();
    const whileItIsSlow = [await store.list(''), keeper.savedStep];
    release();
    await untilSaved(keeper, 30);

    assert.deepEqual(whileItIsSlow, [['.partial-new-step_10'], 0]);
    assert.deepEqual(await stepsIn(store), [30, 10]);
    assert.deepEqual(failures, []);
  });

  test('replaces no state that was asked for by its step while it waits', async () => {
    const store = new MemoryCheckpoints();
    const { plan } = planned;
    const checkpoints = { ...plan.checkpoints, steps: [13] };
    const keptAt = { ...planned, plan: { ...plan, checkpoints } };
    const { keeper } = keeperOf(keptAt, store, { keep: '9' });

    for (const step of [10, 13, 20]) keeper.offer(snapshotOf(planned, step), historyOf(step));
    await keeper.finish(snapshotOf(planned, 30), historyOf(30));

    assert.deepEqual(await stepsIn(store), [30, 13, 10]);
  });

  test('ends without the last one when the disk answers no more, and says so', async () => {
    const store = new MemoryCheckpoints();
    const { keeper, clock, failures } = keeperOf(planned, store);
    await keeper.finish(snapshotOf(planned, 10), historyOf(10));
    store.onSync = async () => new Promise(() => {});

    const finishing = keeper.finish(snapshotOf(planned, 20), historyOf(20));
    await setImmediate();
    clock.advance(70_000);
    await finishing;

    assert.deepEqual(failures, [
      'the disk does not answer: a checkpoint is missing, the newest is of step 10',
    ]);
  });

  test('forgets what is void, and goes on writing', async () => {
    const store = new MemoryCheckpoints();
    const { keeper } = keeperOf(planned, store);
    for (const step of [10, 20, 30])
      await keeper.finish(snapshotOf(planned, step), historyOf(step));

    keeper.forget(15);
    await keeper.finish(snapshotOf(planned, 18), historyOf(18));

    assert.deepEqual(await stepsIn(store), [18, 10]);
  });
});
