/** Runs that announce themselves in their network, and who looks for them there. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startLockstep } from '../cluster/processes.ts';
import { reasonToSkip, withNetwork } from './network.ts';

describe('lockstep join without a link', { skip: reasonToSkip() }, () => {
  test('lists what is announced in its network, and joins nothing by that', async (t) => {
    await startLockstep(t, ['--version']).end();
    await withNetwork(async (network) => {
      const run = await network.coordinate(['--lan', '--workers', '1'], '0.0.0.0');
      const [, port] = /:(\d+)$/.exec(await run.address()) ?? [];

      const lost = network.addHost(undefined).start(['join']);

      assert.equal((await lost.end()).status, 2);
      assert.match(lost.stderr, /expected the link that `lockstep coordinator --lan` prints/);
      assert.match(lost.stderr, new RegExp(`announce a run.*\n .* 10\\.99\\.0\\.1:${port}\\b`));
      assert.deepEqual(run.eventsOf('worker-joined'), []);
    });
  });
});
