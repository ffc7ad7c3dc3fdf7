/**
 * What happens on a connection to a coordinator node: of a client, of a compute node that
 * registers, of a client of the seed system.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { LockstepError, messageOf, ProtocolError } from '../base/errors.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/connection.ts';
import { SilenceWatch } from '../transport/silence-watch.ts';
import {
  type JobEvent,
  parseToCoordinatorNode,
  payloadOf,
  GREETING_MS,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  type FromCoordinatorNode,
  SILENCE_MS,
  shortened,
  type ToCoordinatorNode,
} from './messages.ts';
import { hostOf } from './door.ts';
import { type JobSpec, SEED_DEFAULTS } from './job-spec.ts';
import { nodeName } from './node-list.ts';
import type { CoordinatorNode } from './coordinator-node.ts';
import {
  encodeException,
  encodeIdentity,
  encodeTrainReply,
  parseTrainCall,
  TRAIN,
  WHO_ARE_YOU,
} from './thrift/seed-interface.ts';
import { type CallSurroundings, serveCalls } from './thrift/serve-calls.ts';
import type { ThriftMessage } from './thrift/thrift-values.ts';

/** A client that leaves so much unread is gone. */
const MAX_UNREAD_BYTES = 128 << 20;

/**
 * The coordinator's side of a connection to a client or to a node that registers. It greets; a
 * client then gives one job, and both prove with pings that they live.
 */
export class CoordinatorSession {
  readonly #connection: Connection;
  readonly #coordinator: CoordinatorNode;
  readonly #clock: Clock;
  readonly #log: (line: string) => void;
  /** What is expected next: a greeting, a client's job, or nothing but pings. */
  #awaits: 'hello' | 'train' | 'pings' = 'hello';
  #deadline: Timer;
  #watch: SilenceWatch | undefined;
  /** Gives up what the other end is here for. */
  #end: () => void = () => {};

  constructor(
    connection: Connection,
    coordinator: CoordinatorNode,
    clock: Clock,
    log: (line: string) => void,
  ) {
    this.#connection = connection;
    this.#coordinator = coordinator;
    this.#clock = clock;
    this.#log = log;
    this.#deadline = awaitGreeting(connection, clock, GREETING_MS);
    connection.handlers = {
      onFrame: (header) => this.#receive(parseToCoordinatorNode(header, connection.peer)),
      onClose: () => {
        this.#deadline.cancel();
        this.#watch?.stop();
        this.#end();
      },
    };
  }

  #receive(message: ToCoordinatorNode): void {
    this.#watch?.heard();
    if (message.kind === 'ping' && this.#awaits !== 'hello') return this.#say({ kind: 'pong' });
    if (message.kind === 'hello' && this.#awaits === 'hello') return this.#greet(message);
    if (message.kind === 'train' && this.#awaits === 'train') return this.#train(message.spec);
    const expected = { hello: 'a greeting', train: 'a job', pings: 'pings' }[this.#awaits];
    throw new ProtocolError(`expected ${expected}, got ${message.kind}`);
  }

  #greet(hello: Extract<ToCoordinatorNode, { kind: 'hello' }>): void {
    this.#deadline.cancel();
    const { role, port } = hello;
    const reason =
      role === 'coordinator'
        ? 'this is a coordinator node'
        : role === 'node' && port === 0
          ? 'expected the port that the compute node listens on, got 0'
          : versionProblem(LETTERS_PROTOCOL, hello);
    if (reason !== undefined) return refuseConnection(this.#connection, reason);
    this.#connection.limits = { ...LETTERS_LIMITS, maxPayloadBytes: 0 };
    const end = (): void => this.#connection.destroy();
    this.#watch = new SilenceWatch(this.#clock, { limitMs: SILENCE_MS, onSilent: end });
    this.#awaits = role === 'node' ? 'pings' : 'train';
    if (role === 'node') this.#register(port);
    else this.#deadline = awaitGreeting(this.#connection, this.#clock, GREETING_MS);
    this.#say({ kind: 'welcome' });
  }

  #register(port: number): void {
    const address = { host: hostOf(this.#connection.peer), port };
    this.#log(`compute node ${nodeName(address)} registered`);
    this.#coordinator.register(address);
    this.#end = () => {
      this.#log(`compute node ${nodeName(address)} withdrew`);
      this.#coordinator.withdraw(address);
    };
  }

  #train(spec: JobSpec): void {
    this.#deadline.cancel();
    this.#awaits = 'pings';
    const log = (line: string): void => this.#log(`${this.#connection.peer}: ${line}`);
    this.#end = submit(this.#coordinator, spec, log, (event, payload) => {
      this.#say(event, payload === undefined ? undefined : payloadOf(payload));
      if (event.kind === 'done' || event.kind === 'failed') this.#connection.close();
    });
  }

