/**
 * A compute node: takes one task after the other, says no or lingers as its load probability wants
 * it, and trains. A state machine: time, randomness and the training itself are given to it.
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { FileResult, FileTask } from './numeric/train-file.ts';
import type { Rows } from './numeric/two-layer-network.ts';

/** Training, somewhere else than on the thread that answers messages. */
export interface Trainer {
  /** Resolves with undefined when `cancel` came before the end. */
  train(rows: Rows, task: FileTask): Promise<FileResult | undefined>;
  /** Gives up what is being trained. */
  cancel(): void;
  /** Rises while training comes on. */
  readonly progress: number;
}

/**
 * The order of the draws of a request's load. rejection-first: a rejected request costs nothing.
 * seed: as in the seed system, the delay is drawn and waited for first.
 */
export type DrawOrder = 'rejection-first' | 'seed';

/** Surroundings of a compute node, and the load that it plays on top of training. */
export interface ComputeNodeOptions {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly trainer: Trainer;
  /** Probability of a delay, and separately of a rejection, between 0 and 1. */
  readonly loadProbability: number;
  readonly delayMs: number;
  readonly drawOrder: DrawOrder;
}

/** A request to train on one file. */
export interface NodeTask {
  readonly rows: Rows;
  readonly task: FileTask;
  /** Whether it may be rejected for load. */
  readonly mayReject: boolean;
}

/** How a request ended. `cancelled`: it was given up; `diverged`: it came to NaN or infinity. */
export type NodeOutcome =
  | {
      readonly kind: 'done';
      readonly result: FileResult;
      readonly computeMs: number;
      readonly injectedMs: number;
    }
  | { readonly kind: 'rejected' | 'cancelled' | 'diverged' }
  | { readonly kind: 'failed'; readonly reason: string };

/** Requests that may wait; each holds its rows and parameters. More are rejected. */
const MAX_WAITING = 16;
/** What those that wait may hold together, if there are several. */
const MAX_WAITING_BYTES: number = 256 << 20;

interface Request {
  readonly node: NodeTask;
  readonly done: (outcome: NodeOutcome) => void;
  isCancelled: boolean;
}

/** The queue of a compute node: one request is trained at a time, the others wait. */
export class ComputeNode {
  readonly #options: ComputeNodeOptions;
  readonly #waiting: Request[] = [];
  #current: Request | undefined;
  #delays = 0;

  constructor(options: ComputeNodeOptions) {
    this.#options = options;
  }

  /** Rises while the node comes on with what it does. */
  get progress(): number {
    return this.#options.trainer.progress + this.#delays;
  }

  /** Takes a request; `done` is called once. The returned function gives the request up. */
  submit(node: NodeTask, done: (outcome: NodeOutcome) => void): () => void {
    const request: Request = { node, done, isCancelled: false };
    const isBusy = this.#options.drawOrder === 'rejection-first' && this.#isRejected(node);
    if (isBusy || this.#isFull(node)) {
      done({ kind: 'rejected' });
      return () => {};
    }
    this.#waiting.push(request);
    this.#startNext();
    return () => this.#cancel(request);
  }

  #isFull(next: NodeTask): boolean {
    const bytes = [next, ...this.#waiting.map(({ node }) => node)].map(bytesOf);
    const isTooMuch = bytes.reduce((a, b) => a + b) > MAX_WAITING_BYTES;
    return this.#waiting.length >= MAX_WAITING || (this.#waiting.length > 0 && isTooMuch);
  }

  /** Gives a request up: at once if it waits. */
  #cancel(request: Request): void {
    request.isCancelled = true;
    if (this.#current === request) return this.#options.trainer.cancel();
    const place = this.#waiting.indexOf(request);
    if (place < 0) return;
    this.#waiting.splice(place, 1);
    request.done({ kind: 'cancelled' });
  }

  #startNext(): void {
    if (this.#current !== undefined) return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    this.#current = request;
    this.#run(request).then(
      (outcome) => this.#finish(request, outcome),
      (error: unknown) => this.#finish(request, { kind: 'failed', reason: messageOf(error) }),
    );
  }

  #finish(request: Request, outcome: NodeOutcome): void {
    this.#current = undefined;
    request.done(outcome);
    this.#startNext();
  }

  async #run(request: Request): Promise<NodeOutcome> {
    const { clock, random, trainer, loadProbability, delayMs, drawOrder } = this.#options;
    const { node } = request;
    if (request.isCancelled) return { kind: 'cancelled' };
    const isDelayed = random() < loadProbability;
    if (isDelayed) {
      // The load is not ours to end: a request that is cancelled meanwhile keeps the node busy all
      // the same.
      await new Promise<void>((resolve) => void clock.after(delayMs, resolve));
      this.#delays++;
    }
    if (drawOrder === 'seed' && this.#isRejected(node)) return { kind: 'rejected' };
    if (request.isCancelled) return { kind: 'cancelled' };
    const startedMs = clock.now();
    const result = await trainer.train(node.rows, node.task);
    if (result === undefined) return { kind: 'cancelled' };
    if (!result.delta.every(Number.isFinite)) return { kind: 'diverged' };
    const computeMs = clock.now() - startedMs;
    return { kind: 'done', result, computeMs, injectedMs: isDelayed ? delayMs : 0 };
  }

  #isRejected({ mayReject }: NodeTask): boolean {
    return mayReject && this.#options.random() < this.#options.loadProbability;
  }
}

function bytesOf({ rows, task }: NodeTask): number {
  return rows.x.byteLength + task.start.byteLength;
}
