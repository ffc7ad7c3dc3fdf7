import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { machineFacts } from './checks/machine-facts.ts';
import { parseProbe, type Probed, probeScript } from './shell-probe.ts';

const OWN_NODE = dirname(process.execPath);

/** An empty home, in which the script is run by a plain shell with these programs. */
class Home {
  readonly folder = mkdtempSync(join(tmpdir(), "lockstep it's "));

  constructor(t: TestContext) {
    t.after(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  write(path: string, text: string): string {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode: 0o755 });
    return file;
  }

  /** No Lockstep: its own report has a test with a real server. */
  ask(host: Probed, programs: string = OWN_NODE) {
    const { stdout, stderr, status } = spawnSync('/bin/sh', ['-s'], {
      input: probeScript(host, 'brief'),
      encoding: 'utf8',
      env: { PATH: `${programs}:/usr/bin:/bin`, HOME: this.folder, TMUX_TMPDIR: this.folder },
      cwd: this.folder,
    });
    assert.deepEqual([status, stderr], [0, '']);
    return parseProbe(`Welcome!\n${stdout}`);
  }
}

describe('the script for hosts', () => {
  test('finds on this machine what Node.js finds, in a plain shell', (t) => {
    const home = new Home(t);
    const { facts, timeMs = 0 } = home.ask({ workdir: home.folder });

    assert.equal(facts.platform, process.platform);
    assert.equal(facts.arch, process.arch);
    assert.deepEqual(facts.node, {
      ...{ version: process.versions.node, program: process.execPath, isOnPath: true },
    });
    assert.ok(
      facts.places!.some(({ folder: at, freeBytes = 0 }) => at === home.folder && freeBytes > 0),
    );
    assert.ok(facts.cores!.usable >= 1);
    assert.ok(facts.openFiles! > 0);
    assert.equal(facts.programs?.tar, true);
    assert.ok(Math.abs(timeMs - Date.now()) < 5_000);
    assert.deepEqual(machineFacts.parse(JSON.parse(JSON.stringify(facts))), facts);
  });

  test('finds packages and sessions of ours, and the disk of a folder that is not there yet', (t) => {
    const home = new Home(t);
    home.write('x/packages/0.1.0-abc/package.json', '{}');
    home.write('x/packages/.new-7/nothing', '');
    home.write('x/launch/worker7.pid', String(process.pid));
    home.write('x/launch/worker8.pid', '');

    const { packages, sessions } = home.ask({ workdir: '~/x', node: process.execPath });
    const { facts } = home.ask({ workdir: '~/not/yet' });

    assert.deepEqual([packages, sessions], [['0.1.0-abc'], ['worker7']]);
    assert.equal(facts.places?.find(({ purpose }) => purpose === 'runs')?.folder, home.folder);
  });

  test('takes the first Node.js that is new enough, or the first of those that are not', (t) => {
    const home = new Home(t);
    const says = (path: string, version: string): string =>
      home.write(path, `#!/bin/sh\necho ${version} linux x64 none /behind/$0\n`);
    const found = (host: Probed = {}): string | undefined =>
      home.ask(host, join(home.folder, 'bin')).facts.node?.version;
    says('bin/node', '18.1.0');
    says('.volta/bin/node', '20.18.9');

    assert.equal(found({ node: join(home.folder, 'bin/node') }), '18.1.0');
    assert.equal(found({ node: '/no/such/node' }), undefined);
    says('.nvm/versions/node/a/bin/node', '20.19.0');
    says('.nvm/versions/node/b/bin/node', '24.1.2');
    assert.equal(found({ node: '~/.nvm/versions/node/b/bin/node' }), '24.1.2');
    assert.equal(home.ask({ node: '~/.volta/bin/node' }).facts.isGlibc, false);
    assert.ok(['20.19.0', process.versions.node].includes(found() ?? ''), 'or that of this system');
  });
});

describe('parseProbe', () => {
  test('reads what a Mac says', () => {
    const { facts, ownReport } = parseProbe(
      [
        'Last login: yesterday = long ago',
        'platform=Darwin',
        'release=24.1.0',
        'node=/opt/homebrew/bin/node',
        'version=v22.4.0',
        'has=ssh',
        'installer=brew',
        'files=unlimited',
        'cores=8',
        'place=1048576 /Users/ann',
        'place=closed /tmp',
        'sleep= sleep                10',
        'address=lo0 127.0.0.1',
        'address=en0 192.168.1.7',
        'address=bridge0 10.10.0.2',
        'address=utun3 100.64.0.9',
        '',
      ].join('\n'),
    );

    assert.equal(ownReport, undefined);
    assert.equal(facts.platform, 'darwin');
    assert.deepEqual(facts.node, {
      ...{ program: '/opt/homebrew/bin/node', version: '22.4.0', isOnPath: false },
    });
    assert.equal(facts.lockstep, null);
    assert.deepEqual(facts.programs, { ssh: true, tmux: false, tar: false });
    assert.equal(facts.installer, 'brew');
    assert.equal(facts.openFiles, Number.MAX_SAFE_INTEGER);
    assert.deepEqual(facts.places, [
      { folder: '/Users/ann', purpose: 'runs', freeBytes: 2 ** 30 },
      { folder: '/tmp', purpose: 'temporary files', problem: 'this user may not write there' },
    ]);
    assert.match(facts.sleep!.why, /10 min/);
    assert.deepEqual(facts.interfaces, [
      { name: 'en0', addresses: ['192.168.1.7'] },
      { name: 'bridge0', addresses: ['10.10.0.2'] },
      { name: 'utun3', addresses: ['100.64.0.9'], isVirtual: true },
    ]);
    assert.equal(facts.memory, undefined);
  });

  test('takes nothing that a host makes up', () => {
    const { facts, packages, sessions } = parseProbe(
      'session=$(reboot)\nsession=worker1;x\npackage=../../x\npackage=a b\n' +
        'node=/x\nversion=many\nbuild=linux x y z\nplace=many /x\ntime=late\n',
    );

    assert.deepEqual([sessions, packages, facts.node, facts.places], [[], [], null, []]);
    assert.equal(facts.isGlibc, undefined);
  });

  test('gives the own report of a host as it came, and nothing of what is no answer', () => {
    const { facts, ownReport } = parseProbe('cores=many\n--- its own report ---\n{"doctor":1}\n');

    assert.equal(ownReport, '{"doctor":1}\n');
    assert.equal(facts.cores, undefined);
    assert.equal(facts.node, null);
    assert.deepEqual(facts.interfaces, []);
  });
});
