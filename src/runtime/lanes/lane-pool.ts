/** The engine of a worker process: lanes of ONNX Runtime on threads over shared memory. */
import { invariant, RuntimeError } from '../../base/errors.ts';
import { microBatchesOfStep } from '../../data/batches.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { EncodedGraph } from '../../graph/file/encode.ts';
import type { Arena } from '../../kernels/arena.ts';
import { type ArenaLayout, makeBlocks } from '../../kernels/layout.ts';
import type { OptimizerSpec } from '../../optim/spec.ts';
import { noteBytesOf } from '../../plan/attempt-note.ts';
import type { Commit, Grant, Job, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import type { Device } from '../device.ts';
import type { Engine, EngineHandlers, GroupSeat } from '../engine.ts';
import { GrantedWork } from './granted-work.ts';
import { LaneControl } from './lane-control.ts';
import {
  type LaneAnswer,
  type LaneCommand,
  type LaneStart,
  layoutOf,
  makeSharedArena,
} from './lane-job.ts';
import { LaneThreads } from './lane-threads.ts';
import { StateDigester } from './state-digester.ts';

/** What a pool of lanes is made from. */
export interface LanePoolOptions {
  readonly laneCount: number;
  /** How many times slower than they could be lanes compute; 1 if absent. */
  readonly throttle?: number;
  readonly device: Device;
  readonly job: Job;
  readonly optimizer: OptimizerSpec;
  readonly files: { readonly train: EncodedGraph; readonly evaluate: EncodedGraph };
  readonly train: Dataset;
  readonly evaluate: Dataset;
  /** Settles once their samples are in their memory: lanes compile meanwhile. They are, if absent. */
  readonly areHere?: Promise<unknown>;
  readonly handlers: EngineHandlers;
  /** A program of its own for the lanes' threads; `extra` (plain data) is for its hooks. */
  readonly laneProgram?: { readonly url: URL; readonly extra: unknown };
  /** Gets the words that the lanes share, before they compile and try the steps. */
  readonly onStarted?: (words: Int32Array) => void;
}

const NOTHING = new Uint8Array(0);

/** A state that was put into the shared memory, or will be, and who waits for it. */
interface Exported {
  /** What had been changed by then. */
  readonly changes: number;
  isThere: boolean;
  readonly waiting: ((bytes: Uint8Array) => void)[];
}

/** An engine whose lanes are threads of this process; `closed` ends them. */
export class LanePool implements Engine {
  readonly control: LaneControl;
  readonly #options: LanePoolOptions;
  readonly #layout: ArenaLayout;
  readonly #shared: Arena;
  readonly #threads: LaneThreads;
  #pass: Plan | undefined;
  /**
   * Leases of a pass that the lanes have not begun: they may still be at the one before, and would
   * compute these for it. Undefined once they have begun.
   */
  #waitingLeases: number[] | undefined;
  readonly #follows: GrantedWork;
  readonly #digester: StateDigester;
  /** Counts what changes the state, or the shared memory for it. */
  #changes = 0;
  #exported: Exported | undefined;
  /** How many updates that are not done yet take their totals from the shared memory. */
  #receivedUses = 0;
  /** Hears of a failure while the pool is being made; later failures go to the handlers. */
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
    const noteBytes = noteBytesOf(job.parameters.length, microBatchCapacity);
    const notes = new Uint8Array(new SharedArrayBuffer(laneCount * noteBytes));
    const losses = new Float32Array(new SharedArrayBuffer(4 * 2 * microBatchCapacity));
    const starts = Array.from({ length: laneCount }, (_, lane): LaneStart => ({
      lane,
      laneCount,
      ...(options.throttle !== undefined && { throttle: options.throttle }),
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
      notes,
      losses,
      extra: options.laneProgram?.extra,
    }));
    const onFailed = (error: RuntimeError): void => {
      if (this.#onCreateFailed !== undefined) this.#onCreateFailed(error);
      else options.handlers.onFailed(error);
    };
    this.#digester = new StateDigester(this.#shared.uint8('state'), this.#layout.length, onFailed);
    this.#threads = new LaneThreads({
      starts,
      control: this.control,
      program: options.laneProgram?.url,
      onNews: (news) => this.#follows.hear(news),
      onFailed,
    });
    this.#follows = new GrantedWork({
      laneCount,
      control: this.control,
      threads: this.#threads,
      onAttempted: (attempts) => options.handlers.onAttempted(attempts),
    });
  }

  /**
   * Starts the lanes; resolves once all have compiled, with the numerics class that they agree on,
   * and what one micro-batch took the slowest of them, milliseconds. Rejects as `areHere` does, too.
   */
  static async create(
    options: LanePoolOptions,
  ): Promise<{ pool: LanePool; numericsClass: string; trialMs: number }> {
    const pool = new LanePool(options);
    options.onStarted?.(pool.control.words);
    try {
      await Promise.all([pool.#perform(undefined), options.areHere]);
      const answers = await pool.#perform({ kind: 'probe' });
      const probed = answers.filter((answer) => answer.kind === 'probed');
      const classes = new Set(probed.map(({ numericsClass }) => numericsClass));
      if (classes.size !== 1) {
        throw new RuntimeError(
          'the lanes of this worker do not compute the same bits. Use --lanes 1 on this machine.',
        );
      }
      pool.#onCreateFailed = undefined;
      const trialMs = Math.max(...probed.map((answer) => answer.trialMs));
      return { pool, numericsClass: [...classes][0] ?? '', trialMs };
    } catch (error) {
      pool.close();
      throw error;
    }
  }

  begin(plan: Plan): void {
    this.#void();
    this.#pass = plan;
    this.#waitingLeases = [...plan.leases];
    this.#threads.drop('pass', 'resume');
    this.#threads.enqueue({
      command: { kind: 'pass', plan },
      prepare: () => this.#pass === plan && this.#leaseWaiting(),
      done: (answers) => this.#deliver(plan, answers),
    });
  }

  extend(microBatches: readonly number[]): void {
    if (this.#waitingLeases !== undefined) {
      this.#waitingLeases.push(...microBatches);
      return;
    }
    this.control.lease(microBatches);
    // Lanes that compute find them, or the next call does; others are told, after what they are at.
    if (!this.#threads.isUnderWay('pass', 'resume')) this.#resume();
  }

  release(count: number): number[] {
    const waiting = this.#waitingLeases;
    if (waiting === undefined) return this.control.release(count);
    return waiting.splice(Math.max(0, waiting.length - count));
  }

  audit(
    microBatches: readonly number[],
    done: (records: readonly MicroBatchRecord[]) => void,
  ): void {
    const plan = this.#pass;
    if (plan === undefined) return;
    this.#threads.enqueue({
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
    this.#changes++;
    const received = this.#shared.uint8('received');
    const uses = totals === undefined ? 0 : 1;
    this.#receivedUses += uses;
    this.#threads.enqueue({
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

  follow(grant: Grant, seat?: GroupSeat): void {
    if (grant.start !== undefined) this.#void();
    this.#changes++;
    this.#follows.follow(grant, seat);
  }

  halt(generation: number, done: () => void): void {
    this.#follows.halt(generation, done);
  }

  importState(bytes: Uint8Array, done: () => void): void {
    this.#void();
    this.#changes++;
    const state = this.#shared.uint8('state');
    invariant(bytes.length === state.length, 'a state has the size of weights and optimizer state');
    const prepare = (): void => {
      if (bytes.buffer === state.buffer) return;
      this.#digester.settle();
      state.set(bytes);
    };
    this.#threads.enqueue({ command: { kind: 'import' }, prepare, done });
  }

  exportState(done: (bytes: Uint8Array) => void): void {
    const state = this.#shared.uint8('state');
    const last = this.#exported;
    if (last?.changes === this.#changes) {
      if (last.isThere) done(state);
      else last.waiting.push(done);
      return;
    }
    const exported: Exported = { changes: this.#changes, isThere: false, waiting: [done] };
    this.#exported = exported;
    this.#threads.enqueue({
      command: { kind: 'export' },
      prepare: () => this.#digester.settle(),
      done: () => {
        exported.isThere = true;
        for (const receive of exported.waiting) receive(state);
      },
    });
  }

  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    this.exportState(() =>
      this.#digester.take(({ weightsDigest, stateDigest }) => done(weightsDigest, stateDigest)),
    );
  }

  totalsTarget(): Uint8Array | undefined {
    return this.#receivedUses > 0 ? undefined : this.#shared.uint8('received');
  }

  stateTarget(): Uint8Array | undefined {
    const isUsed = this.#threads.isUnderWay('import', 'export') || this.#digester.isReading;
    if (isUsed) return undefined;
    this.#changes++;
    return this.#shared.uint8('state');
  }

  close(): void {
    this.#threads.close();
  }

  /** Resolves when all threads have ended; those that have not after `timeoutMs` are terminated. */
  async closed(timeoutMs: number): Promise<void> {
    await Promise.all([this.#threads.closed(timeoutMs), this.#digester.close()]);
  }

  /** What is still computed of the current pass is of no use any more. */
  #void(): void {
    this.control.clear();
    this.#pass = this.#waitingLeases = undefined;
    this.#follows.void();
  }

  #leaseWaiting(): void {
    this.control.lease(this.#waitingLeases ?? []);
    this.#waitingLeases = undefined;
  }

  /** Computes what was leased and not found by lanes at work, if there is any. */
  #resume(): void {
    const plan = this.#pass;
    if (plan === undefined || this.#threads.isWaiting('resume')) return;
    if (!this.control.hasAvailable()) return;
    this.#threads.enqueue({
      command: { kind: 'resume' },
      done: (answers) => this.#deliver(plan, answers),
    });
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

  /** Performs `command`, or without one waits until every lane has said that it is loaded. */
  async #perform(command: LaneCommand | undefined): Promise<readonly LaneAnswer[]> {
    return new Promise((resolve, reject) => {
      this.#onCreateFailed = reject;
      if (command === undefined) this.#threads.awaitLoaded(resolve);
      else this.#threads.enqueue({ command, done: resolve });
    });
  }
}

function recordsOf(answers: readonly LaneAnswer[]): readonly MicroBatchRecord[] {
  return answers.flatMap((answer): readonly MicroBatchRecord[] =>
    answer.kind === 'computed' ? answer.records : [],
  );
}
