import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Host } from '../remote/host.ts';
import type { Runner } from '../remote/runner.ts';
import { sshFailure } from '../remote/ssh-failures.ts';
import { type HostReport, inspectHosts, judge, sortReports } from './inspect-hosts.ts';
import { parseProbe } from './shell-probe.ts';

const HOST: Host = { name: 'a', target: 'a', workdir: '~/x', workers: 1, device: 'cpu' };
const GOOD = [
  ...['platform=Linux', 'node=/opt/my node/bin/node', 'version=20.19.0', 'has=tmux', 'has=tar'],
  ...['build=linux x64 library /opt/my node/bin/node', 'place=9000000 /home/a', 'time=1000', ''],
].join('\n');

function reportOf(said: string, askedMs = 1_000_000, answeredMs = 1_000_500): HostReport {
  return judge(HOST, parseProbe(said), askedMs, answeredMs);
}

function problemsOf(said: string): readonly string[] {
  return reportOf(said).problems.map(
    ({ severity, what }) => `${severity === 'error' ? 'x' : '!'} ${what}`,
  );
}

describe('a host of a launch', () => {
  test('is fit, or is not, for reasons that are told', () => {
    assert.deepEqual(problemsOf(GOOD), []);
    assert.deepEqual(reportOf(GOOD).node, {
      ...{ path: '/opt/my node/bin/node', platform: 'linux', arch: 'x64' },
    });
    assert.deepEqual(problemsOf(GOOD.replace('20.19.0', '20.18.3')), [
      'x Node.js 20.18.3 is too old (/opt/my node/bin/node)',
    ]);
    assert.deepEqual(problemsOf(GOOD.replace('library', 'none')), ['x its C library is not glibc']);
    assert.deepEqual(problemsOf(GOOD.replace('linux x64', 'darwin x64')), ['x it is an Intel Mac']);
    assert.deepEqual(problemsOf(GOOD.replace('9000000', '100')), [
      'x 0 MB are free in /home/a (runs)',
    ]);
    assert.deepEqual(problemsOf(GOOD.replace('9000000', '1000000')), [
      '! 1.0 GB are free in /home/a (runs)',
    ]);
    assert.deepEqual(problemsOf(''), [
      'x there is no Node.js',
      '! there is no tmux',
      'x there is no tar',
    ]);
  });

  test('needs no Node.js that a shell finds, and is told how to name one', () => {
    assert.match(
      reportOf('').problems[0]?.remedy ?? '',
      /^Install Node\.js 20\.19.*`node` of the host/,
    );
  });

  test('may have a clock that is wrong by more than the answer took', () => {
    const report = reportOf(GOOD, 900_000, 901_000);

    assert.match(report.problems[0]?.what ?? '', /its clock is 100\.0 s ahead/);
    assert.equal(sortReports([report]).ready.length, 1);
    assert.deepEqual(reportOf(GOOD, 997_000, 1_001_000).problems, []);
    assert.match(reportOf(GOOD, 1_100_000, 1_101_000).problems[0]?.what ?? '', /behind/);
  });

  test('that is not reached, or is no host for us, is out, and others are not', async () => {
    const says: Readonly<Record<string, () => string>> = {
      lost: () => {
        throw sshFailure({ ...HOST, name: 'lost' }, 'ssh: connect to host lost: No route to host');
      },
      windows: () => "'sh' is not recognized",
      well: () => GOOD.replace('time=1000', `time=${Math.floor(Date.now() / 1000)}`),
    };
    const runner: Runner = {
      run: async ({ name }) => Promise.resolve({ exitCode: 0, stdout: says[name]!(), stderr: '' }),
    };
    const hosts = Object.keys(says).map((name) => ({ ...HOST, name }));

    const reports = await inspectHosts({ coordinator: HOST, hosts }, runner);
    const { ready, unfit } = sortReports(reports);

    assert.deepEqual(
      ready.map(({ host }) => host.name),
      ['well'],
    );
    assert.deepEqual(
      unfit.map(({ host, problems }) => [host.name, problems[0]?.id]),
      [
        ['lost', 'host-unreachable'],
        ['windows', 'ssh-failed'],
      ],
    );
  });
});
