/**
 * A TCP relay that stands between two ends and makes the link between them as bad as it is told to:
 * for tests and for faults that are injected on purpose. It knows nothing of frames.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { PeerLostError } from '../base/errors.ts';
import { Direction, type Rule } from './relay-rule.ts';
import { RelayedBytes } from './relayed-bytes.ts';
import type { Address } from './tcp.ts';

/** The rules of both directions. */
export interface RelayRules {
  /** The way from whoever connected to the relay, to the target. */
  readonly up?: Rule;
  /** The way back. */
  readonly down?: Rule;
}

/** A relay that is open. Who opened it closes it. */
export interface Relay {
  /** Where to connect to instead of the target. */
  readonly address: Address;
  /** Bytes passed on so far. */
  readonly forwarded: { readonly up: number; readonly down: number };
  /** Changes the rule of the directions given, for open and for new connections, from now on. */
  set(rules: RelayRules): void;
  /** Ends every connection at once, with a reset (RST) to both ends. New ones are accepted. */
  resetAll(): void;
  /** Ends everything. */
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 1024;

/**
 * Opens a relay to `target` on a free port of this machine. Throws PeerLostError when it cannot.
 */
export async function openRelay(target: Address): Promise<Relay> {
  const directions = { up: new Direction(), down: new Direction() };
  const links = new Set<Link>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const link = new Link(near, target, directions, () => links.delete(link));
    links.add(link);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const port = await openServer(server);
  return {
    address: { host: '127.0.0.1', port },
    get forwarded() {
      return { up: directions.up.forwardedBytes, down: directions.down.forwardedBytes };
    },
    set({ up, down }) {
      if (up !== undefined) directions.up.set(up);
      if (down !== undefined) directions.down.set(down);
      for (const link of links) link.pump();
    },
    resetAll() {
      for (const link of links) link.reset();
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const link of links) link.reset();
      await closed;
    },
  };
}

/** Opens `server` on a free port of this machine, and gives that. */
async function openServer(server: Server): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    const refuse = (error: Error): void =>
      reject(new PeerLostError(`opening a relay: ${error.message}`, {}, { cause: error }));
    server.once('error', refuse);
    server.listen({ host: '127.0.0.1', port: 0 }, () => {
      const bound = server.address();
      server.removeListener('error', refuse);
      // Accepting may fail later on, e.g. with too many open files: the newcomer then sees a dead
      // link, as it should.
      server.on('error', () => {});
      if (typeof bound === 'object' && bound !== null) resolve(bound.port);
    });
  });
}

/** One connection through the relay: two sockets, and the bytes between them both ways. */
class Link {
  readonly #near: Socket;
  readonly #target: Address;
  readonly #directions: { readonly up: Direction; readonly down: Direction };
  readonly #onOver: () => void;
  #far: Socket | undefined;
  #up: RelayedBytes | undefined;
  #down: RelayedBytes | undefined;

  constructor(
    near: Socket,
    target: Address,
    directions: { readonly up: Direction; readonly down: Direction },
    onOver: () => void,
  ) {
    this.#near = near;
    this.#target = target;
    this.#directions = directions;
    this.#onOver = onOver;
    near.pause();
    near.on('error', () => {}); // 'close' follows and is what counts
    near.once('close', () => this.#forgetIfOver());
    this.pump();
  }

  /** Moves what may be moved, e.g. since a rule has changed. */
  pump(): void {
    // The target is not called while packets do not get through to it, or back.
    const isCut =
      this.#directions.up.rule.kind === 'drop' || this.#directions.down.rule.kind === 'drop';
    if (this.#far === undefined && !isCut) this.#connect();
    this.#up?.pump();
    this.#down?.pump();
  }

  reset(): void {
    this.#up?.stop();
    this.#down?.stop();
    this.#near.resetAndDestroy();
    this.#far?.resetAndDestroy();
    this.#onOver();
  }

  #connect(): void {
    if (this.#near.destroyed) return this.#onOver();
    const far = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    this.#far = far;
    far.pause();
    far.on('error', () => {});
    far.once('close', () => this.#forgetIfOver());
    this.#up = new RelayedBytes(this.#near, far, this.#directions.up, systemClock);
    this.#down = new RelayedBytes(far, this.#near, this.#directions.down, systemClock);
  }

  #forgetIfOver(): void {
    if (this.#near.destroyed && (this.#far === undefined || this.#far.destroyed)) this.#onOver();
  }
}