  #say(message: FromCoordinatorNode, payload?: Uint8Array): void {
    if (this.#connection.queuedBytes > MAX_UNREAD_BYTES) this.#connection.destroy();
    else this.#connection.send(message, payload);
  }
}

/**
 * Submits a job, logs how it goes, and gives how to end it. A job that is refused is told like one
 * that failed.
 */
function submit(
  coordinator: CoordinatorNode,
  spec: JobSpec,
  log: (line: string) => void,
  tell: (event: JobEvent, payload?: Float64Array) => void,
): () => void {
  const { directory, rounds, epochs, hidden, eta, mode } = spec;
  log(
    `train ${directory}: rounds ${rounds}, epochs ${epochs}, h ${hidden}, eta ${eta}, mode ${mode}`,
  );
  const told = (event: JobEvent, payload?: Float64Array): void => {
    const line = lineOf(event);
    if (line !== undefined) log(line);
    tell('reason' in event ? { ...event, reason: shortened(event.reason) } : event, payload);
  };
  try {
    return coordinator.submit(spec, told);
  } catch (error) {
    told({
      kind: 'failed',
      code: error instanceof LockstepError ? error.code : 'INTERNAL',
      reason: messageOf(error),
    });
    return () => {};
  }
}

/** An event as a line of the coordinator's log; the seed system's words for a round. */
function lineOf(event: JobEvent): string | undefined {
  switch (event.kind) {
    case 'round':
      return `Coordinator: Round ${event.round} => Validation error=${event.validationError}`;
    case 'trouble':
      return `${event.node}: ${event.reason}`;
    case 'waiting':
      return (
        'no compute node: ' + event.nodes.map(({ node, reason }) => `${node}: ${reason}`).join('; ')
      );
    case 'resumed':
      return 'a compute node is back';
    case 'failed':
      return `failed: ${event.reason}`;
    case 'queued':
      return `waits for ${event.ahead} other jobs`;
    case 'started':
      return `${event.files} files, ${event.rows} rows`;
    case 'done':
      return undefined;
    default:
      return event satisfies never;
  }
}

/** Answers `train` calls of the seed system's client until the stream ends. */
export function serveSeedClient(
  stream: ByteStream,
  coordinator: CoordinatorNode,
  around: CallSurroundings,
  log: (line: string) => void,
): void {
  const logged = (line: string): void => log(`${stream.peer}: ${line}`);
  serveCalls(stream, (call, signal) => answerTrain(coordinator, call, signal, logged), around);
}

async function answerTrain(
  coordinator: CoordinatorNode,
  call: ThriftMessage,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<Uint8Array> {
  if (call.name === WHO_ARE_YOU) return encodeIdentity(call);
  if (call.name !== TRAIN)
    return encodeException(call, 'unknownMethod', `a coordinator node has no method ${call.name}`);
  const { directory, rounds, epochs, hidden, classes, eta } = parseTrainCall(call);
  const spec = { ...SEED_DEFAULTS, directory, rounds, epochs, hidden, classes, eta };
  return new Promise((resolve) => {
    const giveUp = submit(coordinator, spec, log, (event) => {
      if (event.kind === 'done')
        resolve(encodeTrainReply(call.sequence, event.errors.at(-1) ?? -1));
      if (event.kind === 'failed') resolve(encodeException(call, 'internalError', event.reason));
    });
    signal.addEventListener('abort', giveUp, { once: true });
  });
}
