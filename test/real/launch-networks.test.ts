/** Three hosts, each with an ssh server, a slow and a fast network, and one command. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import { startLockstep, waitFor } from '../cluster/processes.ts';
import { referenceOf } from '../cluster/runs.ts';
import { reasonToSkip, withNetwork } from './network.ts';
import { reasonToSkipSsh, SshServers } from './ssh-server.ts';

const NAMES = ['mini1', 'mini2', 'mini3'] as const;
const STEPS = 240;
const ARGS = ['--hidden', '256', '--seed', '7', '--steps', String(STEPS), '--eval-every', 'never'];
/** Weights and offsets of 784 to 256 to 10, as floats. */
const STATE_BYTES = 4 * (784 * 256 + 256 + 256 * 10 + 10);
/** Kilobits a second; the package goes over the slow network, too. */
const SLOW = 400_000;

describe('lockstep launch on three hosts', { skip: reasonToSkip() || reasonToSkipSsh() }, () => {
  test('trains over their fast network, with the digest of one machine', async (t) => {
    await startLockstep(t, ['--version']).end();
    const { summary: reference } = await referenceOf(t, ARGS);
    const servers = new SshServers();
    process.env['LOCKSTEP_SSH_CONFIG'] = servers.configFile;
    try {
      await withNetwork(async (network) => {
        const hosts = NAMES.map(() => network.addHost(SLOW));
        const fast = await network.wireAll(hosts, undefined);
        const served = await Promise.all(
          hosts.map(async ({ namespace, address }, i) =>
            servers.serve(NAMES[i]!, { namespace, address }),
          ),
        );
        const file = join(servers.folder, 'hosts.yaml');
        const lines = NAMES.map(
          (name, i) => `  - { name: ${name}, address: ${fast[i]}, lanes: 1 }`,
        );
        writeFileSync(file, ['hosts:', ...lines, ''].join('\n'));

        const words = ['launch', file, ...ARGS, '--collective', 'ring', '--name', 'run'];
        const launch = network.run(words);
        assert.equal((await launch.end()).status, 0, launch.stderr);
        const before = hosts.map(({ receivedBytes }) => receivedBytes('eth0'));

        const path = join(served[0]!.home, 'lockstep/experiments/run/summary.json');
        await waitFor('the end of the run', () => existsSync(path));
        const summary = JSON.parse(readFileSync(path, 'utf8')) as RunSummary;
        assert.equal(summary.status, 'finished');
        assert.equal(summary.workers.length, NAMES.length);
        assert.equal(summary.stateDigest, reference.stateDigest);
        for (const [i, { receivedBytes }] of hosts.entries()) {
          const [slowBytes, fastBytes] = [
            receivedBytes('eth0') - before[i]!,
            receivedBytes('eth1'),
          ];
          t.diagnostic(
            `${NAMES[i]}: ${slowBytes} bytes over the slow network, ${fastBytes} over fast`,
          );
          assert.ok(slowBytes < STATE_BYTES, `${slowBytes} bytes over the slow network`);
          assert.ok(fastBytes > 10 * STATE_BYTES, `${fastBytes} bytes over the fast network`);
        }
        const stop = network.run(['launch', 'stop', '--hosts', file]);
        assert.equal((await stop.end()).status, 0, stop.stderr);
      });
    } finally {
      delete process.env['LOCKSTEP_SSH_CONFIG'];
      await servers.close();
    }
  });
});
