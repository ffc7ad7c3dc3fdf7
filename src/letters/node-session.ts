/** A compute node's side of a connection to a coordinator of Lockstep. */
import type { Clock, Timer } from '../base/clock.ts';
import { messageOf, ProtocolError } from '../base/errors.ts';
import { sha256Of } from './numeric/letters-directory.ts';
import { type LettersRows, parseLettersText } from './numeric/letters-text.ts';
import { parameterCount } from './numeric/parameters.ts';
import { scaleRows } from './numeric/scaling.ts';
import type { Connection } from '../transport/connection.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import type { ComputeNode, NodeOutcome } from './compute-node.ts';
import type { FileCache } from './file-cache.ts';
import {
  type FromNode,
  numbersOf,
  parseToNode,
  payloadOf,
  GREETING_MS,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  type TaskMessage,
} from './messages.ts';

interface Waiting {
  readonly message: TaskMessage;
  readonly start: Float64Array;
}

/**
 * Greets, takes tasks, asks for the files that it lacks, and gives up what its coordinator leaves.
 */
export class NodeSession {
  readonly #connection: Connection;
  readonly #node: ComputeNode;
  readonly #files: FileCache;
  readonly #greeting: Timer;
  /** Asked for the file; the task goes on when it comes. */
  #waiting: Waiting | undefined;
  readonly #giveUp = new Map<number, () => void>();
  #isGreeted = false;

  constructor(connection: Connection, node: ComputeNode, files: FileCache, clock: Clock) {
    this.#connection = connection;
    this.#node = node;
    this.#files = files;
    this.#greeting = awaitGreeting(connection, clock, GREETING_MS);
    connection.handlers = {
      onFrame: (header, payload) => this.#receive(header, payload),
      onClose: () => {
        this.#greeting.cancel();
        for (const giveUp of this.#giveUp.values()) giveUp();
      },
    };
  }

  #receive(header: unknown, payload: Uint8Array): void {
    const message = parseToNode(header, this.#connection.peer);
    if (!this.#isGreeted && message.kind !== 'hello')
      throw new ProtocolError(`expected a greeting, got ${message.kind}`);
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
    this.#isGreeted = true;
    this.#connection.limits = LETTERS_LIMITS;
    this.#send({ kind: 'welcome' });
  }

  #take(message: TaskMessage, payload: Uint8Array): void {
    const start = numbersOf(payload, parameterCount(message.shape), 'a task');
    const rows = this.#files.get(message.digest, message.shape.classes);
    if (rows !== undefined) return this.#submit({ message, start }, rows);
    if (this.#waiting !== undefined)
      throw new ProtocolError('a task came while the file of another is awaited');
    this.#waiting = { message, start };
    this.#send({ kind: 'need', digest: message.digest });
  }

  #receiveFile(digest: string, bytes: Uint8Array): void {
    const waiting = this.#waiting;
    if (waiting?.message.digest !== digest) return;
    this.#waiting = undefined;
    const { id, name, shape } = waiting.message;
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
      this.#submit(waiting, rows);
    } catch (error) {
      this.#send({ kind: 'failed', id, reason: messageOf(error) });
    }
  }

  #submit({ message, start }: Waiting, rows: LettersRows): void {
    const { id, shape, recipe, seed, round, file, mayReject, scaling } = message;
    const hasScaling =
      scaling === null ||
      [scaling.shift, scaling.factor].every((list) => list.length === shape.features);
    if (rows.features !== shape.features || !hasScaling) {
      const reason = `${message.name}: expected ${shape.features} features, got ${rows.features}`;
      return this.#send({ kind: 'failed', id, reason });
    }
    const scaled = scaling === null ? rows : scaleRows(rows, scaling);
    const task = { shape, recipe, start, seed, round, file };
    let isDone = false;
    const giveUp = this.#node.submit({ rows: scaled, task, mayReject }, (outcome) => {
      isDone = true;
      this.#giveUp.delete(id);
      this.#report(id, outcome);
    });
    if (!isDone) this.#giveUp.set(id, giveUp);
  }

  #cancel(id: number): void {
    this.#giveUp.get(id)?.();
    if (this.#waiting?.message.id !== id) return;
    this.#waiting = undefined;
    this.#send({ kind: 'cancelled', id });
  }

  #report(id: number, outcome: NodeOutcome): void {
    if (outcome.kind === 'failed')
      return this.#send({ kind: 'failed', id, reason: outcome.reason });
    if (outcome.kind !== 'done') return this.#send({ kind: outcome.kind, id });
    const { result, computeMs, injectedMs } = outcome;
    const { delta, trainingError, epochs } = result;
    this.#send(
      { kind: 'result', id, trainingError, epochs, computeMs, injectedMs },
      payloadOf(delta),
    );
  }

  #send(message: FromNode, payload?: Uint8Array): void {
    this.#connection.send(message, payload);
  }
}
