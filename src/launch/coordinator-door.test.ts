import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../../test/cluster/processes.ts';
import { AccessStore } from '../access/access-store.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import { openCoordinatorDoor } from './coordinator-door.ts';

/** How many workers the link lets in of a run that waits for so many. */
async function usesFor(t: TestContext, workers: number): Promise<number | undefined> {
  const accessFolder = temporaryFolder(t);
  const { config } = parseTrainConfig([], { host: '0.0.0.0', workers: String(workers) });
  const door = await openCoordinatorDoor({ config, accessFolder, onNote: () => {} });
  await door.close();
  return new AccessStore(accessFolder).list()[0]?.token.maxUses;
}

describe('the link of a coordinator', () => {
  test('lets in all workers that the run waits for, and each a second time', async (t) => {
    const uses = await Promise.all([1, 100, 256].map(async (count) => usesFor(t, count)));

    assert.deepEqual(uses, [64, 200, 512]);
  });
});
