/**
 * Commands on other machines through the system's own `ssh`, so that its configuration, agents,
 * keys and jump hosts work as in a terminal. It never asks anything: what would be asked fails.
 */
import { type ChildProcess, spawn, spawnSync, type StdioOptions } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { ending, feed } from './child-ending.ts';
import type { SshTarget } from './host.ts';
import { noSsh, saidTooMuch, sshFailure, timedOut } from './ssh-failures.ts';

/** A command that ran on a host to its end, whatever that was. */
export interface RemoteResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command on a host may take, and is given. */
export interface RemoteOptions {
  /** What it reads; nothing if not given. Secrets go this way: command lines can be seen by all. */
  readonly stdin?: string | Readable;
  /** Milliseconds from the call to the end, connecting included. Default 30,000. */
  readonly deadlineMs?: number;
  /** Most bytes that it may print on stdout, and on stderr. Default 1 MiB. */
  readonly limitBytes?: number;
}

/** How ssh is called. */
export interface SshSettings {
  /** Used in place of `~/.ssh/config`. */
  readonly configFile?: string | undefined;
  readonly program?: string;
  /** Whether the commands of a host share one connection; by default they do. */
  readonly isSharing?: boolean;
}

const CONNECT_SECONDS = 5;
/** How long an idle connection waits for the next command. */
const PERSIST_SECONDS = 60;
const DEADLINE_MS = 30_000;
const LIMIT_BYTES = 1 << 20;
const FAILED_BY_SSH = 255;
const CLOSE_MS = 3_000;
/** Characters of what ssh itself says. */
const MAX_COMPLAINT = 10_000;

/** Runs commands on hosts; `close` ends the connections, which are shared by all commands. */
export class Ssh {
  readonly #configFile: string | undefined;
  readonly #program: string;
  readonly #isSharing: boolean;
  readonly #numbers = new Map<string, number>();
  readonly #used = new Map<string, SshTarget>();
  readonly #running = new Set<ChildProcess>();
  #folder: string | undefined;

  constructor({ configFile, program = 'ssh', isSharing = true }: SshSettings = {}) {
    this.#configFile = configFile;
    this.#program = program;
    this.#isSharing = isSharing;
  }

