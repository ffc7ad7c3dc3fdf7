/** Worker processes on this machine, owned by the run: none of them outlives it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Device } from '../runtime/device.ts';
import type { Address } from '../transport/tcp.ts';

/** How to start `lockstep` again: program and leading arguments. */
export interface SelfCommand {
  readonly program: string;
  readonly arguments: readonly string[];
}

/** One worker of this machine. */
export interface LocalWorker {
  readonly rank: number;
  readonly device: Device;
  readonly lanes: number;
  readonly dataDir: string | undefined;
  /** Where its output goes. */
  readonly logPath: string;
}

/** Time a worker gets to end by itself before it is killed. */
const GRACE_MS = 2_000;
const RETRY_SECONDS = 10;

/** Starts worker processes and ends them: gently, then with SIGKILL. */
export class LocalWorkers {
  readonly #children = new Set<ChildProcess>();
  readonly #killed = new Set<number>();
  readonly #onEnded: (left: number) => void;
  #isStopping = false;

  /** `onEnded` is told, when a worker has ended without `stop`, how many are left. */
  constructor(onEnded: (left: number) => void) {
    this.#onEnded = onEnded;
  }

  /** Starts one worker that joins `address`. */
  start(self: SelfCommand, address: Address, worker: LocalWorker): void {
    const { rank, device, lanes, dataDir, logPath } = worker;
    const log = openSync(logPath, 'a');
    const child = spawn(
      self.program,
      [
        ...self.arguments,
        'worker',
        ...[
          '--join',
          `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`,
        ],
        ...['--rank', String(rank)],
        ...['--device', device],
        ...['--lanes', String(lanes)],
        ...['--retry', String(RETRY_SECONDS)],
        ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
      ],
      // Its own process group: Ctrl-C in the terminal reaches the run, and the run ends its
      // workers.
      {
        stdio: ['ignore', log, log],
        detached: true,
        env: { ...process.env, LOCKSTEP_NO_BUILD: '1' },
      },
    );
    closeSync(log);
    this.#children.add(child);
    child.once('error', () => this.#forget(child));
    child.once('exit', (_code, signal) => {
      if (signal === 'SIGKILL' && !this.#isStopping) this.#killed.add(rank);
      this.#forget(child);
    });
  }

  /**
   * Ranks of the workers that somebody else ended with SIGKILL: often Linux, when memory runs out.
   */
  get killedRanks(): readonly number[] {
    return [...this.#killed];
  }

  /** How many of those that were started live. */
  get count(): number {
    return this.#children.size;
  }

  /** Resolves when every worker has ended; those that do not go are killed. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    const ended = [...this.#children].map(
      (child) =>
        new Promise<void>((resolve) =>
          child.exitCode === null && child.signalCode === null
            ? child.once('exit', () => resolve())
            : resolve(),
        ),
    );
    const timer = setTimeout(() => this.killNow(), GRACE_MS);
    await Promise.all(ended);
    clearTimeout(timer);
  }

  /** SIGKILL for all, e.g. because this process is about to end. */
  killNow(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #forget(child: ChildProcess): void {
    this.#children.delete(child);
    if (!this.#isStopping) this.#onEnded(this.#children.size);
  }
}
