/**
 * A compute node with its door: both interfaces on one port, and registration with a coordinator.
 */
import { systemClock, type Timer } from '../base/clock.ts';
import { messageOf, PeerLostError } from '../base/errors.ts';
import type { Connection } from '../transport/connection.ts';
import { SilenceWatch } from '../transport/silence-watch.ts';
import { type Address, connect } from '../transport/tcp.ts';
import { ComputeNode, type DrawOrder } from './compute-node.ts';
import { openDoor } from './door.ts';
import { FileCache } from './file-cache.ts';
import {
  type FromCoordinatorNode,
  parseFromCoordinatorNode,
  LETTERS_PROTOCOL,
  PING_MS,
  SILENCE_MS,
  type ToCoordinatorNode,
} from './messages.ts';
import { DataFolder } from './numeric/data-folder.ts';
import { NodeSession } from './node-session.ts';
import { serveSeedNode } from './seed-node-session.ts';
import { ThreadedTrainer } from './threaded-trainer.ts';

/** Where a compute node listens, the load that it plays, and whom it registers with. */
export interface ComputeNodeProcessOptions {
  readonly address: Address;
  readonly loadProbability: number;
  readonly delayMs: number;
  readonly drawOrder: DrawOrder;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** The coordinator that shall know of this node, if it is not in its list. */
  readonly join: Address | undefined;
  /** What callers of the seed system's interface name lies in here. */
  readonly dataFolder: string;
  readonly log: (line: string) => void;
}

const CONNECT_MS = 5_000;
/** A coordinator that is not there is looked for again after this time. */
const RETRY_MS = 1_000;

/** A node that is running. */
export interface RunningNode {
  readonly address: Address;
  close(): Promise<void>;
}

/** Opens the door. Throws: PeerLostError when the port cannot be had. */
export async function startComputeNode(options: ComputeNodeProcessOptions): Promise<RunningNode> {
  const { loadProbability, delayMs, drawOrder, random, log } = options;
  const trainer = new ThreadedTrainer();
  const clock = systemClock;
  const node = new ComputeNode({ clock, random, trainer, loadProbability, delayMs, drawOrder });
  const files = new FileCache();
  const data = new DataFolder(options.dataFolder);
  const listener = await openDoor(options.address, log, {
    onFrames: (connection, around) => void new NodeSession(connection, node, files, around),
    onThrift: (stream, around) => serveSeedNode(stream, node, data, around),
  });
  const registration =
    options.join === undefined
      ? undefined
      : new Registration(options.join, listener.address.port, log);
  return {
    address: listener.address,
    async close() {
      registration?.close();
      await listener.close();
      await trainer.close();
    },
  };
}

/** Keeps the node known to a coordinator for as long as both are there. */
class Registration {
  readonly #coordinator: Address;
  readonly #port: number;
  readonly #log: (line: string) => void;
  #connection: Connection | undefined;
  #watch: SilenceWatch | undefined;
  /** The next try, or the next ping. */
  #timer: Timer | undefined;
  #isClosed = false;
  /** What was said last, so that a coordinator that stays away is not spoken of every second. */
  #said = '';

  constructor(coordinator: Address, port: number, log: (line: string) => void) {
    this.#coordinator = coordinator;
    this.#port = port;
    this.#log = log;
    this.#try();
  }

  close(): void {
    this.#isClosed = true;
    this.#rest();
    this.#connection?.close();
  }

  #try(): void {
    connect(this.#coordinator, CONNECT_MS).then(
      (connection) => this.#greet(connection),
      (error: unknown) => this.#retry(messageOf(error)),
    );
  }

  #greet(connection: Connection): void {
    if (this.#isClosed) return connection.destroy();
    this.#connection = connection;
    let reason = 'the coordinator closed the connection';
    const onSilent = (): void => {
      reason = `the coordinator was silent for ${SILENCE_MS / 1000} s`;
      connection.destroy();
    };
    this.#watch = new SilenceWatch(systemClock, { limitMs: SILENCE_MS, onSilent });
    this.#pingLater(connection);
    connection.handlers = {
      onFrame: (header) => this.#receive(parseFromCoordinatorNode(header, connection.peer)),
      onClose: (error) => this.#retry(error?.message ?? reason),
    };
    connection.send({
      kind: 'hello',
      protocol: LETTERS_PROTOCOL.version,
      role: 'node',
      port: this.#port,
    } satisfies ToCoordinatorNode);
  }

  #pingLater(connection: Connection): void {
    this.#timer = systemClock.after(PING_MS, () => {
      connection.send({ kind: 'ping' } satisfies ToCoordinatorNode);
      this.#pingLater(connection);
    });
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#watch?.stop();
  }

  #receive(message: FromCoordinatorNode): void {
    this.#watch?.heard();
    if (message.kind === 'welcome') this.#say('registered with the coordinator');
    if (message.kind === 'refused')
      throw new PeerLostError(`the coordinator refused us: ${message.reason}`);
  }

  #retry(reason: string): void {
    this.#connection = undefined;
    this.#rest();
    if (this.#isClosed) return;
    this.#say(`not registered: ${reason}`);
    this.#timer = systemClock.after(RETRY_MS, () => this.#try());
  }

  #say(line: string): void {
    if (line !== this.#said) this.#log(line);
    this.#said = line;
  }
}