  /** The words of the command line that runs `command`, a line for the shell of the host. */
  commandLine(host: SshTarget, command: string, more: readonly string[] = []): readonly string[] {
    return [this.#program, ...this.#argumentsFor(host, more), '--', host.target, command];
  }

  /**
   * Runs a line of the host's shell to its end. Throws: HostError when the host cannot be reached,
   * does not answer in time or says too much; an exit code other than 0 is a result.
   */
  async run(
    host: SshTarget,
    command: string,
    { stdin = '', deadlineMs = DEADLINE_MS, limitBytes = LIMIT_BYTES }: RemoteOptions = {},
  ): Promise<RemoteResult> {
    const child = this.#spawn(host, command);
    feed(child, stdin);
    const outcome = await ending(child, deadlineMs, limitBytes);
    const { stdout, stderr } = outcome;
    if (outcome.kind === 'no-program') throw noSsh(this.#program, outcome.why);
    if (outcome.kind === 'too-late') throw timedOut(host, deadlineMs);
    if (outcome.kind === 'too-much') throw saidTooMuch(host, limitBytes);
    const exitCode = outcome.exitCode ?? FAILED_BY_SSH;
    if (exitCode === FAILED_BY_SSH) throw sshFailure(host, stderr);
    return { exitCode, stdout, stderr };
  }

  /**
   * Runs a line of the host's shell until it is over or `signal` aborts, and gives what it prints
   * on stdout as it comes; without `onText` it has this terminal. Resolves with its exit code.
   * Throws: HostError when the host cannot be reached.
   */
  async follow(
    host: SshTarget,
    command: string,
    signal: AbortSignal,
    onText?: (text: string) => void,
  ): Promise<number> {
    const isTerminal = onText === undefined;
    const [program = '', ...words] = this.commandLine(host, command, isTerminal ? ['-t'] : []);
    const stdio = isTerminal ? ('inherit' as const) : (['ignore', 'pipe', 'pipe'] as const);
    const env = plainEnvironment();
    const child = spawn(program, words, { stdio: stdio as StdioOptions, env, windowsHide: true });
    this.#own(host, child);
    let complaint = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => onText?.(text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = `${complaint}${text}`.slice(-MAX_COMPLAINT);
    });
    const stop = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      const code = await new Promise<number | null>((done, fail) => {
        child.once('error', ({ message }) => fail(noSsh(this.#program, message)));
        child.once('close', done);
      });
      // When it is told to end, it says 255, too.
      if (code === FAILED_BY_SSH && !isTerminal && !signal.aborted)
        throw sshFailure(host, complaint);
      return code ?? FAILED_BY_SSH;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** The host name or address that ssh dials for a host, by its configuration. */
  addressOf(host: SshTarget): string {
    const words = [...this.#argumentsFor(host, ['-G']), '--', host.target];
    const { stdout } = spawnSync(this.#program, words, {
      encoding: 'utf8',
      env: plainEnvironment(),
      timeout: CLOSE_MS,
      windowsHide: true,
    });
    const [, name] = /^hostname (\S+)$/m.exec(stdout ?? '') ?? [];
    return name ?? host.target;
  }

  /** Ends the shared connections, and what still runs. */
  async close(): Promise<void> {
    for (const child of this.#running) child.kill('SIGKILL');
    if (this.#folder === undefined) return;
    await Promise.all([...this.#used.values()].map(async (host) => this.#disconnect(host)));
    rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
    this.#used.clear();
  }

  async #disconnect(host: SshTarget): Promise<void> {
    const words = [...this.#argumentsFor(host, ['-O', 'exit']), '--', host.target];
    const child = spawn(this.#program, words, { stdio: 'ignore', windowsHide: true });
    await ending(child, CLOSE_MS, LIMIT_BYTES);
  }

  #spawn(host: SshTarget, command: string): ChildProcess {
    const [program = '', ...words] = this.commandLine(host, command);
    const child = spawn(program, words, {
      stdio: 'pipe',
      env: plainEnvironment(),
      windowsHide: true,
    });
    this.#own(host, child);
    return child;
  }

  #own(host: SshTarget, child: ChildProcess): void {
    this.#used.set(host.name, host);
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
  }

  #argumentsFor(host: SshTarget, more: readonly string[]): string[] {
    const options = [
      'BatchMode=yes',
      `ConnectTimeout=${CONNECT_SECONDS}`,
      'ServerAliveInterval=5',
      'ServerAliveCountMax=3',
      ...this.#sharing(host),
      ...(host.identity === undefined ? [] : ['IdentitiesOnly=yes']),
    ];
    return [
      ...(this.#configFile === undefined ? [] : ['-F', this.#configFile]),
      ...options.flatMap((option) => ['-o', option]),
      ...(host.port === undefined ? [] : ['-p', String(host.port)]),
      ...(host.user === undefined ? [] : ['-l', host.user]),
      ...(host.identity === undefined ? [] : ['-i', host.identity]),
      ...more,
    ];
  }

  /** Each host has a connection of its own: aliases of one address may have different keys. */
  #sharing({ name }: SshTarget): string[] {
    // Windows' ssh cannot share connections.
    if (process.platform === 'win32' || !this.#isSharing) return [];
    // Paths of sockets are short: macOS gives programs a folder for temporary files that is not.
    this.#folder ??= mkdtempSync(
      join(process.platform === 'darwin' ? '/tmp' : tmpdir(), 'ls-ssh-'),
    );
    const number = this.#numbers.get(name) ?? this.#numbers.size;
    this.#numbers.set(name, number);
    const path = join(this.#folder, String(number));
    return ['ControlMaster=auto', `ControlPath=${path}`, `ControlPersist=${PERSIST_SECONDS}`];
  }
}

/** ssh's messages are read: they must be in English. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: 'C' };
}
