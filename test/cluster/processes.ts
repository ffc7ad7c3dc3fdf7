/**
 * Real `lockstep` processes for the cluster tests: each belongs to a test, which ends it whatever
 * happens.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Owner } from './owner.ts';

export const REPOSITORY: string = resolve(import.meta.dirname, '../..');

/** Nothing here takes longer on a machine that is not stuck. */
export const DEADLINE_MS = 90_000;
const POLL_MS = 25;
/** How often it is looked whether a transfer is under way. */
const LOOK_MS = 5;
/** A process that was asked to end gets this long before it is killed. */
const GRACE_MS = 8_000;

/** Waits until `probe` gives something; fails with `what` after the deadline. */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | false,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  const untilMs = performance.now() + deadlineMs;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await new Promise((later) => setTimeout(later, POLL_MS));
  }
}

/** A folder that goes with its owner. */
export function temporaryFolder(t: Owner): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-cluster-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** How a process ended. */
export interface Ending {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process with what it has printed so far. */
export class Program {
  readonly pid: number;
  readonly ended: Promise<Ending>;
  stdout = '';
  stderr = '';
  #ending: Ending | undefined;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    assert.ok(child.pid !== undefined, 'the process did not start');
    this.pid = child.pid;
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((done) => {
      child.once('close', (status, signal) => {
        this.#ending = { status, signal };
        done(this.#ending);
      });
    });
  }

  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The first match of `pattern` on stderr; fails when the process ends without it. */
  async saying(pattern: RegExp): Promise<RegExpExecArray> {
    return this.during(`${pattern} on stderr`, () => pattern.exec(this.stderr) ?? undefined);
  }

  /** What `probe` gives, found while the process runs or right after. */
  async during<T>(what: string, probe: () => T | undefined | false): Promise<T> {
    try {
      return await waitFor(what, () => {
        const wasOver = this.isOver;
        const found = probe();
        if (wasOver && (found === undefined || found === false))
          throw new Error(`the process ended without ${what}`);
        return found;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; it said:\n${this.stderr}`, { cause: error });
    }
  }

  /** How it ended, or a failure with what it said when it does not end. */
  async end(deadlineMs: number = DEADLINE_MS): Promise<Ending> {
    await waitFor(
      `the end of process ${this.pid}; it said:\n${this.stderr}`,
      () => this.isOver,
      deadlineMs,
    );
    return this.ended;
  }

  /** Ends it at the end of its test. */
  async release(): Promise<void> {
    if (this.isOver) return;
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** `npm test` has built already. */
let isBuilt = process.env['LOCKSTEP_NO_BUILD'] !== undefined;

/** Starts `lockstep` with these arguments. */
export function startLockstep(
  t: Owner,
  args: readonly string[],
  folder: string = REPOSITORY,
  environment: NodeJS.ProcessEnv = {},
): Program {
  const bin = join(REPOSITORY, 'bin/lockstep.js');
  if (!isBuilt) {
    const { status, stderr } = spawnSync(process.execPath, [bin, '--version'], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    isBuilt = true;
  }
  return startProgram(t, process.execPath, [bin, ...args], folder, environment);
}

/** Starts any program that the test owns. */
export function startProgram(
  t: Owner,
  program: string,
  args: readonly string[],
  folder: string = REPOSITORY,
  environment: NodeJS.ProcessEnv = {},
): Program {
  const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...inherited } = process.env;
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...inherited, LOCKSTEP_NO_BUILD: '1', NO_COLOR: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const started = new Program(child);
  t.after(() => started.release());
  return started;
}

/** Bytes that a process has read and written so far: sockets, and files. */
export function movedBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/io`, 'utf8');
  const [, read] = /^rchar: (\d+)$/m.exec(text) ?? [];
  const [, written] = /^wchar: (\d+)$/m.exec(text) ?? [];
  return Number(read) + Number(written);
}

/** Resolves in the midst of a transfer: a process has just moved so many bytes at two looks. */
export async function movesBytes(pid: number, bytes: number): Promise<void> {
  const untilMs = performance.now() + DEADLINE_MS;
  const seen = [movedBytes(pid)];
  for (;;) {
    await new Promise((later) => setTimeout(later, LOOK_MS));
    seen.push(movedBytes(pid));
    const [a = 0, b = 0, c = 0] = seen.slice(-3);
    if (seen.length > 2 && b - a > bytes && c - b > bytes) return;
    if (performance.now() > untilMs)
      throw new Error(`waited ${DEADLINE_MS} ms for process ${pid} to move ${bytes} bytes at once`);
  }
}

/** Whether a process lives; one that is dead but not yet buried by its parent does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return process.platform !== 'linux';
  }
}

/** Fails when one of these processes still lives after `deadlineMs`. */
export async function assertGone(pids: readonly number[], deadlineMs = 2_000): Promise<void> {
  await waitFor(
    `the end of processes ${pids.join(', ')}`,
    () => pids.every((pid) => !isAlive(pid)),
    deadlineMs,
  );
}

/**
 * Freezes a process until the returned function is called, at the latest at the end of the test.
 */
export function freeze(t: Owner, pid: number): () => void {
  process.kill(pid, 'SIGSTOP');
  const thaw = (): void => {
    if (isAlive(pid)) process.kill(pid, 'SIGCONT');
  };
  t.after(thaw);
  return thaw;
}
