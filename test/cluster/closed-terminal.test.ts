/** What becomes of commands whose terminal is closed, or whose words nobody reads any more. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Program, REPOSITORY, startLockstep, temporaryFolder, waitFor } from './processes.ts';
import { PROMISE, Run } from './runs.ts';

const LONG = [...PROMISE, '--epochs', '100', '--workers', '2', '--lanes', '1'];

/** Commands that wait for somebody, and when they do. */
const WAITING: readonly [command: string, says: RegExp][] = [
  ['coordinator --steps 3', /coordinator \S+:\d+/],
  ['compute-node 0 0 --host 127.0.0.1', /listens on/],
  ['coordinator-node 0 1 --host 127.0.0.1 --nodes nodes', /listens on/],
];

const hasScript = spawnSync('script', ['--version'], { timeout: 60_000 }).status === 0;
const options = { skip: hasScript ? false : 'script is missing: apt-get install bsdutils' };

describe('a command whose terminal is closed', () => {
  test('is a run that ends in good order, and leaves nothing running', options, async (t) => {
    const outDir = temporaryFolder(t);
    const lockstep = [join(REPOSITORY, 'bin/lockstep.js'), 'train', ...LONG, '--name', 'run'];
    const command = [process.execPath, ...lockstep, '--out-dir', outDir].join(' ');
    // script(1) holds the terminal: it goes with it, and with it whoever reads.
    const child = spawn('script', ['-qfec', `exec ${command}`, '/dev/null'], {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: { ...process.env, LOCKSTEP_NO_BUILD: '1' },
    });
    const terminal = new Program(child);
    t.after(() => terminal.release());
    const run = new Run(terminal, join(outDir, 'run'));
    await run.workerIds(2);
    await run.reachesStep(5);

    terminal.signal('SIGKILL');
    await terminal.end();

    await run.assertNothingLeft(8_000);
    await waitFor('summary.json', () => existsSync(join(run.folder, 'summary.json')));
    const { status, reason } = run.summary();
    assert.deepEqual([status, reason], ['interrupted', 'interrupted by the user']);
  });

  for (const [command, says] of WAITING)
    test(`ends with 130: ${command.split(' ')[0]}`, async (t) => {
      const folder = temporaryFolder(t);
      writeFileSync(join(folder, 'nodes'), '');
      const program = startLockstep(t, command.split(' '), folder);
      await program.saying(says);

      program.signal('SIGHUP');

      assert.deepEqual(await program.end(), { status: 130, signal: null }, program.stderr);
    });

  test('ends with 130: worker', async (t) => {
    const door = createServer();
    const knocked = once(door, 'connection');
    t.after(() => door.close());
    await once(door.listen(0, '127.0.0.1'), 'listening');
    const { port } = door.address() as AddressInfo;
    const program = startLockstep(t, ['worker', '--join', `127.0.0.1:${port}`, '--lanes', '1']);
    await knocked;

    program.signal('SIGHUP');

    assert.deepEqual(await program.end(), { status: 130, signal: null }, program.stderr);
  });
});

describe('a run whose words nobody reads', () => {
  test('goes on, and finishes', async (t) => {
    const outDir = temporaryFolder(t);
    const args = [...PROMISE, '--steps', '10', '--workers', '1', '--lanes', '1', '--json'];
    const child = spawn(
      process.execPath,
      [join(REPOSITORY, 'bin/lockstep.js'), 'train', ...args, '--out-dir', outDir, '--name', 'run'],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LOCKSTEP_NO_BUILD: '1' } },
    );
    const program = new Program(child);
    t.after(() => program.release());
    child.stderr.destroy();

    const { status } = await program.end();

    assert.equal(status, 0);
    assert.deepEqual(
      JSON.parse(program.stdout),
      JSON.parse(readFileSync(join(outDir, 'run', 'summary.json'), 'utf8')),
    );
  });
});
