/**
 * Runs of real processes on links that lose packets, as Wi-Fi does, or have them come twice: nobody
 * is taken for dead.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test, type TestContext } from 'node:test';
import { startProgram } from '../cluster/processes.ts';
import { assertSameModel, referenceOf } from '../cluster/runs.ts';
import { type Host, reasonToSkip, troublesOf, withNetwork } from './network.ts';

/** 204 kB in a sum. */
const ARGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never', '--steps', '80'];
const END_MS = 60_000;
/** Each waits for a round trip, at least. */
const FAR: readonly string[] = [...ARGS.slice(0, -1), '20'];
const ROUND_TRIP_MS = 200;
/** Every byte between it and an address arrives later, by half a round trip each way. */
const RELAY = `
import { openRelay } from './src/transport/relay.ts';
const [host, port] = process.argv[1].split(':');
const relay = await openRelay({ host, port: Number(port) });
const late = { kind: 'delay', ms: ${ROUND_TRIP_MS / 2} };
relay.set({ up: late, down: late });
console.log(relay.address.port);
`;

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
      const [lost, doubled] = [network.lose(2), network.repeat(5)];
      for (const host of hosts) network.joinAt(host);

      const outcome = await run.outcome(END_MS);

      assertSameModel(outcome, reference);
      assert.deepEqual(troublesOf(run), []);
      t.diagnostic(`${lost()} packets were lost, ${doubled()} came twice`);
      assert.ok(lost() > 20, 'packets were lost');
      assert.ok(doubled() > 50, 'packets came twice');
    });
  });

  test('and are far away loses nobody, and makes the same model', async (t) => {
    const reference = await referenceOf(t, FAR);
    await withNetwork(async (network) => {
      const place = ['--collective', 'star', '--workers', '2', '--insecure'];
      const run = await network.coordinate([...FAR, ...place]);
      const address = await run.address();
      const hosts = [network.addHost(undefined), network.addHost(undefined)];
      const lost = network.lose(2);
      await Promise.all(
        hosts.map(async (host) =>
          host.start(['worker', '--join', await farFrom(t, host, address), '--lanes', '1']),
        ),
      );

      const outcome = await run.outcome(END_MS);

      assertSameModel(outcome, reference);
      assert.deepEqual(troublesOf(run), []);
      const longest = Math.max(...run.eventsOf('step').map(({ stepMs }) => stepMs));
      t.diagnostic(`${lost()} packets were lost; the longest step took ${longest.toFixed(0)} ms`);
      assert.ok(lost() > 5, 'packets were lost');
      assert.ok(longest > ROUND_TRIP_MS, `${longest} ms`);
    });
  });
});

/** Where a host reaches a coordinator as if that were far away. */
async function farFrom(t: TestContext, { namespace }: Host, address: string): Promise<string> {
  const words = ['--import', 'tsx', '--input-type=module', '-e', RELAY, address];
  const inside = ['netns', 'exec', namespace, process.execPath, ...words];
  const relay = startProgram(t, 'ip', inside);
  return `127.0.0.1:${await relay.during('a port', () => relay.stdout.trim() || undefined)}`;
}
