/**
 * Who writes into the folder of a run: one process at a time. The lock is a file that names its
 * process; when that is gone, however it ended, the lock is nobody's.
 */
import { randomBytes } from 'node:crypto';
import {
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '../base/errors.ts';
import { processStamp } from './journal/other-process.ts';

const LOCK_NAME = 'lock.json';
/** A holder on another machine touches the file every second; within this it must be seen. */
const SIGN_MS = 5_000;
const POLL_MS = 100;

interface Holder {
  readonly processId: number;
  readonly host: string;
  /** Tells a process from a later one of the same number, where the system knows. */
  readonly started: string;
  readonly nonce: string;
}

/** A lock that this process holds. */
export class RunLock {
  readonly #path: string;
  readonly #text: string;

  /** Throws ConfigError, naming the holder, when somebody who lives has it. */
  constructor(folder: string) {
    this.#path = join(folder, LOCK_NAME);
    const { pid: processId } = process;
    const nonce = randomBytes(8).toString('hex');
    const holder = { processId, host: hostname(), started: processStamp(processId), nonce };
    this.#text = `${JSON.stringify(holder satisfies Holder)}\n`;
    const own = `${this.#path}.${nonce}`;
    writeFileSync(own, this.#text);
    try {
      this.#take(folder, own);
    } finally {
      rmSync(own, { force: true });
    }
  }

  #take(folder: string, own: string): void {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(own, this.#path);
        return;
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      }
      refuseHeld(folder);
      // Of several who find it free, one moves it away; who moved a new one puts it back.
      const old = `${own}.old`;
      renameSync(this.#path, old);
      if (isLive(readHolder(old), old)) linkSync(old, this.#path);
      rmSync(old, { force: true });
    }
    throw new ConfigError(`${folder} is being written by others at the same time`);
  }

  /** Shows whoever looks from another machine that the holder lives. */
  touch(): void {
    const now = new Date();
    try {
      utimesSync(this.#path, now, now);
    } catch {
      // The folder went away, or takes nothing more: that is told of its other files.
    }
  }

  /** Gives it up, unless it is somebody else's by now. */
  release(): void {
    try {
      if (readFileSync(this.#path, 'utf8') === this.#text) rmSync(this.#path);
    } catch {
      // Somebody took it away with the folder.
    }
  }
}

/** Throws ConfigError, naming who writes into the folder of a run, if somebody does. */
export function refuseHeld(folder: string): void {
  const holder = lockHolder(folder);
  if (holder === undefined) return;
  throw new ConfigError(
    `${folder} is being written by ${holder}: its run is under way. Wait for its end, or stop it ` +
      'with Ctrl-C.',
  );
}

/** Who writes into the folder of a run, in words; undefined if nobody does. */
export function lockHolder(folder: string): string | undefined {
  const path = join(folder, LOCK_NAME);
  const holder = readHolder(path);
  if (holder === undefined || !isLive(holder, path)) return undefined;
  return `process ${holder.processId} on ${holder.host}`;
}

function readHolder(path: string): Holder | undefined {
  try {
    const read = Object(JSON.parse(readFileSync(path, 'utf8'))) as Partial<Holder>;
    const { processId, host, started, nonce = '' } = read;
    if (!Number.isSafeInteger(processId) || typeof host !== 'string') return undefined;
    return { processId: Number(processId), host, started: String(started), nonce };
  } catch {
    // There is none, or what is there names nobody.
    return undefined;
  }
}

function isLive(holder: Holder | undefined, path: string): boolean {
  if (holder === undefined) return false;
  if (holder.host !== hostname()) return isTouched(path);
  try {
    process.kill(holder.processId, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return processStamp(holder.processId) === holder.started;
}

/** Waits for a sign of life. */
function isTouched(path: string): boolean {
  const sleep = new Int32Array(new SharedArrayBuffer(4));
  const timeOf = (): number | undefined => statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  const first = timeOf();
  for (let waitedMs = 0; waitedMs < SIGN_MS; waitedMs += POLL_MS) {
    Atomics.wait(sleep, 0, 0, POLL_MS);
    const now = timeOf();
    if (now === undefined) return false;
    if (now !== first) return true;
  }
  return false;
}
