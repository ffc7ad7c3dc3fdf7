/** Three hosts, each with an ssh server, a slow and a fast network, and one command. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startLockstep, waitFor } from '../cluster/processes.ts';
import { referenceOf, Run } from '../cluster/runs.ts';
import { reasonToSkip, withNetwork } from './network.ts';
import { reasonToSkipSsh, SshServers } from './ssh-server.ts';

const NAMES = ['mini1', 'mini2', 'mini3'] as const;
const SETTINGS = ['--hidden', '256', '--seed', '7', '--eval-every', 'never'];
/** Weights and offsets of 784 to 256 to 10, as floats. */
const STATE_BYTES = 4 * (784 * 256 + 256 + 256 * 10 + 10);
/** Kilobits a second; the package goes over the slow network, too. */
const SLOW = 400_000;
/** Before a host is unplugged, without it, and after it is back. */
const STEPS = 50;

/** Resolves once this many steps are committed of a run that others have started. */
async function reaches(run: Run, step: number): Promise<void> {
  await waitFor(`step ${step}`, () => run.eventsOf('step').some((event) => event.step >= step));
}

/** The first step after another one with work of a rank, or without. */
function stepAfter(run: Run, from: number, rank: number, hasWork: boolean): number | undefined {
  return run
    .eventsOf('step')
    .filter(({ step }) => step > from)
    .find(({ ranks }) => hasWork === ranks.some((one) => one.rank === rank && one.microBatches > 0))
    ?.step;
}

describe('lockstep launch on three hosts', { skip: reasonToSkip() || reasonToSkipSsh() }, () => {
  test('trains over their fast network to the digest of one, though one is unplugged', async (t) => {
    await startLockstep(t, ['--version']).end();
    const servers = new SshServers();
    process.env['LOCKSTEP_SSH_CONFIG'] = servers.configFile;
    try {
      await withNetwork(async (network) => {
        const hosts = NAMES.map(() => network.addHost(SLOW));
        const addresses = await network.wireAll(hosts, undefined);
        const served = await Promise.all(
          hosts.map(async ({ namespace, address }, i) =>
            servers.serve(NAMES[i]!, { namespace, address }),
          ),
        );
        const file = join(servers.folder, 'hosts.yaml');
        const lines = NAMES.map(
          (name, i) => `  - { name: ${name}, address: ${addresses[i]}, lanes: 1 }`,
        );
        writeFileSync(file, ['hosts:', ...lines, ''].join('\n'));

        const words = ['launch', file, ...SETTINGS, '--steps', '1000000'];
        const launch = network.run([...words, '--collective', 'ring', '--name', 'run']);
        assert.equal((await launch.end()).status, 0, launch.stderr);
        const before = hosts.map(({ receivedBytes }) => receivedBytes('eth0'));

        const run = new Run(launch, join(served[0]!.home, 'lockstep/experiments/run'));
        await reaches(run, STEPS);
        hosts[2]!.plug(false);
        const { rank, step, reason } = await waitFor(
          'a stall',
          () => run.eventsOf('worker-stalled')[0],
        );
        await reaches(run, step + STEPS);
        const alone = stepAfter(run, step, rank, false)!;
        hosts[2]!.plug(true);
        const back = await waitFor('its return', () => stepAfter(run, alone, rank, true));
        await reaches(run, back + STEPS);
        const bytes = hosts.map(({ receivedBytes }, i) => ({
          slow: receivedBytes('eth0') - before[i]!,
          fast: receivedBytes('eth1'),
        }));
        const stop = network.run(['launch', 'stop', '--hosts', file]);
        assert.equal((await stop.end()).status, 0, stop.stderr);

        const summary = run.summary();
        assert.equal(summary.workers.length, NAMES.length);
        assert.deepEqual(
          run.eventsOf('worker-stalled').map((event) => event.rank),
          [rank],
          'the others go on',
        );
        t.diagnostic(`stalled at step ${step}: ${reason}; back in step ${back}`);
        const { step: end, stateDigest } = run.eventsOf('checkpoint-written').at(-1)!;
        const { summary: reference } = await referenceOf(t, [...SETTINGS, '--steps', `${end}`]);
        assert.equal(end, summary.steps);
        assert.equal(stateDigest, reference.stateDigest, `${end} steps`);
        for (const [i, { slow, fast }] of bytes.entries()) {
          t.diagnostic(`${NAMES[i]}: ${slow} bytes over the slow network, ${fast} over the fast`);
          assert.ok(slow < STATE_BYTES, `${slow} bytes over the slow network`);
          assert.ok(fast > 10 * STATE_BYTES, `${fast} bytes over the fast network`);
        }
      });
    } finally {
      delete process.env['LOCKSTEP_SSH_CONFIG'];
      await servers.close();
    }
  });
});
