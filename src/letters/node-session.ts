/** A compute node's side of a connection to a coordinator of Lockstep. */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf, ProtocolError } from '../base/errors.ts';
import { MAX_FILE_BYTES, sha256Of } from './numeric/letters-directory.ts';
import { type LettersRows, parseLettersText } from './numeric/letters-text.ts';
import { parameterCount } from './numeric/parameters.ts';
import { scaleRows } from './numeric/scaling.ts';
import type { Connection } from '../transport/connection.ts';
import type { MemoryBudget } from '../transport/memory-budget.ts';
import { SilenceWatch } from '../transport/silence-watch.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import type { ComputeNode, NodeOutcome } from './compute-node.ts';
import type { FileCache } from './file-cache.ts';
import { MAX_PARAMETERS } from './job-spec.ts';
import {
  type FromNode,
  numbersOf,
  parseToNode,
  payloadOf,
  GREETING_MS,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  shortened,
  SILENCE_MS,
  type TaskMessage,
  type ToNode,
} from './messages.ts';

/** What a coordinator leaves unread before it is taken for gone. */
const MAX_UNREAD_BYTES = 128 << 20;

/** The one task of a connection; it may wait for its file. */
interface CurrentTask {
  readonly message: TaskMessage;
  readonly start: Float64Array;
  awaitsFile: boolean;
  giveUp: () => void;
}

/**
 * Greets, takes one task at a time, asks for the files that it lacks, and gives up what its
 * coordinator leaves.
 */
export class NodeSession {
  readonly #connection: Connection;
  readonly #node: ComputeNode;
  readonly #files: FileCache;
  readonly #clock: Clock;
  readonly #budget: MemoryBudget;
  readonly #greeting: Timer;
  #watch: SilenceWatch | undefined;
  #task: CurrentTask | undefined;
  /** Bytes of payloads that were taken from the budget and not given back. */
  #held = 0;

  constructor(
    connection: Connection,
    node: ComputeNode,
    files: FileCache,
    { clock, budget }: { readonly clock: Clock; readonly budget: MemoryBudget },
  ) {
    this.#connection = connection;
    this.#node = node;
    this.#files = files;
    this.#clock = clock;
    this.#budget = budget;
    this.#greeting = awaitGreeting(connection, clock, GREETING_MS);
    connection.handlers = {
      payloadTarget: (header, byteLength) => this.#admit(this.#parse(header), byteLength),
      onFrame: (header, payload) => this.#receive(this.#parse(header), payload),
      onClose: () => {
        this.#greeting.cancel();
        this.#watch?.stop();
        this.#task?.giveUp();
        this.#giveBack();
      },
    };
  }

  #parse(header: unknown): ToNode {
    return parseToNode(header, this.#connection.peer);
  }

