import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import type { Host } from './host.ts';
import { removalScript, removeOldPackages } from './old-packages.ts';
import type { Runner } from './runner.ts';

const [OLDEST, OLD, USED, BEFORE, LATEST] = [1, 2, 3, 4, 5].map(
  (build) => `0.1.${build}-${String(build).repeat(12)}`,
) as [string, string, string, string, string];

const NO_SESSIONS = mkdtempSync(join(tmpdir(), 'lockstep-no-sessions-'));
after(() => rmSync(NO_SESSIONS, { recursive: true, force: true }));

/** A host with builds that were copied one hour after the other, in this order. */
function hostWith(t: TestContext, builds: readonly string[]): { host: Host; left: () => string[] } {
  const workdir = mkdtempSync(join(tmpdir(), "lockstep it's "));
  t.after(() => rmSync(workdir, { recursive: true, force: true }));
  for (const [hour, build] of builds.entries()) {
    const folder = join(workdir, 'packages', build);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{}');
    utimesSync(folder, 3_600 * hour, 3_600 * hour);
  }
  mkdirSync(join(workdir, 'launch'));
  const host: Host = { name: 'a', target: 'a', workdir, workers: 1, device: 'cpu' };
  return { host, left: () => readdirSync(join(workdir, 'packages')).sort() };
}

/** Runs scripts here, where there are no sessions of tmux. */
const HERE: Runner = {
  run: async ({ name }, command, { stdin = '' } = {}) => {
    const input = typeof stdin === 'string' ? stdin : '';
    const env = { PATH: '/usr/bin:/bin', TMUX_TMPDIR: NO_SESSIONS };
    const options = { input, encoding: 'utf8', env } as const;
    const { stdout, stderr, status } = spawnSync('/bin/sh', ['-c', command], options);
    assert.equal(stderr, '', name);
    return Promise.resolve({ exitCode: status ?? 1, stdout, stderr });
  },
};

describe('builds on a host', () => {
  test('are removed but for the newest two, and those that sessions run from', async (t) => {
    const { host, left } = hostWith(t, [OLDEST, USED, OLD, BEFORE, LATEST]);
    const script = (build: string): string => `node packages/${build}/bin/lockstep.js join\n`;
    writeFileSync(join(host.workdir, 'launch/worker1.sh'), script(USED));
    writeFileSync(join(host.workdir, 'launch/worker1.pid'), String(process.pid));
    writeFileSync(join(host.workdir, 'launch/worker2.sh'), script(OLD));
    const told: string[] = [];

    const report = { host, packages: left(), sessions: [] };
    await removeOldPackages(HERE, [report], LATEST, (line) => told.push(line));

    assert.deepEqual(left(), [USED, BEFORE, LATEST].sort());
    assert.deepEqual(
      told.sort(),
      [OLDEST, OLD].map((one) => `a: removed ${one}, an old build`),
    );
  });

  test('stay where it is the older one that is started, and what is not ours stays', (t) => {
    const others = ['mine', '0.1.0-notahash', `0.1.7-${'7'.repeat(11)}`];
    const { host, left } = hostWith(t, [...others, OLDEST, OLD, BEFORE, LATEST]);

    spawnSync('/bin/sh', ['-s'], { input: removalScript(host, OLDEST) });

    assert.deepEqual(left(), [...others, OLDEST, LATEST].sort());
  });

  test('are not looked at on hosts that have few', async () => {
    const { host } = { host: { name: 'a', target: 'a' } as Host };
    const few = { host, packages: [OLD, LATEST], sessions: [] };
    const runner: Runner = { run: async () => Promise.reject(new Error('it was asked')) };

    await removeOldPackages(runner, [few, { ...few, packages: [] }], LATEST, () => {});
  });
});
