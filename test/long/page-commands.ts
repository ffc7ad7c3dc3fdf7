/**
 * Runs the commands of a page as they are printed: in a fresh clone, block after block, each in a
 * shell, a process space and a network of its own, which end with it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { REPOSITORY } from '../cluster/processes.ts';
import { type Block, blocksOf, commandsOf, MACHINE } from '../pages.ts';

const BLOCK_TIMEOUT_MS = 150_000;
/** So long one machine is left alone before a command is typed on the next. */
const MACHINE_PAUSE_SECONDS = 2;
/** How long a link may take to be printed. */
const LINK_SECONDS = 30;
const MACHINES = '127.0.0.1 localhost desk laptop mini\n';
const ISOLATE = ['--pid', '--fork', '--kill-child', '--mount-proc', '--mount'];
/** What a shell of its own needs before a block: the names of machines, and loopback. */
const PRELUDE = 'mount --bind "$1" /etc/hosts; ip link set lo up; exec bash -eu -o pipefail "$2"';

/** Declares a test for each page. */
export function testPages(pages: readonly string[]): void {
  const canIsolate = spawnSync('unshare', [...ISOLATE, '--net', 'true']).status === 0;
  describe(
    'commands as they are printed',
    { skip: canIsolate ? false : 'only root has process spaces and networks of its own (unshare)' },
    () => {
      for (const page of pages)
        test(`${page} in a fresh clone, in order`, (t) => {
          const blocks = blocksOf(page).filter(({ language }) => language === 'sh');
          const world = makeWorld(t, blocks);
          for (const [index, block] of blocks.entries()) runBlock(block, index, world);
        });
    },
  );
}

interface World {
  readonly clone: string;
  /** Beside the clone: scripts, a file of machines, and programs that come first. */
  readonly folder: string;
}

/** What the repository holds, as a clone has it; installed, unless its page does that. */
function makeWorld(t: TestContext, blocks: readonly Block[]): World {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-page-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  const clone = join(folder, 'lockstep');
  for (const name of trackedFiles()) {
    cpSync(join(REPOSITORY, name), join(clone, name), { preserveTimestamps: true });
  }
  if (!blocks.some(installs)) {
    symlinkSync(join(REPOSITORY, 'node_modules'), join(clone, 'node_modules'));
    cpSync(join(REPOSITORY, 'dist'), join(clone, 'dist'), {
      recursive: true,
      preserveTimestamps: true,
    });
  }
  mkdirSync(join(folder, 'bin'));
  symlinkSync('/usr/bin/python3', join(folder, 'bin/python3')); // the one with Debian's packages
  writeFileSync(join(folder, 'hosts'), MACHINES);
  return { clone, folder };
}

/** Also what is not committed yet. */
function trackedFiles(): string[] {
  const listed = spawnSync(
    'git',
    ['-c', `safe.directory=${REPOSITORY}`, 'ls-files', '-z', '-co', '--exclude-standard'],
    { cwd: REPOSITORY, encoding: 'utf8' },
  );
  assert.equal(listed.status, 0, listed.stderr);
  return listed.stdout.split('\0').filter((name) => name !== '');
}

function installs({ text }: Block): boolean {
  return /^npm ci$/m.test(text);
}

function runBlock(block: Block, index: number, { clone, folder }: World): void {
  const script = join(folder, `block-${index}.sh`);
  const said = `${script}.said`;
  writeFileSync(script, MACHINE.test(block.text) ? onMachines(block, said) : block.text);
  const {
    NODE_TEST_CONTEXT: _,
    LOCKSTEP_NO_BUILD: __,
    LOCKSTEP_TEST_SHARED: ___,
    ...environment
  } = process.env;

  const { status, signal, stdout, stderr } = spawnSync(
    'unshare',
    // Installing needs the registry.
    [...ISOLATE, ...(installs(block) ? [] : ['--net'])].concat([
      'bash',
      '-c',
      PRELUDE,
      'bash',
      join(folder, 'hosts'),
      script,
    ]),
    {
      cwd: clone,
      env: {
        ...{ ...environment, NO_COLOR: '1', LOCKSTEP_HOME: join(folder, 'home') },
        PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
      timeout: BLOCK_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 26,
    },
  );

  assert.deepEqual(
    { status, signal },
    { status: 0, signal: null },
    `${block.page}:${block.line}\n${block.text}\n${stdout.slice(-4_000)}\n${stderr.slice(-4_000)}`,
  );
}

/**
 * The script of a block whose lines are typed on several machines: each in the background, but the
 * last; none may fail, and those that serve until they are told to end may go on. What they say is
 * in the file `said`: a join link stands for the one that is printed there.
 */
function onMachines(block: Block, said: string): string {
  const look = `grep -o -m 1 'lockstep://[^ ]*' '${said}'`;
  const link = `$(for i in {1..${LINK_SECONDS}}; do ${look} && break; sleep 1; done)`;
  const commands = commandsOf(block).map((command) => command.replace(/lockstep:\/\/\S+/, link));
  return [
    `exec 2> >(tee '${said}' >&2)`,
    ...commands
      .slice(0, -1)
      .map((command) => `${command} & others+=($!); sleep ${MACHINE_PAUSE_SECONDS}`),
    ...commands.slice(-1),
    `sleep ${MACHINE_PAUSE_SECONDS}`,
    'for one in "${others[@]}"; do kill -0 $one 2>/dev/null || wait $one; done',
  ].join('\n');
}
