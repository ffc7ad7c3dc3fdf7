import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Host } from './host.ts';
import { coordinatorCommand, sessionScript, workerCommand } from './processes.ts';

const HOST: Host = { name: 'a', target: 'a', workdir: '~/it is', workers: 1, device: 'cpu' };
const PROGRAM = { node: "/opt/it's/node", packageFolder: 'packages/1-a' };

/** Runs the script of a session, in a home of its own, in which `sleep` takes no time. */
function run(
  t: TestContext,
  command: string,
  isStartedAgain = true,
): { log: string; exit: string } {
  const home = mkdtempSync(join(tmpdir(), 'lockstep-session-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, 'it is/launch'), { recursive: true });
  mkdirSync(join(home, 'bin'));
  writeFileSync(join(home, 'bin/sleep'), '#!/bin/sh\n', { mode: 0o755 });
  const { status } = spawnSync('/bin/sh', ['-s'], {
    input: sessionScript('worker1', HOST, command, isStartedAgain),
    env: { HOME: home, PATH: `${home}/bin:/usr/bin:/bin` },
  });
  assert.equal(status, 0);
  assert.ok(existsSync(join(home, 'it is/launch/worker1.exit')));
  return {
    log: readFileSync(join(home, 'worker1.log'), 'utf8'),
    exit: readFileSync(join(home, 'it is/launch/worker1.exit'), 'utf8').trim(),
  };
}

describe('the script of a session', () => {
  test('starts a worker that dies again, later each time, and in the end no more', (t) => {
    const { log, exit } = run(t, "sh -c 'echo here >&2; exit 1'");

    const again = [1, 2, 4, 8, 16].map(
      (seconds) => `here\nlockstep launch: worker1 is started again in ${seconds} s: exit code 1\n`,
    );
    const end = 'here\nlockstep launch: worker1 is not started again: exit code 1\n';
    assert.equal(log, [...again, end].join(''));
    assert.equal(exit, '1');
  });

  test('tells of a worker that was killed', (t) => {
    const { log } = run(t, "sh -c 'kill -KILL $$'");

    assert.match(log, /started again in 1 s: exit code 137/);
  });

  test('lets a worker be whose run is over, which was started wrongly, or told to end', (t) => {
    for (const code of [0, 2, 130]) {
      const { log, exit } = run(t, `sh -c 'exit ${code}'`);
      assert.deepEqual([log, exit], ['', String(code)]);
    }
  });

  test('starts a coordinator once', (t) => {
    assert.deepEqual(run(t, "sh -c 'exit 1'", false), { log: '', exit: '1' });
  });
});

test('commands of processes quote what comes from files', () => {
  const host = { ...HOST, dataDir: "~/my 'data'", lanes: 2, interface: 'en5,en6' };

  assert.equal(
    coordinatorCommand(PROGRAM, ['--resume', 'my run']),
    String.raw`'/opt/it'\''s/node' packages/1-a/bin/lockstep.js coordinator launch/config.yaml ` +
      `--resume 'my run'`,
  );
  assert.equal(
    workerCommand(PROGRAM, { host, rank: 3 }, { kind: 'link' }),
    String.raw`'/opt/it'\''s/node' packages/1-a/bin/lockstep.js join ` +
      String.raw`--link-file launch/worker4.link --rank 3 --device cpu --lanes 2 --data-dir "$HOME"/'my '\''data'\' ` +
      '--interface en5,en6',
  );
  const way = { kind: 'address', address: '[fe80::1]:29500', isInsecure: true } as const;
  assert.match(
    workerCommand(PROGRAM, { host, rank: 0 }, way),
    / worker --join '\[fe80::1\]:29500' --insecure --rank 0 /,
  );
  const shared = (workers: number, cores?: number): string | undefined =>
    / --lanes (\d+)/.exec(
      workerCommand(PROGRAM, { host: { ...HOST, workers }, rank: 0 }, { kind: 'link' }, cores),
    )?.[1];
  assert.deepEqual(
    [shared(1, 8), shared(3, 8), shared(9, 8), shared(2)],
    [undefined, '2', '1', undefined],
  );
});
