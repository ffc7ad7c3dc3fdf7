/** Runs that are launched on hosts over real ssh servers, in real tmux. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import { quoteAll } from '../../src/remote/quote.ts';
import { REPOSITORY, startLockstep, temporaryFolder, waitFor } from '../cluster/processes.ts';
import { referenceOf } from '../cluster/runs.ts';
import { freePort, reasonToSkipSsh, type Served, SshServers } from './ssh-server.ts';

const WORKDIR = `it's a "work" $folder`;
const SETTINGS = ['--hidden', '64', '--seed', '7', '--eval-every', 'never'];
const TRAINING = [...SETTINGS, '--steps', '1500'];
const ENDLESS = [...SETTINGS, '--steps', '1000000'];

/** A terminal of this machine, in which one command of `lockstep` runs. */
class Screen {
  readonly #place: NodeJS.ProcessEnv;
  readonly #codeFile: string;

  constructor(t: TestContext, folder: string, words: readonly string[]) {
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    this.#place = { ...inherited, TMUX_TMPDIR: folder, LOCKSTEP_NO_BUILD: '1' };
    this.#codeFile = join(folder, 'exit code');
    const program = [process.execPath, join(REPOSITORY, 'bin/lockstep.js'), ...words];
    const line = `${quoteAll(program)}; echo $? >${quoteAll([this.#codeFile])}; sleep 60`;
    t.after(() => void spawnSync('tmux', ['kill-server'], { env: this.#place }));
    this.#tmux('new-session', '-d', '-x', '150', '-y', '40', '-c', folder, line);
  }

  /** What is on it now. */
  text(): string {
    return this.#tmux('capture-pane', '-p');
  }

  press(...keys: readonly string[]): void {
    this.#tmux('send-keys', ...keys);
  }

  /** How the command has ended, once it has. */
  async exitCode(): Promise<string> {
    return waitFor(
      `the end of what is on the screen:\n${this.text()}`,
      () => existsSync(this.#codeFile) && readFileSync(this.#codeFile, 'utf8').trim(),
    );
  }

  #tmux(...words: readonly string[]): string {
    const { stdout, stderr, status } = spawnSync('tmux', ['-f', '/dev/null', ...words], {
      env: this.#place,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    return stdout;
  }
}

/** Whether such a program runs that was told of a file in `folder`. */
function isRunning(folder: string, program: string): boolean {
  const { stdout } = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  return stdout.split('\n').some((line) => line.startsWith(program) && line.includes(folder));
}

describe('lockstep launch', { skip: reasonToSkipSsh() }, () => {
  let servers: SshServers;
  let mini1: Served;
  let port: number;

  before(async () => {
    servers = new SshServers();
    mini1 = await servers.serve('mini1');
    await servers.serve('mini2', { without: ['tmux'] });
    port = await freePort();
    process.env['LOCKSTEP_SSH_CONFIG'] = servers.configFile;
  });
  after(async () => {
    delete process.env['LOCKSTEP_SSH_CONFIG'];
    await servers.close();
  });

  /** A folder with a file of hosts, in which `launch` does something to its end. */
  const desk = (t: TestContext, hosts = '[mini1, mini2]') => {
    const folder = temporaryFolder(t);
    const top = `workdir: ${JSON.stringify(`~/${WORKDIR}`)}\nlanes: 1\nport: ${port}\n`;
    writeFileSync(join(folder, 'hosts.yaml'), `${top}hosts: ${hosts}\n`);
    const launch = async (...words: readonly string[]) => {
      const program = startLockstep(t, ['launch', ...words], folder);
      const { status } = await program.end();
      return { status, stdout: program.stdout, stderr: program.stderr };
    };
    return Object.assign(launch, { cwd: folder });
  };
  const fileOf = (run: string, name: string): string =>
    join(mini1.home, WORKDIR, 'experiments', run, name);
  const eventsOf = (run: string): readonly RunEvent[] =>
    existsSync(fileOf(run, 'metrics.jsonl'))
      ? readFileSync(fileOf(run, 'metrics.jsonl'), 'utf8')
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as RunEvent)
      : [];
  const summaryOf = async (run: string): Promise<RunSummary> =>
    waitFor(`the summary of ${run}`, () =>
      existsSync(fileOf(run, 'summary.json'))
        ? (JSON.parse(readFileSync(fileOf(run, 'summary.json'), 'utf8')) as RunSummary)
        : undefined,
    );
  const statesOf = async (
    launch: ReturnType<typeof desk>,
  ): Promise<Record<string, readonly [state: string, exitCode?: number]>> => {
    const { stdout } = await launch('status', '--json');
    const { sessions } = JSON.parse(stdout) as {
      sessions: { session: string; state: string; exitCode?: number }[];
    };
    return Object.fromEntries(
      sessions.map(({ session, state, exitCode }) => [
        session,
        exitCode === undefined ? [state] : [state, exitCode],
      ]),
    );
  };

  const allEnd = async (launch: ReturnType<typeof desk>): Promise<void> => {
    for (let looks = 0; looks < 30; looks++) {
      const states = Object.values(await statesOf(launch)).map(([state]) => state);
      if (states.every((state) => state === 'ended')) return;
    }
    assert.fail('sessions go on');
  };

  test('trains on two hosts, one without tmux; a worker that dies is started again', async (t) => {
    const launch = desk(t);

    const { status, stderr } = await launch('hosts.yaml', ...TRAINING, '--name', 'first');
    assert.equal(status, 0, stderr);
    assert.match(stderr, /mini2: there is no tmux/);
    assert.doesNotMatch(stderr, /has not joined/);
    const joined = await waitFor('rank 1', () =>
      eventsOf('first').find((event) => event.kind === 'worker-joined' && event.rank === 1),
    );
    process.kill((joined as { processId: number }).processId, 'SIGKILL');

    const summary = await summaryOf('first');
    assert.equal(summary.status, 'finished');
    const { summary: reference } = await referenceOf(t, TRAINING);
    assert.equal(summary.stateDigest, reference.stateDigest);
    await allEnd(launch);
    assert.match(
      (await launch('logs', '1')).stdout,
      /worker2 is started again in 1 s: exit code 137/,
    );
    const { stdout } = await launch('logs', '-n', '5');
    assert.match(stdout, /^server {2}.*state digest/m);
    assert.match(stdout, /^worker1 {2}.*done: the run is finished/m);
  });

  test('reports sessions that are there, replaces them when told to, and ends them', async (t) => {
    const launch = desk(t);
    assert.equal((await launch(...ENDLESS, '--name', 'a')).status, 0);

    const again = await launch(...ENDLESS, '--name', 'b');
    assert.equal(again.status, 1);
    assert.match(
      again.stderr,
      /sessions already: server on mini1, worker1 on mini1, worker2 on mini2/,
    );
    assert.deepEqual(await statesOf(launch), {
      server: ['running'],
      worker1: ['running'],
      worker2: ['running'],
    });

    const replaced = await launch(...ENDLESS, '--name', 'b', '--replace');
    assert.equal(replaced.status, 0, replaced.stderr);
    assert.equal((await summaryOf('a')).status, 'interrupted');

    const stopped = await launch('stop');
    assert.equal(stopped.status, 0, stopped.stderr);
    assert.equal((await summaryOf('b')).status, 'interrupted');
    const states = await statesOf(launch);
    assert.deepEqual(states['server'], ['ended', 130]);
    assert.deepEqual([states['worker1']?.[0], states['worker2']?.[0]], ['ended', 'ended']);
  });

  test('shows a session in a terminal, and goes on with logs until Ctrl-C', async (t) => {
    const launch = desk(t);
    assert.equal((await launch(...ENDLESS, '--name', 'e')).status, 0);
    const { cwd } = launch;

    await t.test('attach', async (attach) => {
      const screen = new Screen(attach, cwd, ['launch', 'attach', 'worker1']);
      await waitFor('the session', () => /joined run e as rank 0/.test(screen.text()));
      assert.match(screen.text(), /^\[worker1\]/m, "the bar of the host's own tmux");
      screen.press('C-b', 'd');
      assert.equal(await screen.exitCode(), '0');
      assert.deepEqual((await statesOf(launch))['worker1'], ['running'], 'it goes on');
    });

    await t.test('logs -f', async (follow) => {
      const logs = startLockstep(follow, ['launch', 'logs', '-f', '-n', '3'], cwd);
      const says = async (pattern: RegExp): Promise<unknown> =>
        logs.during(`${pattern} in ${logs.stdout}`, () => pattern.test(logs.stdout));
      await Promise.all([/^server {2}\S/m, /^worker1 {2}\S/m, /^worker2 {2}\S/m].map(says));
      assert.doesNotMatch(logs.stdout, /the run was interrupted/);
      assert.equal((await launch('stop')).status, 0);
      // A worker may be told so before it hears of the end of its run.
      const ends = [1, 2].map(
        (n) => new RegExp(`^worker${n} {2}.*done: the (?:run|worker) was`, 'm'),
      );
      await Promise.all(ends.map(says));
      assert.ok(isRunning(servers.folder, 'tail'));
      logs.signal('SIGINT');
      assert.equal((await logs.end()).status, 130);
      await waitFor('nothing left on the hosts', () => !isRunning(servers.folder, 'tail'), 5_000);
    });
  });

  test('starts nothing unless all hosts can take part, or it may leave some out', async (t) => {
    const oldNode = join(servers.folder, 'old node');
    writeFileSync(oldNode, '#!/bin/sh\necho 18.12.0 linux x64 library /usr/bin/node\n');
    chmodSync(oldNode, 0o755);
    const old = `{ name: old, ssh: mini2, node: ${JSON.stringify(oldNode)} }`;
    const none = '{ name: none, ssh: mini2, node: /no/such/node }';
    const known = join(servers.folder, 'another known_hosts');
    const otherKey = readFileSync(`${servers.keyFile}.pub`, 'utf8');
    writeFileSync(known, `[127.0.0.1]:${mini1.port} ${otherKey}`);
    const place = ['HostName 127.0.0.1', `Port ${mini1.port}`, `UserKnownHostsFile "${known}"`];
    servers.configure('changed', place);
    const hosts = `[mini1, nowhere.invalid, changed, ${old}, ${none}]`;
    const launch = desk(t, hosts);

    const refused = await launch(...TRAINING, '--name', 'c');
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      /nowhere\.invalid: there is no host of this name\n +Write its address/,
    );
    assert.match(
      refused.stderr,
      /old: Node\.js 18\.12\.0 is too old .*\n +Install Node\.js 20\.19/,
    );
    assert.match(refused.stderr, /none: there is no Node\.js\n/);
    assert.match(refused.stderr, /4 of 5 hosts cannot take part .* nothing was started/);
    const [, forget = ''] = /forget the old key: (ssh-keygen .*), and connect once/.exec(
      refused.stderr,
    )!;
    assert.equal(spawnSync('sh', ['-c', forget]).status, 0);
    assert.equal(readFileSync(known, 'utf8'), '', 'the command that is told forgets it');
    assert.equal(existsSync(fileOf('c', 'config.yaml')), false);

    const partial = await launch(...TRAINING, '--name', 'c', '--allow-partial');
    assert.equal(partial.status, 0, partial.stderr);
    assert.equal((await summaryOf('c')).status, 'finished');
    await launch('stop');
  });

  test('prints every command when run dry, as a shell takes it, and runs none', async (t) => {
    const launch = desk(t);

    const { status, stdout } = await launch(...TRAINING, '--name', 'd', '--dry-run');

    assert.equal(status, 0);
    const parsed = spawnSync('/bin/sh', ['-n'], { input: stdout, encoding: 'utf8' });
    assert.equal(parsed.stderr, '');
    const commands = stdout.split('\n').filter((line) => line.startsWith('ssh '));
    // Looked at, and copied to, two hosts each; settings, coordinator, door, link; two workers.
    assert.equal(commands.length, 2 + 2 + 4 + 2 * 2);
    for (const session of ['server', 'worker1', 'worker2'])
      assert.ok(commands.some((line) => line.includes(`tmux new-session -d -s ${session} `)));
    assert.equal(existsSync(fileOf('d', 'config.yaml')), false);
  });

  test('answers bad files and words in one line', async (t) => {
    const launch = desk(t, '["-oProxyCommand=reboot"]');

    const hostile = await launch('status');
    assert.equal(hostile.status, 2);
    assert.match(hostile.stderr, /hosts\.yaml:4:\d+ hosts\[0\]\.name: expected a name/);
    assert.doesNotMatch(hostile.stderr, /\n {4}at /);
    const word = await desk(t)('logs', '7');
    assert.match(word.stderr, /expected a session or a rank of these hosts, got "7"/);
  });
});
