import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Problem } from '../../src/doctor/checks/finding.ts';
import type { Examination } from '../../src/doctor/examination.ts';
import { listen } from '../../src/transport/tcp.ts';
import { lockstep } from './lockstep-command.ts';
import { type Program, startLockstep, startProgram, temporaryFolder } from './processes.ts';
import { Run } from './runs.ts';

describe('lockstep doctor', () => {
  test('ends with 1 and the remedy when something keeps Lockstep from working', async (t) => {
    const holder = await listen({ host: '127.0.0.1', port: 0 }, (one) => one.destroy());
    t.after(() => holder.close());
    const { port } = holder.address;
    const place = ['--host', '127.0.0.1', '--port', String(port)];
    const { status, stdout, stderr } = await lockstep(t, 'doctor', ...place);

    assert.equal(stderr, '');
    assert.equal(status, 1);
    assert.match(
      stdout,
      new RegExp(`^ {2}error {4}port ${port} is in use {2}\\[port-in-use\\]$`, 'm'),
    );
    assert.match(stdout, /^ {11}fix: (kill \d+|lsof -nP) /m);
    assert.match(stdout, /^1 error, .* docs\/troubleshooting\.md says more/m);
  });

  test('tells as JSON how few files a process may have open', async (t) => {
    const command = `ulimit -n 200; exec ${process.execPath} bin/lockstep.js doctor --json`;
    const program = startProgram(t, 'sh', ['-c', command]);
    const { status } = await program.end();
    const { findings, hosts } = JSON.parse(program.stdout) as Examination;
    const found = findings.find(({ id }) => id === 'files-limited');

    assert.equal(status, 1);
    assert.equal(found?.severity, 'error');
    assert.equal(found.host, hosts[0]?.name);
    assert.equal(hosts[0]?.facts.openFiles, 200);
  });

  test('tells wrong and revoked tokens from the right one, and uses none up', async (t) => {
    const folder = temporaryFolder(t);
    const start = (user: string, ...args: string[]): Program =>
      startLockstep(t, args, folder, { LOCKSTEP_HOME: join(folder, user) });
    const settings = ['--dataset', 'digits', '--steps', '9', '--workers', '1', '--json'];
    const coordinator = start('desk', 'coordinator', ...settings, '--lan', '--link-file', 'link');
    const run = new Run(coordinator, join(folder, 'run'));
    const address = (await run.address()).replace('0.0.0.0', '127.0.0.1');
    const other = start('else', 'token', 'create', '--join', address);
    await other.end();
    writeFileSync(join(folder, 'wrong link'), other.stdout, { mode: 0o600 });
    const spent = start('desk', 'token', 'create', '--join', address);
    await spent.end();
    writeFileSync(join(folder, 'old link'), spent.stdout, { mode: 0o600 });
    await start('desk', 'token', 'revoke', spent.stdout.split('_')[2] ?? '').end();
    const look = async (file: string): Promise<Examination> => {
      const program = start('mini', 'doctor', '--json', '--link-file', file);
      await program.end();
      return JSON.parse(program.stdout) as Examination;
    };

    const looks = ['wrong link', 'old link', 'link'].map(look);
    const [wrong, old, right] = (await Promise.all(looks)) as [
      Examination,
      Examination,
      Examination,
    ];
    const tokens = start('desk', 'token', 'list');
    await tokens.end();

    const problem = wrong.findings.find(({ id }) => id === 'token-wrong') as Problem;
    assert.match(problem.cause, /it does not accept our key/);
    assert.match(problem.remedy, /^lockstep token create --join 127\.0\.0\.1:\d+ /);
    const revoked = old.findings.find(({ id }) => id === 'token-wrong') as Problem;
    assert.match(revoked.cause, /^the token was revoked \d+ s ago/);
    assert.ok(
      right.findings.some(({ id }) => id === 'coordinator'),
      'it answers',
    );
    assert.match(tokens.stdout, /0 of 64 uses/);
  });

  test('refuses hosts that ssh would take for options, and files without hosts', async (t) => {
    const wrong = [
      ['--', '-oProxyCommand=true'],
      ['--hosts', 'package.json'],
      ['--join', 'nowhere'],
      ['--port', '70000'],
    ];
    for (const args of wrong) {
      const { status, stdout, stderr } = await lockstep(t, 'doctor', ...args);

      assert.equal(status, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^error: .*(expected|unknown key)/);
    }
  });
});
