/** Runs of real processes on links that lose packets, as Wi-Fi does: nobody is taken for dead. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { assertSameModel, referenceOf } from '../cluster/runs.ts';
import { reasonToSkip, troublesOf, withNetwork } from './network.ts';

/** 204 kB in a sum. */
const ARGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never', '--steps', '80'];
const END_MS = 60_000;

function reason(): string | false {
  const hasFilter = spawnSync('nft', ['--version']).status === 0;
  return reasonToSkip() || (hasFilter ? false : 'without nftables');
}

describe('a run on links that lose two of a hundred packets', { skip: reason() }, () => {
  test('loses nobody, and makes the same model', async (t) => {
    const reference = await referenceOf(t, ARGS);
    await withNetwork(async (network) => {
      const run = await network.coordinate([...ARGS, '--workers', '2']);
      const hosts = [network.addHost(undefined), network.addHost(undefined)];
      const lost = network.lose(2);
      for (const host of hosts) network.joinAt(host);

      const outcome = await run.outcome(END_MS);

      assertSameModel(outcome, reference);
      assert.deepEqual(troublesOf(run), []);
      t.diagnostic(`${lost()} packets were lost`);
      assert.ok(lost() > 20, 'packets were lost');
    });
  });
});
