/** Workers that join by a link, over an encrypted connection, and those that are not let in. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { describe, test, type TestContext } from 'node:test';
import { joinLinkText } from '../../src/access/join-link.ts';
import { newToken } from '../../src/access/token.ts';
import { isAlive, Program, REPOSITORY, startLockstep, temporaryFolder } from './processes.ts';
import { Run } from './runs.ts';

const hasScript = spawnSync('script', ['--version'], { timeout: 60_000 }).status === 0;
const options = { skip: hasScript ? false : 'script is missing: apt-get install bsdutils' };

/** With its key; the machine of a worker may trust it, as it does those that anybody can get. */
const CERTIFICATE = join(REPOSITORY, 'test/fixtures/tls/anybody.pem');
const SETTINGS = ['--dataset', 'digits', '--epochs', '2', '--seed', '7', '--eval-every', 'never'];

/** A coordinator for the network, and users on other machines, each with files of its own. */
class Lab {
  readonly folder: string;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.folder = temporaryFolder(t);
  }

  get linkFile(): string {
    return join(this.folder, 'link');
  }

  home(user: string): string {
    return join(this.folder, user);
  }

  start(user: string, ...args: string[]): Program {
    return startLockstep(this.#t, args, this.folder, { LOCKSTEP_HOME: this.home(user) });
  }

  /** The same in a terminal; gives the hands of who sits at it, too. */
  startInTerminal(user: string, ...args: string[]): [Program, type: (text: string) => void] {
    const command = [process.execPath, join(REPOSITORY, 'bin/lockstep.js'), ...args].join(' ');
    const child = spawn('script', ['-qfec', `exec ${command}`, '/dev/null'], {
      cwd: this.folder,
      env: { ...process.env, LOCKSTEP_NO_BUILD: '1', LOCKSTEP_HOME: this.home(user) },
    });
    const program = new Program(child);
    this.#t.after(() => program.release());
    return [program, (text) => void child.stdin.write(text)];
  }

  /** Settings of a coordinator whose files are here. */
  settings(...args: string[]): string[] {
    const place = ['--lan', '--link-file', this.linkFile, '--out-dir', this.folder];
    return ['coordinator', ...SETTINGS, ...place, '--name', 'run', ...args, '--json'];
  }

  /** Starts it; resolves with the link that it has written. */
  async coordinate(...args: string[]): Promise<{ readonly run: Run; readonly link: string }> {
    const program = this.start('desk', ...this.settings(...args));
    const run = new Run(program, join(this.folder, 'run'));
    await run.address();
    return { run, link: readFileSync(this.linkFile, 'utf8') };
  }

  async tokenList(): Promise<string> {
    const program = this.start('desk', 'token', 'list');
    assert.equal((await program.end()).status, 0);
    return program.stdout;
  }
}

function joinAs(lab: Lab, user: string, ...args: string[]): Program {
  return lab.start(user, 'join', ...args, '--lanes', '1', '--retry', '5');
}

