/**
 * The threads of a worker's lanes, and the commands on their way to them: one operation after
 * another, each answered by every lane.
 */
import { Worker as Thread } from 'node:worker_threads';
import { type LockstepError, messageOf, RuntimeError, ShortageError } from '../../base/errors.ts';
import { shortageOf } from '../../base/shortage.ts';
import { siblingModule } from '../../base/module-url.ts';
import type { LaneControl } from './lane-control.ts';
import type { LaneAnswer, LaneCommand, LaneNews, LaneStart } from './lane-job.ts';

/** A command for all lanes, and what to do with their answers. */
export interface LaneOperation {
  readonly command: LaneCommand;
  /** Runs right before the lanes get the command, when none of them is at work. */
  readonly prepare?: () => void;
  /** Gets one answer per lane. */
  readonly done: (answers: readonly LaneAnswer[]) => void;
}

/** An operation with the answers so far, by lane; complete when every lane has answered. */
interface Running extends LaneOperation {
  readonly answers: Map<number, LaneAnswer>;
}

/** What lane threads are started from. */
export interface LaneThreadsOptions {
  /** One per lane. */
  readonly starts: readonly LaneStart[];
  readonly control: LaneControl;
  /** The lanes' program; the ordinary one when absent. */
  readonly program: URL | undefined;
  /** Hears what lanes tell besides their answers, in the order of each. */
  readonly onNews: (news: LaneNews) => void;
  /** Hears, once at most, that a thread failed; all of them have been told to end by then. */
  readonly onFailed: (error: RuntimeError) => void;
}

/** Commands that may be given before the one before them is answered: what that is. */
const FOLLOWS: { readonly [kind in LaneCommand['kind']]?: LaneCommand['kind'] } = {
  pass: 'apply',
  follow: 'follow',
};

/** Threads that do the same commands side by side; who makes them ends them with `closed`. */
export class LaneThreads {
  readonly #options: LaneThreadsOptions;
  readonly #threads: readonly Thread[];
  readonly #exits: Promise<void>[] = [];
  readonly #waiting: LaneOperation[] = [];
  /** Operations that were given to the lanes and are not answered by all, oldest first. */
  readonly #running: Running[] = [];
  #isClosed = false;

  constructor(options: LaneThreadsOptions) {
    this.#options = options;
    this.#threads = options.starts.map((start) => this.#start(start));
  }

  /** Whether a command of one of these kinds waits for the lanes. */
  isWaiting(...kinds: readonly LaneCommand['kind'][]): boolean {
    return this.#waiting.some(({ command }) => kinds.includes(command.kind));
  }

  /** Whether a command of one of these kinds waits for the lanes or is being done by them. */
  isUnderWay(...kinds: readonly LaneCommand['kind'][]): boolean {
    return (
      this.isWaiting(...kinds) || this.#running.some(({ command }) => kinds.includes(command.kind))
    );
  }

  /** Calls `done` when every lane has said that it is loaded; to be called before any command. */
  awaitLoaded(done: (answers: readonly LaneAnswer[]) => void): void {
    this.#running.push({ command: { kind: 'resume' }, done, answers: new Map() });
  }

  /** Gives `operation` to the lanes when those before it are done; drops it once closed. */
  enqueue(operation: LaneOperation): void {
    if (this.#isClosed) return;
    this.#waiting.push(operation);
    this.#pump();
  }

  /** Forgets the first waiting command of one of these kinds, if there is one. */
  drop(...kinds: readonly LaneCommand['kind'][]): void {
    const first = this.#waiting.findIndex(({ command }) => kinds.includes(command.kind));
    if (first !== -1) this.#waiting.splice(first, 1);
  }

  /** Tells the threads to end after the micro-batch that they are at; no answer counts any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.control.clear();
    this.#tell({ kind: 'exit' });
  }

  /** Resolves when all threads have ended; those that have not after `timeoutMs` are terminated. */
  async closed(timeoutMs: number): Promise<void> {
    this.close();
    const timer = setTimeout(
      () => void Promise.all(this.#threads.map(async (thread) => thread.terminate())),
      timeoutMs,
    );
    await Promise.all(this.#exits);
    clearTimeout(timer);
  }

  /**
   * Gives the lanes the next operation. A pass may follow an update before that is answered, and one
   * grant another, which saves a wake-up; everything else waits: leases must not be set, nor shared memory changed,
   * while lanes may still look at them.
   */
  #pump(): void {
    const next = this.#waiting[0];
    if (next === undefined) return;
    const before = FOLLOWS[next.command.kind];
    const mayFollow = this.#running.every(({ command }) => command.kind === before);
    if (this.#running.length > 0 && !mayFollow) return;
    this.#waiting.shift();
    this.#running.push({ ...next, answers: new Map() });
    next.prepare?.();
    this.#tell(next.command);
    this.#pump();
  }

  #tell(command: LaneCommand): void {
    for (const [lane, thread] of this.#threads.entries()) {
      thread.postMessage(command);
      this.#options.control.wake(lane);
    }
  }

  #start(start: LaneStart): Thread {
    const thread = new Thread(
      this.#options.program ?? siblingModule(import.meta.url, 'lane-thread'),
      {
        workerData: start,
        name: `lane-${start.lane}`,
        // A lane makes little garbage; with V8's default it would hold 48 MB of it.
        resourceLimits: { maxYoungGenerationSizeMb: 8 },
      },
    );
    thread.on('message', (message: LaneAnswer | LaneNews) => {
      if (message.kind !== 'attempted') this.#hear(start.lane, message);
      else if (!this.#isClosed) this.#options.onNews(message);
    });
    thread.on('error', (error) =>
      this.#fail(
        new RuntimeError(
          `lane ${start.lane}: ${shortageOf(error) ?? messageOf(error)}`,
          {},
          { cause: error },
        ),
      ),
    );
    const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    this.#exits.push(exited);
    thread.once('exit', () => {
      if (!this.#isClosed) this.#fail(new RuntimeError(`lane ${start.lane} ended by itself`));
    });
    return thread;
  }

  #hear(lane: number, answer: LaneAnswer): void {
    if (this.#isClosed) return;
    if (answer.kind === 'failed') return this.#fail(errorOf(lane, answer));
    // Lanes answer in order: this belongs to the oldest operation that the lane has not answered.
    this.#running.find(({ answers }) => !answers.has(lane))?.answers.set(lane, answer);
    const oldest = this.#running[0];
    if (oldest === undefined || oldest.answers.size < this.#threads.length) return;
    this.#running.shift();
    oldest.done([...oldest.answers.values()]);
    this.#pump();
  }

  #fail(error: LockstepError): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.onFailed(error);
  }
}

function errorOf(
  lane: number,
  { message, code }: { message: string; code: string },
): LockstepError {
  const text = `lane ${lane}: ${message}`;
  return code === 'OUT_OF_RESOURCES' ? new ShortageError(text) : new RuntimeError(text, { code });
}
