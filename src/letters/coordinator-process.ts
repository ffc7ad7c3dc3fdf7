/**
 * A coordinator node with its door: clients and nodes of Lockstep, and clients of the seed system,
 * reach it on one port.
 */
import { readFileSync, statSync } from 'node:fs';
import { systemClock } from '../base/clock.ts';
import { ConfigError, LockstepError, messageOf, ProtocolError } from '../base/errors.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../protocol/greeting.ts';
import { readLettersDirectory } from './numeric/letters-directory.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/connection.ts';
import { type Address, connect, connectBytes, listen } from '../transport/tcp.ts';
import {
  type JobEvent,
  parseToCoordinatorNode,
  payloadOf,
  GREETING_MS,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  type FromCoordinatorNode,
} from './messages.ts';
import { SEED_DEFAULTS } from './job-spec.ts';
import { nodeName, parseNodeList } from './node-list.ts';
import { createOpenLink } from './open-link.ts';
import type { PolicyName } from '../plan/policies.ts';
import { CoordinatorNode } from './coordinator-node.ts';
import {
  encodeException,
  encodeTrainReply,
  parseTrainCall,
  TRAIN,
} from './thrift/seed-interface.ts';
import { ThriftDecoder } from './thrift/thrift-decoder.ts';
import type { ThriftMessage } from './thrift/thrift-values.ts';

/** Where a coordinator node listens, and how it finds and chooses compute nodes. */
export interface CoordinatorProcessOptions {
  readonly address: Address;
  readonly policy: PolicyName;
  /** The file compute_nodes.txt; it may be missing when nodes register themselves. */
  readonly nodesFile: string;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** A coordinator that is running. */
export interface RunningCoordinator {
  readonly address: Address;
  close(): Promise<void>;
}

const MAX_LIST_BYTES = 1 << 20;

/**
 * Opens the door. Throws: ConfigError for a list of nodes with bad lines, PeerLostError when the
 * port cannot be had.
 */
export async function startCoordinator(
  options: CoordinatorProcessOptions,
): Promise<RunningCoordinator> {
  const { policy, random, log } = options;
  const readNodeList = createListReader(options.nodesFile);
  const listed = readNodeList();
  const coordinator = new CoordinatorNode({
    clock: systemClock,
    policy,
    random,
    openLink: createOpenLink({ connect, connectBytes }, systemClock, policy === 'load-balancing'),
    readNodeList,
    loadDirectory: readLettersDirectory,
  });
  const listener = await listen(
    options.address,
    (connection) => void new CoordinatorSession(connection, coordinator, log),
    (error) => log(error.message),
    (stream) => serveSeedClient(stream, coordinator, log),
  );
  log(`${listed.length} compute nodes in ${options.nodesFile}: ${listed.map(nodeName).join(', ')}`);
  return {
    address: listener.address,
    async close() {
      coordinator.close('the coordinator was ended');
      await listener.close();
    },
  };
}

/** Reads the list anew only when the file has changed. */
function createListReader(file: string): () => readonly Address[] {
  let seen = '';
  let nodes: readonly Address[] = [];
  return () => {
    const stats = statSync(file, { throwIfNoEntry: false });
    const stamp = `${stats?.mtimeMs} ${stats?.size}`;
    if (stats === undefined || stamp === seen) return stats === undefined ? [] : nodes;
    if (stats.size > MAX_LIST_BYTES)
      throw new ConfigError(`${file}: expected a list of nodes of at most ${MAX_LIST_BYTES} bytes`);
    nodes = parseNodeList(readText(file), file);
    seen = stamp;
    return nodes;
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`reading ${file}: ${messageOf(error)}`, [], { cause: error });
  }
}

/** The coordinator's side of a connection to a client or to a node that registers. */
class CoordinatorSession {
  readonly #connection: Connection;
  readonly #coordinator: CoordinatorNode;
  readonly #log: (line: string) => void;
  #end: () => void;
  #role: 'unknown' | 'client' | 'node' = 'unknown';

