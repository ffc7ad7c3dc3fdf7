import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LockstepError } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import { MemoryCheckpoints, sha256, Stopped } from '../../test/memory-checkpoints.ts';
import { listCheckpoints, newestWhole, verifyCheckpoint } from './read-checkpoints.ts';
import { superfluous } from './retention.ts';
import { encodeSafetensors } from './safetensors.ts';
import {
  type CheckpointContent,
  removeCheckpoint,
  removePartial,
  writeCheckpoint,
} from './write-checkpoint.ts';

/** A checkpoint of four weights and their moments, all of them `step`. */
function contentOf(step: number, accuracy?: number): CheckpointContent {
  const [weights, moments] = [Float32Array.of(step, step, 1, 2), Float32Array.of(step, 3, 3, 3)];
  const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer);
  const tensor = (name: string, data: Float32Array): readonly Uint8Array[] =>
    encodeSafetensors([{ name, shape: [2, 2], data }], {});
  return {
    facts: {
      format: 1,
      software: '1.0.0',
      written: '2026-01-01T00:00:00.000Z',
      run: 'first',
      step,
      totalSteps: 100,
      standing: {
        evaluatedStep: step,
        maxima: [0.5, 1e-9],
        ledger: { expected: 8, counted: 8, dropped: 0, duplicated: 0 },
        losses: { firstLoss: 2.25, highSteps: 0, isDiverged: false },
      },
      history: {
        epoch: 0,
        epochLoss: 3.5,
        epochSteps: step,
        ...(accuracy !== undefined && {
          evaluation: { step, split: 'test', lossMean: 1, accuracy },
        }),
      },
      weightsDigest: sha256(bytes(weights)),
      stateDigest: sha256(Buffer.concat([bytes(weights), bytes(moments)])),
      stepDigest: sha256(bytes(weights)),
      config: { model: 'mlp', lr: 0.001 },
    },
    files: [
      { name: 'weights.safetensors', parts: tensor('w', weights) },
      { name: 'optimizer.safetensors', parts: tensor('m', moments) },
      { name: 'plan.json', parts: [Buffer.from('{"totalSteps":100}\n')] },
    ],
    tensorFiles: 2,
  };
}

/** What a run does: writes, then lets go of what is too old. */
async function save(store: MemoryCheckpoints, step: number, accuracy?: number): Promise<void> {
  await writeCheckpoint(store, contentOf(step, accuracy));
  for (const name of superfluous(await listCheckpoints(store), 2))
    await removeCheckpoint(store, name);
}

async function stoppedAt(calls: number): Promise<MemoryCheckpoints> {
  const store = new MemoryCheckpoints();
  for (const step of [10, 20]) await save(store, step);
  store.stopAt = store.calls + calls;
  await assert.rejects(save(store, 30), Stopped);
  return store;
}

/** Calls that saving a third checkpoint takes. */
async function callsOfThird(): Promise<number> {
  const store = new MemoryCheckpoints();
  for (const step of [10, 20]) await save(store, step);
  const before = store.calls;
  await save(store, 30);
  return store.calls - before;
}

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

describe('a writer of checkpoints that is stopped', () => {
  test('by a kill after any call leaves the newest one or two whole', async () => {
    const calls = await callsOfThird();
    for (let at = 0; at < calls; at++) {
      const store = (await stoppedAt(at)).afterKill();

      const found = await newestWhole(store);

      assert.ok(found !== undefined && found.manifest.step >= 20, `stopped after ${at} calls`);
      assert.deepEqual(found.damaged, [], `stopped after ${at} calls`);
      await removePartial(store);
      await save(store, 40);
      assert.equal((await newestWhole(store))?.manifest.step, 40);
      assert.ok((await store.list('')).every((name) => name.startsWith('step_')));
    }
    assert.ok(calls > 20, `${calls} calls`);
  });

  test('by a power cut after any call leaves one whole, and what was saved stays', async () => {
    const calls = await callsOfThird();
    let count = 0;
    for (let at = 0; at < calls; at++) {
      const stopped = await stoppedAt(at);
      for (let seed = 0; seed < 20; seed++, count++) {
        const store = stopped.afterPowerCut(1000 * at + seed);

        const found = await newestWhole(store);

        const where = `cut after ${at} calls, seed ${seed}`;
        assert.ok(found !== undefined && found.manifest.step >= 20, where);
        assert.deepEqual(found.damaged, [], where);
      }
    }
    assert.ok(count >= 500, `${count} cuts`);
  });

  test('after which it has said that it is there: a power cut does not take it', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const store = new MemoryCheckpoints();
      for (const step of [10, 20, 30]) await save(store, step);

      const found = await newestWhole(store.afterPowerCut(seed));

      assert.equal(found?.manifest.step, 30);
    }
  });
});

describe('verifyCheckpoint', () => {
  test('finds any bit that is flipped, and the older one is taken', async () => {
    const words = new RandomWords(17, 'fault', 0, 0);
    const store = new MemoryCheckpoints();
    for (const step of [10, 20]) await save(store, step);
    const names = await store.list('step_20');
    for (let i = 0; i < 1000; i++) {
      const path = `step_20/${names[words.below(2 * i, names.length)]}`;
      const bit = words.below(2 * i + 1, 8 * (await store.read(path)).length);
      store.flip(path, bit);

      await assert.rejects(
        verifyCheckpoint(store, 'step_20'),
        (error) =>
          error instanceof LockstepError &&
          error.code === 'CHECKPOINT_INVALID' &&
          error.message.startsWith(`reading ${path}: `),
        `bit ${bit} of ${path}`,
      );

      if (i % 100 === 0) assert.equal((await newestWhole(store))?.name, 'step_10');
      store.flip(path, bit);
    }
    assert.equal((await verifyCheckpoint(store, 'step_20')).step, 20);
  });
});
