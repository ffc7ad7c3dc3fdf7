/** A coordinator's link to a compute node of Lockstep. */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf, ProtocolError } from '../base/errors.ts';
import { parameterCount } from './numeric/parameters.ts';
import type { Connection } from '../transport/connection.ts';
import { SilenceWatch } from '../transport/silence-watch.ts';
import {
  type FromNode,
  numbersOf,
  parseFromNode,
  payloadOf,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  type TaskMessage,
  type ToNode,
} from './messages.ts';
import type { NodeLink, NodeLinkHandlers, Task, TaskOutcome } from './task.ts';

const PING_MS = 1_000;
/** A node that is silent for so long is lost, e.g. because its host sleeps. */
const SILENCE_MS = 5_000;
/** What a node says of its reasons, in characters. */
const MAX_REASON = 500;
/** A node that lives but comes no further for so long is lost. */
export const TASK_TIMEOUT_MS = 200_000;

/** One connection for all tasks; pings tell whether the node lives and comes on. */
export class NativeLink implements NodeLink {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #handlers: NodeLinkHandlers;
  readonly #mayReject: boolean;
  #timer: Timer | undefined;
  #isOver = false;
  readonly #watch: SilenceWatch;
  #queuedBytes = 0;
  #flushedBytes = 0;
  #progress = 0;
  #progressedMs = 0;
  #running: { readonly task: Task; readonly done: (outcome: TaskOutcome) => void } | undefined;

  /** `mayReject`: whether a busy node may refuse tasks. */
  constructor(
    connection: Connection,
    clock: Clock,
    handlers: NodeLinkHandlers,
    mayReject: boolean,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#mayReject = mayReject;
    this.#watch = new SilenceWatch(clock, {
      limitMs: SILENCE_MS,
      onSilent: () => this.#lose(`silent for ${SILENCE_MS / 1000} s`),
      bytes: () => this.#movedBytes(),
      leastBytes: 1,
    });
    connection.limits = LETTERS_LIMITS;
    connection.handlers = {
      payloadTarget: (header, byteLength) => this.#admit(header, byteLength),
      onFrame: (header, payload) => this.#receive(parseFromNode(header, connection.peer), payload),
      onClose: (error) => this.#lose(error?.message ?? 'it closed the connection'),
    };
    this.#send({ kind: 'hello', protocol: LETTERS_PROTOCOL.version, role: 'coordinator', port: 0 });
    this.#ping();
  }

  can(): boolean {
    return true;
  }

  run(task: Task, done: (outcome: TaskOutcome) => void): void {
    this.#running = { task, done };
    this.#progressedMs = this.#clock.now();
    const { id, round, file, name, digest, shape, recipe, scaling, seed } = task;
    const message: TaskMessage = {
      kind: 'task',
      id,
      round,
      file,
      name,
      digest,
      shape,
      recipe,
      seed,
      mayReject: this.#mayReject,
      scaling: scaling === null ? null : { shift: [...scaling.shift], factor: [...scaling.factor] },
    };
    this.#connection.send(message, payloadOf(task.start));
  }

  cancel(): void {
    if (this.#running !== undefined) this.#send({ kind: 'cancel', id: this.#running.task.id });
  }

  close(): void {
    this.#isOver = true;
    this.#watch.stop();
    this.#timer?.cancel();
    this.#connection.close();
  }

  #receive(message: FromNode, payload: Uint8Array): void {
    if (this.#isOver) return;
    this.#watch.heard();
    switch (message.kind) {
      case 'welcome':
        return this.#handlers.onReady();
      case 'refused':
        return this.#lose(`it refused us: ${message.reason.slice(0, MAX_REASON)}`);
      case 'pong':
        if (message.progress !== this.#progress) this.#progressedMs = this.#clock.now();
        this.#progress = message.progress;
        return;
      case 'need':
        return this.#sendFile(message.digest);
      case 'result':
        return this.#finish(message.id, this.#readResult(message, payload));
      case 'failed':
        return this.#finish(message.id, {
          kind: 'failed',
          reason: message.reason.slice(0, MAX_REASON),
        });
      case 'rejected':
      case 'cancelled':
      case 'diverged':
        return this.#finish(message.id, { kind: message.kind });
      default:
        message satisfies never;
    }
  }

  #readResult(message: Extract<FromNode, { kind: 'result' }>, payload: Uint8Array): TaskOutcome {
    const shape = this.#running?.task.shape;
    if (shape === undefined) return { kind: 'cancelled' };
    try {
      const delta = numbersOf(payload, parameterCount(shape), 'a result');
      if (!delta.every(Number.isFinite))
        return { kind: 'failed', reason: 'its result holds NaN or infinite numbers' };
      const { trainingError, computeMs, injectedMs } = message;
      return { kind: 'done', delta, trainingError, computeMs, injectedMs };
    } catch (error) {
      return { kind: 'failed', reason: messageOf(error) };
    }
  }

  #finish(id: number, outcome: TaskOutcome): void {
    const running = this.#running;
    if (running?.task.id !== id)
      return this.#lose(`it answered to a task that it was not given (${id})`);
    this.#running = undefined;
    running.done(outcome);
  }

  #sendFile(digest: string): void {
    const task = this.#running?.task;
    if (task === undefined) return;
    if (task.digest !== digest)
      return this.#lose('it asked for a file that it was not given a task for');
    this.#connection.send({ kind: 'data', digest } satisfies ToNode, task.bytes);
  }

  /** Before memory is taken for a payload: nothing but the result of the task is expected. */
  #admit(header: unknown, byteLength: number): undefined {
    const shape = this.#running?.task.shape;
    const { kind } = parseFromNode(header, this.#connection.peer);
    const most = kind === 'result' && shape !== undefined ? 8 * parameterCount(shape) : 0;
    if (byteLength > most)
      throw new ProtocolError(
        `${kind}: expected a payload of at most ${most} bytes, got ${byteLength}`,
      );
  }

  /** Bytes that came, and bytes that went while more had to wait: pings are behind those. */
  #movedBytes(): number {
    const { queuedBytes, bytesReceived } = this.#connection;
    this.#flushedBytes += Math.max(0, this.#queuedBytes - queuedBytes);
    this.#queuedBytes = queuedBytes;
    return bytesReceived + this.#flushedBytes;
  }

  #ping(): void {
    if (this.#isOver) return;
    if (this.#running !== undefined && this.#clock.now() - this.#progressedMs >= TASK_TIMEOUT_MS)
      return this.#lose(`no progress for ${TASK_TIMEOUT_MS / 1000} s`);
    this.#send({ kind: 'ping' });
    this.#timer = this.#clock.after(PING_MS, () => this.#ping());
  }

  #send(message: ToNode): void {
    this.#connection.send(message);
  }

  #lose(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch.stop();
    this.#timer?.cancel();
    this.#connection.destroy();
    this.#handlers.onLost(reason);
  }
}