describe('lockstep join', () => {
  test('trains the same model as one machine, and comes again with what it got', async (t) => {
    const lab = new Lab(t);
    const { run, link } = await lab.coordinate('--workers', '2');
    const first = joinAs(lab, 'laptop', link);
    const second = joinAs(lab, 'mini', ...(link.match(/.{1,40}/gs) ?? []));

    const { summary } = await run.outcome();
    for (const worker of [first, second]) assert.equal((await worker.end()).status, 0);

    const alone = lab.start('desk', 'train', ...SETTINGS, '--workers', '1', '--json');
    assert.equal((await alone.end()).status, 0);
    const { stateDigest } = JSON.parse(alone.stdout) as { stateDigest: string };
    assert.equal(summary.stateDigest, stateDigest);
    assert.match(await lab.tokenList(), /2 of 64 uses/);
    const [credential] = readdirSync(join(lab.home('laptop'), 'joined'));
    const path = join(lab.home('laptop'), 'joined', credential ?? '');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const { key } = JSON.parse(readFileSync(path, 'utf8')) as { readonly key: string };
    const said = [run.program, first, second].map(({ stdout, stderr }) => stdout + stderr);
    for (const secret of [secretOf(link), key, Buffer.from(key, 'hex')]) {
      assert.deepEqual(filesWith(secret, run.folder), []);
      assert.ok(!said.some((text) => text.includes(secret.toString())));
    }
    assert.deepEqual(filesWith(secretOf(link), lab.folder), [lab.linkFile], 'nowhere else');
    assert.equal(statSync(lab.linkFile).mode & 0o777, 0o600);
  });

  test('keeps the token out of the list of processes', async (t) => {
    const lab = new Lab(t);
    const { run, link } = await lab.coordinate('--workers', '1', '--steps', '1000000');
    const worker = joinAs(lab, 'laptop', link.trim());
    await run.event('worker-joined');

    assert.ok(isAlive(worker.pid));
    const shown = commandLines().filter((line) => line.includes(secretOf(link)));
    assert.deepEqual(shown, []);
    const said = [run.program.stderr, worker.stderr, run.program.stdout].join('');
    assert.ok(!said.includes(secretOf(link)), said);
  });

  test('is refused with the reason, and put out when its key is revoked', async (t) => {
    const lab = new Lab(t);
    const { run, link } = await lab.coordinate('--workers', '1', '--steps', '1000000');
    const known = joinAs(lab, 'laptop', link);
    await run.event('worker-joined');
    const other = joinAs(lab, 'pi', link);
    const id = link.split('_')[2] ?? '';
    const revoke = async (what: string): Promise<string> => {
      const program = lab.start('desk', 'token', 'revoke', what);
      assert.equal((await program.end()).status, 0);
      return program.stdout;
    };

    const stranger = lab.start('else', 'token', 'create', '--join', await addressOf(run));
    await stranger.end();
    const foreign = joinAs(lab, 'mini', stranger.stdout.trim());
    assert.equal((await foreign.end()).status, 1);
    assert.match(foreign.stderr, /the token of this link is not known there/);
    assert.match(run.program.stderr, /! 127\.0\.0\.1:\d+ was refused: its key is not one of ours/);

    await run.workerIds(2);
    assert.ok(isAlive(known.pid));

    assert.match(await revoke(`${id}.0`), /unless [a-z2-7]{10} is revoked, too/);
    assert.equal((await known.end()).status, 1);
    assert.match(known.stderr, /working for .*: refused: the credential was revoked/);
    assert.doesNotMatch(known.stderr, /looking for it/);
    const again = joinAs(lab, 'laptop', link);
    assert.equal((await again.end()).status, 1);
    assert.match(again.stderr, /the credential was revoked \d+ s ago: make a new one/);
    const [lost] = run.eventsOf('worker-lost');
    assert.deepEqual([lost?.rank, lost?.reason], [0, 'the credential was revoked']);
    await run.reachesStep((lost?.step ?? 0) + 3);
    assert.ok(isAlive(other.pid), 'who has a key of its own stays');

    await revoke(id);
    const late = joinAs(lab, 'mini', link);
    for (const program of [other, late]) assert.equal((await program.end()).status, 1);
    assert.match(other.stderr, /working for .*: refused: the token of its link was revoked/);
    assert.match(late.stderr, /the token was revoked \d+ s ago: make a new one/);
    const refused = run.eventsOf('worker-refused').map(({ reason }) => reason);
    for (const why of [/its key is not/, /the credential was revoked/, /the token was revoked/])
      assert.ok(
        refused.some((reason) => why.test(reason)),
        `${why} among ${refused.join('; ')}`,
      );
    assert.ok(isAlive(run.program.pid), 'the run waits for others');
  });

  test('waits until somebody has typed the code of its screen', options, async (t) => {
    const lab = new Lab(t);
    const [desk, type] = lab.startInTerminal('desk', ...lab.settings('--approve'), '--workers=1');
    const run = new Run(desk, join(lab.folder, 'run'));
    await desk.during('the link', () => existsSync(lab.linkFile));
    const codeOf = async (program: Program): Promise<string> =>
      (await program.saying(/code (\d{3} \d{3}): waiting/))[1]!;

    const stranger = joinAs(lab, 'pi', '--link-file', lab.linkFile);
    const code = await codeOf(stranger);
    await desk.during('the question', () => desk.stdout.includes(code));
    type(`no ${code}\r`);
    assert.equal((await stranger.end()).status, 1);
    assert.match(stranger.stderr, /the person at the coordinator has turned it away/);
    const friend = joinAs(lab, 'laptop', '--link-file', lab.linkFile);
    await desk.during('a question', () => run.eventsOf('approval-asked').length === 2);
    assert.deepEqual(run.eventsOf('worker-joined'), []);
    type(`${await codeOf(friend)}\r`);

    assert.equal((await friend.end()).status, 0);
    assert.equal((await desk.end()).status, 0, desk.stdout);
    const became = run.eventsOf('approval-ended').map((event) => event.became);
    assert.deepEqual(became, ['denied', 'approved']);
    assert.equal(run.eventsOf('approval-asked').length, 2);
    const list = await lab.tokenList();
    assert.match(list, /1 of 64 uses/);
  });

  test('is not waited for where nobody can be asked', async (t) => {
    const lab = new Lab(t);

    const program = lab.start('desk', ...lab.settings('--approve'));

    assert.equal((await program.end()).status, 2);
    assert.match(program.stderr, /--approve: expected a terminal at which somebody lets newcomers/);
    assert.deepEqual(readdirSync(lab.folder), []);
  });

  test('says nothing to who is in between with a certificate, and without the key', async (t) => {
    const lab = new Lab(t);
    const heard: Buffer[] = [];
    const pem = readFileSync(CERTIFICATE);
    let attempts = 0;
    const door = createServer({ key: pem, cert: pem }, (socket) => {
      socket.on('data', (bytes) => heard.push(bytes)).on('error', () => {});
    });
    door.on('connection', () => attempts++).on('tlsClientError', () => {});
    t.after(() => door.close());
    await once(door.listen(0, '127.0.0.1'), 'listening');
    const { port } = door.address() as AddressInfo;
    const link = joinLinkText({
      addresses: [{ host: '127.0.0.1', port }],
      token: newToken('worker'),
    });

    const worker = startLockstep(t, ['join', link, '--retry', '1'], lab.folder, {
      ...{ LOCKSTEP_HOME: lab.home('laptop'), NODE_EXTRA_CA_CERTS: CERTIFICATE },
    });

    assert.equal((await worker.end()).status, 1);
    assert.match(worker.stderr, /^error: joining .*: the token of this link is not known there/m);
    assert.ok(attempts > 0);
    assert.deepEqual(heard, []);
  });

  test('says what is wrong with a link before anything is begun', async (t) => {
    const lab = new Lab(t);
    const token = newToken('worker');
    const link = joinLinkText({ addresses: [{ host: '127.0.0.1', port: 1 }], token });
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['join'], /expected the link that `lockstep coordinator --lan` prints/],
      [['join', 'desk:29500'], /join link: expected lockstep:/],
      [['join', 'lockstep://desk:29500/lk1_worker_abc'], /Was it copied whole\?/],
      [['join', link.replace('127.0.0.1', 'a$(id)')], /expected host:port before the token, got/],
      [['join', link, '--lanes', 'many'], /--lanes: expected a whole number/],
      [
        ['join', link, '--interface', 'none9'],
        /--interface: expected interfaces of this machine, .*got "none9"/,
      ],
      [['join', '--link-file', 'nowhere'], /--link-file: expected a file that is there/],
      [['join', '--link-file', '.'], /--link-file: expected a file, no folder, got "\."/],
      [['worker', '--join', link], /--join: expected host:port, got a link\. A link goes to `lock/],
    ];
    const programs = wrong.map(([args]) => lab.start('laptop', ...args));
    for (const [index, program] of programs.entries()) {
      assert.equal((await program.end()).status, 2, program.stderr);
      assert.match(program.stderr, wrong[index]![1]);
      assert.ok(!program.stderr.includes(secretOf(link)), program.stderr);
    }
  });
});

/** The part of a link that nobody else may know, as far as none of it may be seen. */
function secretOf(link: string): string {
  const secret = link.trim().split('_')[3] ?? '';
  assert.equal(secret.length, 52);
  return secret.slice(0, 20);
}

/** The files below a folder that hold these bytes. */
function filesWith(bytes: string | Buffer, folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile() && readFileSync(path).includes(bytes));
}

/** What the list of processes shows of all that run now. */
function commandLines(): string[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.flatMap((id) => {
    try {
      return readFileSync(`/proc/${id}/cmdline`, 'utf8');
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

async function addressOf(run: Run): Promise<string> {
  return (await run.address()).replace('0.0.0.0', '127.0.0.1');
}