  /** Before memory is taken for a payload: it must be one that belongs here, and not longer. */
  #admit(message: ToNode, byteLength: number): undefined {
    const most = this.#mostBytes(message);
    if (byteLength > most)
      throw new ProtocolError(
        `${message.kind}: expected a payload of at most ${most} bytes here, got ${byteLength}`,
      );
    this.#budget.take(byteLength);
    this.#held += byteLength;
  }

  #mostBytes(message: ToNode): number {
    if (message.kind === 'data') return this.#task?.awaitsFile === true ? MAX_FILE_BYTES : 0;
    return message.kind === 'task' && this.#task === undefined
      ? 8 * parameterCount(message.shape)
      : 0;
  }

  #giveBack(): void {
    this.#budget.giveBack(this.#held);
    this.#held = 0;
  }

  #receive(message: ToNode, payload: Uint8Array): void {
    this.#watch?.heard();
    const isGreeted = this.#watch !== undefined;
    if (isGreeted === (message.kind === 'hello'))
      throw new ProtocolError(
        `expected ${isGreeted ? 'a task' : 'a greeting'}, got ${message.kind}`,
      );
    switch (message.kind) {
      case 'hello':
        return this.#greet(message);
      case 'ping':
        return this.#send({ kind: 'pong', progress: this.#node.progress });
      case 'cancel':
        return this.#cancel(message.id);
      case 'task':
        return this.#take(message, payload);
      case 'data':
        return this.#receiveFile(message.digest, payload);
      default:
        message satisfies never;
    }
  }

  #greet(message: { readonly protocol: number; readonly role: string }): void {
    const reason =
      message.role === 'coordinator'
        ? versionProblem(LETTERS_PROTOCOL, message)
        : 'this is a compute node: connect to the coordinator node';
    this.#greeting.cancel();
    if (reason !== undefined) return refuseConnection(this.#connection, reason);
    this.#connection.limits = LETTERS_LIMITS;
    this.#watch = new SilenceWatch(this.#clock, {
      limitMs: SILENCE_MS,
      onSilent: () => this.#connection.destroy(),
      bytes: () => this.#connection.bytesReceived,
    });
    this.#send({ kind: 'welcome' });
  }

  #take(message: TaskMessage, payload: Uint8Array): void {
    if (this.#task !== undefined) throw new ProtocolError('expected one task at a time, got two');
    const { shape } = message;
    if (parameterCount(shape) > MAX_PARAMETERS)
      throw new ProtocolError(`expected a network of at most ${MAX_PARAMETERS} parameters`);
    const start = numbersOf(payload, parameterCount(shape), 'a task');
    const rows = this.#files.get(message.digest, shape.classes);
    this.#task = { message, start, awaitsFile: rows === undefined, giveUp: () => {} };
    if (rows === undefined) this.#send({ kind: 'need', digest: message.digest });
    else this.#submit(this.#task, rows);
  }

  #receiveFile(digest: string, bytes: Uint8Array): void {
    const task = this.#task;
    if (task?.awaitsFile !== true || task.message.digest !== digest) return;
    task.awaitsFile = false;
    const { name, shape } = task.message;
    try {
      if (sha256Of(bytes) !== digest)
        throw new ProtocolError(`${name}: other bytes came than were announced`);
      const text = new TextDecoder('latin1').decode(bytes);
      const rows = parseLettersText(text, {
        name,
        classes: shape.classes,
        features: shape.features,
      });
      this.#files.put(digest, shape.classes, rows);
      this.#submit(task, rows);
    } catch (error) {
      this.#report(task, { kind: 'failed', reason: messageOf(error) });
    }
  }

  #submit(current: CurrentTask, rows: LettersRows): void {
    const { message, start } = current;
    const { shape, recipe, seed, round, file, mayReject, scaling } = message;
    const hasScaling =
      scaling === null ||
      [scaling.shift, scaling.factor].every((list) => list.length === shape.features);
    if (rows.features !== shape.features || !hasScaling) {
      const reason = `${message.name}: expected ${shape.features} features, got ${rows.features}`;
      return this.#report(current, { kind: 'failed', reason });
    }
    const scaled = scaling === null ? rows : scaleRows(rows, scaling);
    const task = { shape, recipe, start, seed, round, file };
    const giveUp = this.#node.submit({ rows: scaled, task, mayReject }, (outcome) =>
      this.#report(current, outcome),
    );
    current.giveUp = giveUp;
  }

  #cancel(id: number): void {
    const task = this.#task;
    if (task?.message.id !== id) return;
    if (task.awaitsFile) this.#report(task, { kind: 'cancelled' });
    else task.giveUp();
  }

  #report(current: CurrentTask, outcome: NodeOutcome): void {
    if (this.#task === current) this.#task = undefined;
    this.#giveBack();
    const { id } = current.message;
    if (outcome.kind === 'failed')
      return this.#send({ kind: 'failed', id, reason: shortened(outcome.reason) });
    if (outcome.kind !== 'done') return this.#send({ kind: outcome.kind, id });
    const { result, computeMs, injectedMs } = outcome;
    const { delta, trainingError, epochs } = result;
    this.#send(
      { kind: 'result', id, trainingError, epochs, computeMs, injectedMs },
      payloadOf(delta),
    );
  }

  #send(message: FromNode, payload?: Uint8Array): void {
    if (this.#connection.queuedBytes > MAX_UNREAD_BYTES) this.#connection.destroy();
    else this.#connection.send(message, payload);
  }
}
