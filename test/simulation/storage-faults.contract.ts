/** A disk that is stopped, fails, is full or flips bits, at every point of writing a checkpoint. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LockstepError } from '../../src/base/errors.ts';
import { RandomWords } from '../../src/base/random.ts';
import { MemoryCheckpoints, Stopped } from '../memory-checkpoints.ts';
import { save } from '../tiny-checkpoints.ts';
import { newestWhole, verifyCheckpoint } from '../../src/checkpoint/read-checkpoints.ts';
import { removePartial } from '../../src/checkpoint/write-checkpoint.ts';

/** What is there, what is then written, and of which step one must be whole at any time. */
interface Scene {
  readonly what: string;
  readonly act: (store: MemoryCheckpoints) => Promise<void>;
  readonly written: number;
  readonly least: number;
  readonly harm?: (store: MemoryCheckpoints) => void;
}

const SCENES: readonly Scene[] = [
  {
    what: 'a third one, for which the first is let go',
    act: async (store) => save(store, 30),
    ...{ written: 30, least: 20 },
  },
  {
    what: 'what is new of one that is there',
    act: async (store) => save(store, 20, 0.9),
    ...{ written: 20, least: 20 },
  },
  {
    what: 'one in place of a damaged one',
    act: async (store) => save(store, 20),
    ...{ written: 20, least: 10 },
    harm: (store) => store.flip('step_20/weights.safetensors', 777),
  },
];

async function storeOf({ harm }: Scene): Promise<MemoryCheckpoints> {
  const store = new MemoryCheckpoints();
  for (const step of [10, 20]) await save(store, step);
  harm?.(store);
  return store;
}

/** Everything that can be counted in `act`. */
async function countsOf(scene: Scene): Promise<{ calls: number; sync: number; write: number }> {
  const store = await storeOf(scene);
  const before = { calls: store.calls, ...store.kinds };
  await scene.act(store);
  const { sync, write } = store.kinds;
  const calls = store.calls - before.calls;
  return { calls, sync: sync - before.sync, write: write - before.write };
}

async function stoppedAt(scene: Scene, calls: number): Promise<MemoryCheckpoints> {
  const store = await storeOf(scene);
  store.stopAt = store.calls + calls;
  await assert.rejects(scene.act(store), Stopped);
  return store;
}

/** One of `least` steps or more is whole, and none that came by its writing is not. */
async function assertReadable(
  store: MemoryCheckpoints,
  { harm }: Scene,
  least: number,
  where: string,
): Promise<void> {
  const found = await newestWhole(store);
  assert.ok(found !== undefined && found.manifest.step >= least, where);
  if (harm === undefined) assert.deepEqual(found.damaged, [], where);
}

async function assertDurable(store: MemoryCheckpoints, scene: Scene, where: string): Promise<void> {
  for (let seed = 0; seed < 5; seed++)
    await assertReadable(store.afterPowerCut(seed), scene, scene.written, `${where}, cut ${seed}`);
}

/** Tidies up as a run does that goes on, and writes it again. */
async function writeAgain(store: MemoryCheckpoints, scene: Scene, where: string): Promise<void> {
  await removePartial(store);
  await scene.act(store);
  assert.equal((await newestWhole(store))?.manifest.step, scene.written, where);
  const left = (await store.list('')).filter((name) => !name.startsWith('step_'));
  assert.deepEqual(left, [], where);
  await assertDurable(store, scene, where);
}

/** So many power cuts at each call, and so many flipped bits. */
export function storageIsSafe({
  cutsPerCall,
  flips,
}: {
  cutsPerCall: number;
  flips: number;
}): void {
  for (const scene of SCENES) writerIsSafe(scene, cutsPerCall);
  test('there are 500 power cuts at least', async () => {
    let calls = 0;
    for (const scene of SCENES) calls += (await countsOf(scene)).calls;

    assert.ok(cutsPerCall * calls >= 500, `${cutsPerCall * calls} cuts`);
  });
  bitsAreFoundOut(flips);
}

function writerIsSafe(scene: Scene, cutsPerCall: number): void {
  describe(`a writer of ${scene.what}`, () => {
    test('killed after any call leaves one whole, and what is written next stays', async () => {
      const { calls } = await countsOf(scene);
      for (let at = 0; at < calls; at++) {
        const store = (await stoppedAt(scene, at)).afterKill();
        const where = `stopped after ${at} calls`;

        await assertReadable(store, scene, scene.least, where);
        await writeAgain(store, scene, where);
      }
      assert.ok(calls > 8, `${calls} calls`);
    });

    test('whose power is cut after any call leaves one whole', async () => {
      const { calls } = await countsOf(scene);
      for (let at = 0; at < calls; at++) {
        const stopped = await stoppedAt(scene, at);
        for (let seed = 0; seed < cutsPerCall; seed++) {
          const store = stopped.afterPowerCut(1000 * at + seed);
          await assertReadable(store, scene, scene.least, `cut after ${at} calls, seed ${seed}`);
        }
      }
    });

    test('that has said that it is there: no power cut takes it', async () => {
      const store = await storeOf(scene);
      await scene.act(store);

      await assertDurable(store, scene, 'written');
    });

    test('of which a sync fails says so, keeps one whole, and trusts no second sync', async () => {
      const { sync } = await countsOf(scene);
      for (let at = 0; at < sync; at++) {
        const store = await storeOf(scene);
        const first = store.kinds.sync + at;
        store.failure = { what: 'sync', code: 'EIO', from: first, to: first + 1 };
        const where = `sync ${at} fails`;

        await assert.rejects(scene.act(store), { code: 'EIO' }, where);

        await assertReadable(store.afterPowerCut(at), scene, scene.least, where);
        await writeAgain(store, scene, where);
      }
      assert.ok(sync >= 3, `${sync} syncs`);
    });

    test('whose disk is full at any write leaves no part, and one whole', async () => {
      const { write } = await countsOf(scene);
      for (let at = 0; at < write; at++) {
        const store = await storeOf(scene);
        const first = store.kinds.write + at;
        store.failure = { what: 'write', code: 'ENOSPC', from: first, to: Infinity };
        const where = `write ${at} finds no room`;

        await assert.rejects(scene.act(store), { code: 'ENOSPC' }, where);

        await assertReadable(store, scene, scene.least, where);
        assert.doesNotMatch((await store.list('')).join(), /partial/, where);
        store.failure = undefined;
        await writeAgain(store, scene, where);
      }
      assert.ok(write >= 5, `${write} writes`);
    });
  });
}

function bitsAreFoundOut(flips: number): void {
  test(`${flips} bits that a disk flips are found out, and the older one is taken`, async () => {
    const words = new RandomWords(17, 'fault', 0, 0);
    const store = new MemoryCheckpoints();
    for (const step of [10, 20]) await save(store, step);
    const names = await store.list('step_20');

    for (let i = 0; i < flips; i++) {
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
}
