import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryCheckpoints } from '../../test/memory-checkpoints.ts';
import { contentOf, save } from '../../test/tiny-checkpoints.ts';
import { listCheckpoints, newestWhole, verifyCheckpoint } from './read-checkpoints.ts';
import { writeCheckpoint } from './write-checkpoint.ts';

describe('a checkpoint', () => {
  test('is what was written, and the newest keep their places with the best', async () => {
    const store = new MemoryCheckpoints();

    for (const [step, accuracy] of [
      [10, 0.5],
      [20, 0.9],
      [30, 0.7],
      [40, 0.9],
      [50, 0.8],
    ] as const)
      await save(store, step, accuracy);

    const names = (await listCheckpoints(store)).map(({ name }) => name);
    assert.deepEqual(names, ['step_50', 'step_40', 'step_20']);
    const manifest = await verifyCheckpoint(store, 'step_40');
    const { files, ...facts } = manifest;
    assert.deepEqual(facts, contentOf(40, 0.9).facts);
    assert.deepEqual(
      files.map(({ name }) => name),
      contentOf(40).files.map(({ name }) => name),
    );
  });

  test('of a state that is there gets what is new in its manifest', async () => {
    const store = new MemoryCheckpoints();
    await save(store, 10);

    await save(store, 10, 0.5);

    const found = await newestWhole(store);
    assert.equal(found?.manifest.history.evaluation?.accuracy, 0.5);
  });

  test('takes the place of a damaged one of its step', async () => {
    const store = new MemoryCheckpoints();
    await save(store, 10);
    store.flip('step_10/manifest.json', 99);

    await save(store, 10);

    assert.equal((await newestWhole(store))?.name, 'step_10');
  });

  test('is the newest by its step, whatever the clock said when it was written', async () => {
    const store = new MemoryCheckpoints();
    for (const [step, written] of [
      [20, '2026-06-01T00:00:00.000Z'],
      [30, '2026-05-01T00:00:00.000Z'],
      [100, '2026-05-01T00:00:00.000Z'],
    ] as const) {
      const { facts, ...rest } = contentOf(step);
      await writeCheckpoint(store, { ...rest, facts: { ...facts, written } });
    }

    assert.deepEqual(
      (await listCheckpoints(store)).map(({ step }) => step),
      [100, 30, 20],
    );
    assert.equal((await newestWhole(store))?.name, 'step_100');
  });

  test('that a variation began with stays, whatever comes after', async () => {
    const store = new MemoryCheckpoints();
    const { stateDigest } = contentOf(10).facts;
    const parent = { run: 'first', step: 10, stateDigest, changed: { lr: { had: 1, has: null } } };

    for (const step of [10, 20, 30, 40]) await save(store, step, undefined, parent);

    const listed = await listCheckpoints(store);
    assert.deepEqual(
      listed.map(({ step }) => step),
      [40, 30, 10],
    );
    assert.deepEqual(listed[0]?.manifest?.parent, parent);
  });

  test('is not there when its bytes are not those that the workers had', async () => {
    const store = new MemoryCheckpoints();
    const { facts, ...rest } = contentOf(10);
    const other = { ...facts, stateDigest: facts.weightsDigest };

    await assert.rejects(writeCheckpoint(store, { ...rest, facts: other }), /another digest/);

    assert.deepEqual(await store.list(''), []);
  });

  test('is not begun when there is no room for it', async () => {
    const store = new MemoryCheckpoints();
    await save(store, 10);
    store.capacity = 1000;

    await assert.rejects(save(store, 20), /it needs 4\.2 MB, and 0\.0 MB are free/);

    assert.deepEqual(await store.list(''), ['step_10']);
  });
});
