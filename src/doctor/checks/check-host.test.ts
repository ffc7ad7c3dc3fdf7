import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHost } from './check-host.ts';
import { type Problem, hasErrors } from './finding.ts';
import type { MachineFacts } from './machine-facts.ts';
import { isOlder } from './software-checks.ts';

const EXPECTED = { node: '20.19.0', lockstep: '0.1.0' };

/** A host on which nothing is wrong. */
const WELL: MachineFacts = {
  platform: 'linux',
  node: { version: '22.4.0', program: '/usr/bin/node', isOnPath: true },
  lockstep: '0.1.0',
  runtimeProblem: null,
  devices: [{ device: 'cpu', isAvailable: true, gigaflops: 104.2 }],
  cores: { usable: 4, present: 4, load: 0.3 },
  memory: { availableBytes: 8e9, totalBytes: 16e9 },
  places: [
    { folder: '/home/a', purpose: 'runs', freeBytes: 50e9 },
    { folder: '/dev/shm', purpose: 'shared memory', freeBytes: 8e9 },
  ],
  clock: { aheadMs: 12, uncertainMs: 20 },
  openFiles: 1_048_576,
  interfaces: [{ name: 'eth0', addresses: ['10.0.0.2'] }],
  programs: { ssh: true, tmux: true },
  installer: 'apt-get',
  sleep: null,
  doorway: { host: '0.0.0.0', port: 29_500 },
  linkFile: { path: 'link' },
};

function problemsWith(facts: Partial<MachineFacts>): Problem[] {
  return checkHost({ ...WELL, ...facts }, EXPECTED).filter(
    (finding): finding is Problem => finding.severity !== 'ok',
  );
}