  constructor(connection: Connection, coordinator: CoordinatorNode, log: (line: string) => void) {
    this.#connection = connection;
    this.#coordinator = coordinator;
    this.#log = log;
    const greeting = awaitGreeting(connection, systemClock, GREETING_MS);
    this.#end = () => greeting.cancel();
    connection.handlers = {
      onFrame: (header) => this.#receive(header),
      onClose: () => this.#end(),
    };
  }

  #receive(header: unknown): void {
    const message = parseToCoordinatorNode(header, this.#connection.peer);
    if (message.kind === 'ping')
      return this.#connection.send({ kind: 'pong' } satisfies FromCoordinatorNode);
    if (message.kind === 'train') {
      if (this.#role !== 'client') throw new ProtocolError('expected a greeting, got train');
      this.#role = 'unknown';
      const log = (line: string): void => this.#log(`${this.#connection.peer}: ${line}`);
      this.#end = submit(this.#coordinator, message.spec, log, (event, payload) =>
        this.#tell(event, payload),
      );
      return;
    }
    this.#end();
    const reason =
      message.role === 'coordinator'
        ? 'this is a coordinator node'
        : versionProblem(LETTERS_PROTOCOL, message);
    if (reason !== undefined) return refuseConnection(this.#connection, reason);
    this.#role = message.role === 'node' ? 'node' : 'client';
    this.#connection.limits = { ...LETTERS_LIMITS, maxPayloadBytes: 0 };
    if (this.#role === 'node') this.#register(message.port);
    this.#connection.send({ kind: 'welcome' } satisfies FromCoordinatorNode);
  }

  #register(port: number): void {
    const host = this.#connection.peer.replace(/:\d+$/, '').replace(/^::ffff:/, '');
    const address = { host, port };
    this.#log(`compute node ${nodeName(address)} registered`);
    this.#coordinator.register(address);
    this.#end = () => {
      this.#log(`compute node ${nodeName(address)} withdrew`);
      this.#coordinator.withdraw(address);
    };
  }

  #tell(event: JobEvent, payload?: Float64Array): void {
    this.#connection.send(event, payload === undefined ? undefined : payloadOf(payload));
    if (event.kind === 'done' || event.kind === 'failed') this.#connection.close();
  }
}

/**
 * Submits a job, logs how it goes, and gives how to end it. A job that is refused is told like one
 * that failed.
 */
function submit(
  coordinator: CoordinatorNode,
  spec: Parameters<CoordinatorNode['submit']>[0],
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
    tell(event, payload);
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
function serveSeedClient(
  stream: ByteStream,
  coordinator: CoordinatorNode,
  log: (line: string) => void,
): void {
  const endings = new Set<() => void>();
  const decoder = new ThriftDecoder((call) => {
    try {
      const end = answerTrain(stream, coordinator, call, (line) => log(`${stream.peer}: ${line}`));
      endings.add(end);
    } catch (error) {
      stream.write(encodeException(call, 'protocolError', messageOf(error)));
    }
  });
  stream.handlers = {
    onBytes: (bytes) => decoder.push(bytes),
    onClose: () => {
      for (const end of endings) end();
    },
  };
}

function answerTrain(
  stream: ByteStream,
  coordinator: CoordinatorNode,
  call: ThriftMessage,
  log: (line: string) => void,
): () => void {
  if (call.kind !== 'call' || call.name !== TRAIN) {
    stream.write(
      encodeException(call, 'unknownMethod', `a coordinator node has no method ${call.name}`),
    );
    return () => {};
  }
  const { directory, rounds, epochs, hidden, classes, eta } = parseTrainCall(call);
  const spec = { ...SEED_DEFAULTS, directory, rounds, epochs, hidden, classes, eta };
  return submit(coordinator, spec, log, (event) => {
    if (event.kind === 'done')
      stream.write(encodeTrainReply(call.sequence, event.errors.at(-1) ?? -1));
    if (event.kind === 'failed') stream.write(encodeException(call, 'internalError', event.reason));
  });
}
