/**
 * A coordinator's link to a compute node of the seed system: a connection per task, as its own
 * coordinator makes them.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Mode } from './job-spec.ts';
import { TASK_TIMEOUT_MS } from './native-link.ts';
import { encodeFileCall, parseFileReply } from './thrift/seed-interface.ts';
import type { NodeLink, NodeLinkHandlers, Task, TaskOutcome } from './task.ts';
import { ThriftDecoder } from './thrift/thrift-decoder.ts';
import type { ThriftMessage } from './thrift/thrift-values.ts';

/** The policy with which a node may be too busy. */
const MAY_REJECT = 2;

/** Opens a stream to the node. */
export type OpenStream = () => Promise<ByteStream>;

/** Calls `train` of the node for every task; whether it is reached shows only then. */
export class SeedLink implements NodeLink {
  readonly #open: OpenStream;
  readonly #clock: Clock;
  readonly #handlers: NodeLinkHandlers;
  readonly #policy: number;
  #stream: ByteStream | undefined;
  #deadline: Timer | undefined;
  #isOver = false;

  /** `policy` is the number that the node is told: 2 lets it reject tasks, 1 does not. */
  constructor(open: OpenStream, clock: Clock, handlers: NodeLinkHandlers, policy: number) {
    this.#open = open;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#policy = policy;
    // It was reached just now; but whoever asked for the link must have it first.
    clock.after(0, () => {
      if (!this.#isOver) handlers.onReady();
    });
  }

  /** Its interface has nothing but what the seed system computes. */
  can(mode: Mode): boolean {
    return mode === 'seed';
  }

  run(task: Task, done: (outcome: TaskOutcome) => void): void {
    const reason = `no result for ${TASK_TIMEOUT_MS / 1000} s`;
    this.#deadline = this.#clock.after(TASK_TIMEOUT_MS, () => this.#lose(reason));
    this.#open().then(
      (stream) => this.#call(stream, task, done),
      (error: unknown) => this.#lose(messageOf(error)),
    );
  }

  /** The interface has no word for it. */
  cancel(): void {}

  close(): void {
    this.#isOver = true;
    this.#deadline?.cancel();
    this.#stream?.destroy();
  }

  #call(stream: ByteStream, task: Task, done: (outcome: TaskOutcome) => void): void {
    if (this.#isOver) return stream.destroy();
    this.#stream = stream;
    const decoder = new ThriftDecoder((message) => {
      decoder.stop();
      this.#deadline?.cancel();
      this.#stream = undefined;
      stream.close();
      done(outcomeOf(message, task, this.#policy));
    });
    stream.handlers = {
      onBytes: (bytes) => decoder.push(bytes),
      onClose: (error) => {
        if (this.#stream === stream)
          this.#lose(error?.message ?? 'it closed the connection without a result');
      },
    };
    const { epochs, eta } = task.recipe;
    const { path, shape, start } = task;
    stream.write(
      encodeFileCall(task.id, { path, shape, start, epochs, eta, policy: this.#policy }),
    );
  }

  #lose(reason: string): void {
    if (this.#isOver) return;
    this.close();
    this.#handlers.onLost(reason);
  }
}

/** A node of the seed system has one answer for a file that it cannot read and for being busy. */
function rejectionOf({ path }: Task, policy: number): TaskOutcome {
  if (policy === MAY_REJECT) return { kind: 'rejected' };
  const reason =
    `it gives no result for ${path}, which nodes of the seed system read by themselves: has its ` +
    'machine the file at this path?';
  return { kind: 'rejected', reason };
}

function outcomeOf(message: ThriftMessage, task: Task, policy: number): TaskOutcome {
  try {
    const { delta, trainingError } = parseFileReply(message, task.shape);
    if (delta === undefined) return rejectionOf(task, policy);
    if (!delta.every(Number.isFinite)) return { kind: 'diverged' };
    return { kind: 'done', delta, trainingError, computeMs: null, injectedMs: null };
  } catch (error) {
    return { kind: 'failed', reason: messageOf(error) };
  }
}