/** What is changed, and the one problem that follows: its name, severity, cause and remedy. */
const FAULTS: readonly (readonly [
  Partial<MachineFacts>,
  Problem['severity'],
  string,
  RegExp,
  RegExp,
])[] = [
  [{ node: null }, 'error', 'node-missing', /20\.19\.0 or newer/, /nvm install 22/],
  [{ node: { version: '18.20.1', isOnPath: true } }, 'error', 'node-old', /newer/, /nvm install/],
  [
    { node: { version: '22.4.0', program: '/opt/homebrew/bin/node', isOnPath: false } },
    'error',
    'node-hidden',
    /PATH/,
    /^sudo ln -s \/opt\/homebrew\/bin\/node \/usr\/local\/bin\/node$/,
  ],
  [{ lockstep: null }, 'warning', 'lockstep-missing', /no command/, /lockstep-train-0\.1\.0\.tgz/],
  [
    { lockstep: '0.0.9' },
    'error',
    'lockstep-differs',
    /same version/,
    /^npm install .*0\.1\.0\.tgz$/,
  ],
  [{ lockstep: '0.2.0' }, 'error', 'lockstep-differs', /same version/, /@0\.2\.0 # here$/],
  [{ runtimeProblem: 'no glibc' }, 'error', 'runtime-unusable', /no glibc/, /platforms\.md/],
  [{ isGlibc: false }, 'error', 'runtime-unusable', /no binary/, /leave it out/],
  [{ platform: 'darwin', arch: 'x64' }, 'error', 'runtime-unusable', /no binary/, /platforms\.md/],
  [
    { programs: { tar: false } },
    'warning',
    'tar-missing',
    /unpacks/,
    /^sudo apt-get install -y tar$/,
  ],
  [
    { devices: [{ device: 'cpu', isAvailable: false, reason: 'crashed' }] },
    'error',
    'runtime-unusable',
    /cpu: crashed/,
    /lockstep devices/,
  ],
  [{ cores: { usable: 2, present: 4, load: 3.1 } }, 'warning', 'cores-busy', /others leave/, /top/],
  [{ memory: { availableBytes: 9e8, totalBytes: 4e9 } }, 'warning', 'memory-low', /lane/, /ps aux/],
  [
    { memory: { availableBytes: 1e8, totalBytes: 4e9 } },
    'error',
    'memory-low',
    /lane/,
    /--lanes 1/,
  ],
  [
    { places: [{ folder: "/my disk's", purpose: 'runs', freeBytes: 5e6 }] },
    'error',
    'disk-full',
    /full/,
    /^du -xh '\/my disk'\\''s' /,
  ],
  [
    { places: [{ folder: '/a', purpose: 'runs', freeBytes: 5e8 }] },
    'warning',
    'disk-low',
    /may not fit/,
    /^du -xh \/a /,
  ],
  [
    { places: [{ folder: '/a', purpose: 'cache', problem: 'EACCES' }] },
    'error',
    'folder-closed',
    /EACCES/,
    /chown/,
  ],
  [
    { places: [{ folder: '/dev/shm', purpose: 'shared memory', freeBytes: 64e6 }] },
    'warning',
    'shared-memory-small',
    /64 MB/,
    /--shm-size/,
  ],
  [{ openFiles: 200 }, 'error', 'files-limited', /three connections/, /^ulimit -n 65536/],
  [{ openFiles: 512 }, 'warning', 'files-limited', /three connections/, /limits\.d/],
  [
    { sleep: { why: 'after 10 min', remedy: 'sudo pmset -a sleep 0' } },
    'warning',
    'machine-sleeps',
    /10 min/,
    /pmset/,
  ],
  [
    { clock: { aheadMs: -90_000, uncertainMs: 30 } },
    'warning',
    'clock-skewed',
    /cannot be compared/,
    /^sudo timedatectl set-ntp true$/,
  ],
  [
    { platform: 'darwin', clock: { aheadMs: 3e6, uncertainMs: 30 } },
    'warning',
    'clock-skewed',
    /cannot be compared/,
    /^sudo sntp -sS/,
  ],
  [
    { programs: { tmux: false } },
    'warning',
    'tmux-missing',
    /detached/,
    /^sudo apt-get install -y tmux$/,
  ],
  [
    { installer: 'brew', programs: { tmux: false } },
    'warning',
    'tmux-missing',
    /detached/,
    /^brew install tmux$/,
  ],
  [{ programs: { ssh: false } }, 'warning', 'ssh-missing', /started from here/, /openssh-client/],
  [{ interfaces: [] }, 'error', 'network-missing', /no interface/, /^ip -brief address$/],
  [
    { interfaces: [{ name: 'docker0', addresses: ['172.17.0.1'], isVirtual: true }] },
    'error',
    'network-missing',
    /no interface/,
    /^ip/,
  ],
  [
    {
      doorway: {
        host: '0.0.0.0',
        port: 29_500,
        problem: 'EADDRINUSE',
        holder: 'node (process 812)',
      },
    },
    'error',
    'port-in-use',
    /^node \(process 812\) listens there$/,
    /^kill 812 /,
  ],
  [
    { doorway: { host: '0.0.0.0', port: 80, problem: 'EACCES' } },
    'error',
    'port-denied',
    /below 1024/,
    /--port 29500/,
  ],
  [
    { doorway: { host: '10.9.9.9', port: 29_500, problem: 'EADDRNOTAVAIL' } },
    'error',
    'address-elsewhere',
    /no address of this machine/,
    /^--host 10\.0\.0\.2 /,
  ],
  [
    { linkFile: { path: 'my link', problem: 'it is empty' } },
    'error',
    'link-file-unusable',
    /empty/,
    /copy/,
  ],
  [
    { linkFile: { path: 'my link', isOpen: true } },
    'warning',
    'link-file-open',
    /token/,
    /^chmod 600 'my link'$/,
  ],
];

describe('checkHost', () => {
  test('finds nothing wrong with a host that has all', () => {
    const findings = checkHost(WELL, EXPECTED);

    assert.deepEqual([...new Set(findings.map(({ severity }) => severity))], ['ok']);
    assert.ok(findings.length >= 12);
    assert.equal(hasErrors(findings), false);
  });

  test('says nothing of what is not known', () => {
    assert.deepEqual(checkHost({}, EXPECTED), []);
  });

  for (const [facts, severity, id, cause, remedy] of FAULTS)
    test(`names ${id} with cause and remedy, of ${JSON.stringify(facts)}`, () => {
      const problems = problemsWith(facts);

      assert.deepEqual(
        problems.map((problem) => [problem.id, problem.severity]),
        [[id, severity]],
      );
      assert.match(problems[0]!.cause, cause);
      assert.match(problems[0]!.remedy, remedy);
    });
});

describe('isOlder', () => {
  test('compares versions number by number', () => {
    assert.ok(isOlder('v9.9.9', '10.0.0'));
    assert.ok(isOlder('0.1.9', '0.1.10'));
    assert.ok(!isOlder('0.1.0', '0.1.0'));
    assert.ok(!isOlder('22.0.0-nightly', '20.19.0'));
  });
});
