/**
 * The engine of a worker process: lanes of ONNX Runtime on threads, side by side over shared
 * memory.
 */
import { Worker as Thread } from 'node:worker_threads';
import { invariant, messageOf, RuntimeError } from '../base/errors.ts';
import { siblingModule } from '../base/module-url.ts';
import { microBatchesOfStep } from '../data/batches.ts';
import type { Dataset } from '../data/dataset.ts';
import type { Arena } from '../kernels/arena.ts';
import { type ArenaLayout, makeBlocks } from '../kernels/layout.ts';
import type { OptimizerSpec } from '../optim/spec.ts';
import type { Commit, Job, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import { digestsOf } from '../state/digest.ts';
import type { Device } from './device.ts';
import type { Engine, EngineHandlers } from './engine.ts';
import { LaneControl } from './lane-control.ts';
import {
  type LaneAnswer,
  type LaneCommand,
  type LaneStart,
  layoutOf,
  makeSharedArena,
} from './lane-job.ts';

/** What a pool of lanes is made from. */
export interface LanePoolOptions {
  readonly laneCount: number;
  readonly device: Device;
  readonly job: Job;
  readonly optimizer: OptimizerSpec;
  readonly files: { readonly train: Uint8Array; readonly evaluate: Uint8Array };
  readonly train: Dataset;
  readonly evaluate: Dataset;
  readonly handlers: EngineHandlers;
  /**
   * Another program than the ordinary one for the lanes' threads, which hands `extra` (plain data)
   * to its hooks.
   */
  readonly laneProgram?: { readonly url: URL; readonly extra: unknown };
}

/** A command for all lanes, and what to do with their answers. */
interface Operation {
  readonly command: LaneCommand;
  /** Done right before the lanes get the command, when none of them is at work. */
  readonly prepare?: () => void;
  readonly done: (answers: readonly LaneAnswer[]) => void;
  /** By lane; complete when every lane has answered. */
  readonly answers: Map<number, LaneAnswer>;
}

const NOTHING = new Uint8Array(0);

export class LanePool implements Engine {
  readonly control: LaneControl;
  readonly #options: LanePoolOptions;
  readonly #layout: ArenaLayout;
  readonly #shared: Arena;
  readonly #threads: Thread[];
  readonly #exits: Promise<void>[] = [];
  readonly #waiting: Operation[] = [];
  /** Given to the lanes and not answered by all, oldest first. */
  readonly #running: Operation[] = [];
  #pass: Plan | undefined;
  /**
   * Updates that were asked for, are not done, and have their totals in the shared memory, or will
   * have.
   */
  #receivedUses = 0;
  #isClosed = false;
  /** Told of a failure while the pool is being made; later failures go to the handlers. */
  #onCreateFailed: ((error: RuntimeError) => void) | undefined;

  private constructor(options: LanePoolOptions) {
    const { job, laneCount, optimizer } = options;
    this.#options = options;
    this.#layout = layoutOf(job);
    this.#shared = makeSharedArena(job, optimizer, laneCount);
    const microBatchCapacity = Math.max(
      microBatchesOfStep(
        { sampleCount: job.globalBatch, globalBatch: job.globalBatch, microBatch: job.microBatch },
        0,
      ).microBatchCount,
      Math.ceil(options.evaluate.sampleCount / job.evaluateMicroBatch),
    );
    this.control = new LaneControl(laneCount, microBatchCapacity);
    const blockSums = new Float64Array(new SharedArrayBuffer(8 * makeBlocks(this.#layout).length));
    this.#threads = Array.from({ length: laneCount }, (_, lane) => {
      const start: LaneStart = {
        lane,
        laneCount,
        device: options.device,
        job,
        optimizer,
        trainModel: options.files.train,
        evaluateModel: options.files.evaluate,
        train: options.train,
        evaluate: options.evaluate,
        sharedMemory: this.#shared.memory,
        control: this.control.words,
        microBatchCapacity,
        blockSums,
        extra: options.laneProgram?.extra,
      };
      return this.#startThread(start);
    });
  }

  /**
   * Starts the lanes; resolves once all have compiled, with the numerics class that they agree on.
   */
  static async create(
    options: LanePoolOptions,
  ): Promise<{ pool: LanePool; numericsClass: string }> {
    const pool = new LanePool(options);
    try {
      await pool.#perform(undefined);
      const answers = await pool.#perform({ kind: 'probe' });
      const classes = new Set(
        answers.map((answer) => (answer.kind === 'probed' ? answer.numericsClass : '')),
      );
      if (classes.size !== 1) {
        throw new RuntimeError(
          'the lanes of this worker do not compute the same bits. Use --lanes 1 on this machine.',
        );
      }
      pool.#onCreateFailed = undefined;
      return { pool, numericsClass: [...classes][0] ?? '' };
    } catch (error) {
      pool.close();
      throw error;
    }
  }

  begin(plan: Plan): void {
    this.#void();
    this.#pass = plan;
    const stale = this.#waiting.findIndex(
      ({ command }) => command.kind === 'pass' || command.kind === 'resume',
    );
    if (stale !== -1) this.#waiting.splice(stale, 1);
    this.#enqueue({
      command: { kind: 'pass', plan },
      prepare: () => this.#pass === plan && this.control.lease(plan.leases),
      done: (answers) => this.#deliver(plan, answers),
    });
  }

  extend(microBatches: readonly number[]): void {
    this.control.lease(microBatches);
    // Lanes at work find them, or the next call does; idle ones are woken.
    if (this.#running.length === 0) this.#resume();
  }

  release(count: number): number[] {
    return this.control.release(count);
  }

  audit(
    microBatches: readonly number[],
    done: (records: readonly MicroBatchRecord[]) => void,
  ): void {
    const plan = this.#pass;
    if (plan === undefined) return;
    this.#enqueue({
      command: { kind: 'audit', plan, microBatches },
      done: (answers) => {
        if (this.#pass !== plan) return;
        done(recordsOf(answers));
        // What was leased while the lanes were at this.
        this.#resume();
      },
    });
  }

  apply(
    commit: Commit,
    totals: Uint8Array | undefined,
    done: (norms: readonly number[]) => void,
  ): void {
    this.#void();
    const received = this.#shared.uint8('received');
    const uses = totals === undefined ? 0 : 1;
    this.#receivedUses += uses;
    this.#enqueue({
      command: { kind: 'apply', commit, source: totals === undefined ? 'own' : 'received' },
      prepare: () =>
        totals !== undefined && totals.buffer !== received.buffer && received.set(totals),
      done: (answers) => {
        this.#receivedUses -= uses;
        const first = answers.find((answer) => answer.kind === 'applied');
        done(first?.norms ?? []);
      },
    });
  }

  importState(bytes: Uint8Array, done: () => void): void {
    this.#void();
    const state = this.#shared.uint8('state');
    invariant(bytes.length === state.length, 'a state has the size of weights and optimizer state');
    const prepare = (): void => {
      if (bytes.buffer !== state.buffer) state.set(bytes);
    };
    this.#enqueue({ command: { kind: 'import' }, prepare, done });
  }

  exportState(done: (bytes: Uint8Array) => void): void {
    this.#enqueue({ command: { kind: 'export' }, done: () => done(this.#shared.uint8('state')) });
  }

  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    this.exportState((bytes) => {
      const { weightsDigest, stateDigest } = digestsOf(bytes, this.#layout.length);
      done(weightsDigest, stateDigest);
    });
  }

  totalsTarget(): Uint8Array | undefined {
    return this.#receivedUses > 0 ? undefined : this.#shared.uint8('received');
  }

  stateTarget(): Uint8Array | undefined {
    const usesState = ({ command }: Operation): boolean =>
      command.kind === 'import' || command.kind === 'export';
    const isUsed = this.#waiting.some(usesState) || this.#running.some(usesState);
    return isUsed ? undefined : this.#shared.uint8('state');
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.control.clear();
    for (const [lane, thread] of this.#threads.entries()) {
      thread.postMessage({ kind: 'exit' } satisfies LaneCommand);
      this.control.wake(lane);
    }
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

  // ---- one operation after another ----

  /** What is still computed of the current pass is of no use any more. */
  #void(): void {
    this.control.clear();
    this.#pass = undefined;
  }

  /** Computes what was leased and not found by lanes at work, if there is any. */
  #resume(): void {
    const plan = this.#pass;
    const isWaiting = this.#waiting.some(({ command }) => command.kind === 'resume');
    if (plan === undefined || isWaiting || !this.control.hasAvailable()) return;
    this.#enqueue({ command: { kind: 'resume' }, done: (answers) => this.#deliver(plan, answers) });
  }

  #deliver(plan: Plan, answers: readonly LaneAnswer[]): void {
    if (this.#pass !== plan) return;
    const records = recordsOf(answers);
    const isSummed = plan.work === 'train' && plan.reduction === 'star';
    if (records.length > 0) {
      this.#options.handlers.onDone(
        plan.pass,
        records,
        isSummed ? this.#shared.uint8('gathered') : NOTHING,
      );
    }
    // The sum that was handed out stays as it is until its receiver says `extend`.
    else this.#resume();
  }

  #enqueue(operation: Omit<Operation, 'answers'>): void {
    if (this.#isClosed) return;
    this.#waiting.push({ ...operation, answers: new Map() });
    this.#pump();
  }

  /**
   * Gives the lanes the next operation. A pass may follow an update before that is answered, which
   * saves a wake-up; everything else waits: leases must not be set, nor shared memory changed,
   * while lanes may still look at them.
   */
  #pump(): void {
    const next = this.#waiting[0];
    if (next === undefined) return;
    const mayFollow =
      next.command.kind === 'pass' &&
      this.#running.every(({ command }) => command.kind === 'apply');
    if (this.#running.length > 0 && !mayFollow) return;
    this.#waiting.shift();
    this.#running.push(next);
    next.prepare?.();
    for (const [lane, thread] of this.#threads.entries()) {
      thread.postMessage(next.command);
      this.control.wake(lane);
    }
    this.#pump();
  }

  /** Performs `command`, or without one waits until every lane has said that it is loaded. */
  async #perform(command: LaneCommand | undefined): Promise<readonly LaneAnswer[]> {
    return new Promise((resolve, reject) => {
      this.#onCreateFailed = reject;
      if (command !== undefined) return this.#enqueue({ command, done: resolve });
      this.#running.push({ command: { kind: 'resume' }, done: resolve, answers: new Map() });
    });
  }

  #startThread(start: LaneStart): Thread {
    const thread = new Thread(
      this.#options.laneProgram?.url ?? siblingModule(import.meta.url, 'lane-thread'),
      {
        workerData: start,
        name: `lane-${start.lane}`,
        // A lane makes little garbage; with V8's default it would hold 48 MB of it.
        resourceLimits: { maxYoungGenerationSizeMb: 8 },
      },
    );
    thread.on('message', (answer: LaneAnswer) => this.#hear(start.lane, answer));
    thread.on('error', (error) =>
      this.#fail(new RuntimeError(`lane ${start.lane}: ${messageOf(error)}`, {}, { cause: error })),
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
    if (answer.kind === 'failed')
      return this.#fail(new RuntimeError(`lane ${lane}: ${answer.message}`, { code: answer.code }));
    // Every lane answers in order, so this is its answer to the oldest operation that it has not
    // answered.
    this.#running.find(({ answers }) => !answers.has(lane))?.answers.set(lane, answer);
    const oldest = this.#running[0];
    if (oldest === undefined || oldest.answers.size < this.#threads.length) return;
    this.#running.shift();
    oldest.done([...oldest.answers.values()]);
    this.#pump();
  }

  #fail(error: RuntimeError): void {
    if (this.#isClosed) return;
    this.close();
    if (this.#onCreateFailed !== undefined) this.#onCreateFailed(error);
    else this.#options.handlers.onFailed(error);
  }
}

function recordsOf(answers: readonly LaneAnswer[]): readonly MicroBatchRecord[] {
  return answers.flatMap((answer): readonly MicroBatchRecord[] =>
    answer.kind === 'computed' ? answer.records : [],
  );
}
