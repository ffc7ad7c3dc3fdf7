/** Workers whose machines are in two networks: sums take the faster one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startLockstep } from '../cluster/processes.ts';
import { assertSameModel, referenceOf } from '../cluster/runs.ts';
import { reasonToSkip, troublesOf, withNetwork } from './network.ts';

const END_MS = 120_000;
const STEPS = 40;
const ARGS = ['--hidden', '256', '--seed', '7', '--steps', String(STEPS), '--eval-every', 'never'];
/** 784 to 256 to 10. */
const SUM_BYTES = 4 * (784 * 256 + 256 + 256 * 10 + 10);
/** Kilobits a second. */
const SLOW = 20_000;
const FAST = 500_000;

describe('a run of workers in two networks', { skip: reasonToSkip() }, () => {
  test('sends sums over the faster, though the coordinator is in the other', async (t) => {
    await startLockstep(t, ['--version']).end();
    const reference = await referenceOf(t, ARGS);
    await withNetwork(async (network) => {
      const run = await network.coordinate(
        [...ARGS, '--workers', '2', '--collective', 'ring'],
        '0.0.0.0',
      );
      const hosts = [network.addHost(SLOW), network.addHost(SLOW)] as const;
      await network.wire(...hosts, FAST);
      for (const host of hosts) network.joinAt(host);

      await run.program.end(END_MS);

      assertSameModel(await run.outcome(END_MS), reference);
      assert.deepEqual(troublesOf(run), []);
      const [chosen] = run.eventsOf('collective-chosen');
      assert.equal(chosen?.collective, 'ring');
      const [, rate] = /slowest link (\d+) Mbit/.exec(chosen.reason ?? '') ?? [];
      assert.ok(Number(rate) > 5 * (SLOW / 1000), chosen.reason);
      t.diagnostic(chosen.reason ?? '');
      const sumSteps = STEPS - chosen.step;
      assert.ok(sumSteps > STEPS / 2, `${sumSteps} steps in a ring`);
      for (const { receivedBytes } of hosts) {
        const [slow, fast] = [receivedBytes('eth0'), receivedBytes('eth1')];
        t.diagnostic(`${slow} bytes over the slow network, ${fast} over the fast one`);
        assert.ok(fast > sumSteps * SUM_BYTES, `${fast} bytes over the fast network`);
        assert.ok(slow < fast, `${slow} bytes over the slow network`);
      }
    });
  });

  test('sends sums by the interface that is asked for, whatever is faster', async (t) => {
    await withNetwork(async (network) => {
      const run = await network.coordinate(
        [...ARGS, '--workers', '2', '--collective', 'ring', '--steps', '9'],
        '0.0.0.0',
      );
      const hosts = [network.addHost(SLOW), network.addHost(SLOW)] as const;
      await network.wire(...hosts, FAST);
      for (const host of hosts) network.joinAt(host, ['env', 'GLOO_SOCKET_IFNAME=eth0']);

      await run.outcome(END_MS);

      assert.equal(run.eventsOf('collective-chosen')[0]?.collective, 'ring');
      for (const { receivedBytes } of hosts) {
        const bytes = receivedBytes('eth1');
        t.diagnostic(`${bytes} bytes over the fast network`);
        assert.ok(bytes < SUM_BYTES, `${bytes} bytes over the fast network`);
      }
    });
  });
});
