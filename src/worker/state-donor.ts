/**
 * Gives this worker's state to another one, which the coordinator has named by a secret: a copy of
 * it, piece by piece as the other takes them, while this worker goes on.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { copyOf } from '../base/shortage.ts';
import type { ServeState } from '../protocol/messages.ts';
import { MAX_PIECE_BYTES, type StateAnswer, type StateHello } from '../protocol/peer-messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';
import type { CoordinatorLink } from './coordinator-link.ts';

/** Whoever is to get the state must come by then. */
const COMING_MS = 60_000;
/** It must take some of it within this. */
const READING_MS = 10_000;
/** The other says nothing after its hello, but where this machine's memory may carry payloads. */
const TAKING_LIMITS = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 0 };

/** What a donor needs. */
export interface StateDonorOptions {
  readonly clock: Clock;
  readonly link: CoordinatorLink;
  /** Bytes of a piece; as many as there may be if absent. */
  readonly pieceBytes?: number | undefined;
  /** The copy is made: the engine's may be used again. */
  readonly onCopied: () => void;
}

/** A copy of the state, for one other worker. */
interface Gift {
  readonly secret: string;
  readonly step: number;
  readonly bytes: Uint8Array;
  /** Ends it when nobody comes, or nothing is taken. */
  timer: Timer;
  /** Who takes it; absent until it has come. */
  visitor?: Connection;
  /** Bytes that were sent. */
  sent: number;
}

/** Keeps one state at a time for somebody else. */
export class StateDonor {
  readonly #options: StateDonorOptions;
  #lastSecret: string | undefined;
  #asked: ServeState | undefined;
  #gift: Gift | undefined;
  #isCopying = false;

  constructor(options: StateDonorOptions) {
    this.#options = options;
  }

  /** Whether the engine's copy of the state is needed: until then it is to make no other. */
  get isCopying(): boolean {
    return this.#isCopying;
  }

  /** Another worker is to get a state, in place of one that was to get it before. */
  ask(request: ServeState): void {
    // The same may come twice.
    if (request.secret === this.#lastSecret) return;
    this.#lastSecret = request.secret;
    this.close();
    this.#asked = request;
  }

  /** Copies the state if it is the one that is asked for, after `step` updates; true if it is. */
  advance(engine: Engine, step: number | undefined): boolean {
    const request = this.#asked;
    if (request === undefined || request.step !== step) return false;
    this.#asked = undefined;
    this.#isCopying = true;
    let copy: Uint8Array | undefined;
    engine.exportState((bytes) => {
      this.#isCopying = false;
      if (request.secret === this.#lastSecret) copy = copyOf(bytes);
      this.#options.onCopied();
    });
    engine.digest((_, digest) => {
      if (request.secret === this.#lastSecret) this.#keep(request, copy, digest);
    });
    return true;
  }

  /** The state that was asked for will never be there. */
  void(): void {
    this.#asked = undefined;
  }

  /** Gives what is kept to whoever knows its secret, once; false if that is not for this one. */
  admit(connection: Connection, { secret, step }: StateHello): boolean {
    const gift = this.#gift;
    if (gift === undefined || gift.visitor !== undefined) return false;
    if (gift.secret !== secret || gift.step !== step) return false;
    gift.visitor = connection;
    connection.limits = TAKING_LIMITS;
    connection.handlers = { onFrame: () => {}, onClose: () => this.#end(gift) };
    gift.timer.cancel();
    this.#watch(gift, connection);
    this.#giveNext(gift, connection);
    return true;
  }

  /** Nobody gets anything any more. */
  close(): void {
    this.#asked = undefined;
    const gift = this.#gift;
    if (gift === undefined) return;
    this.#end(gift);
    gift.visitor?.destroy();
  }

  #keep({ secret, step }: ServeState, bytes: Uint8Array | undefined, stateDigest: string): void {
    const { clock, link } = this.#options;
    link.sendData({
      kind: 'serving',
      secret,
      stateDigest: bytes === undefined ? null : stateDigest,
    });
    if (bytes === undefined) return;
    const gift: Gift = {
      secret,
      step,
      bytes,
      timer: clock.after(COMING_MS, () => this.#end(gift)),
      sent: 0,
    };
    this.#gift = gift;
  }

  /** The next piece follows when this one is on its way: no more than that waits anywhere. */
  #giveNext(gift: Gift, visitor: Connection): void {
    if (this.#gift !== gift) return;
    const { clock, pieceBytes = MAX_PIECE_BYTES } = this.#options;
    const offset = gift.sent;
    if (offset === gift.bytes.length) {
      this.#end(gift);
      return visitor.close();
    }
    const piece = gift.bytes.subarray(offset, offset + pieceBytes);
    gift.sent += piece.length;
    // An end of the connection is told after its flushes.
    const goOn = (): void => void clock.after(0, () => this.#giveNext(gift, visitor));
    visitor.send({ kind: 'piece', offset } satisfies StateAnswer, piece, goOn);
  }

  #watch(gift: Gift, visitor: Connection): void {
    const goneBytes = (): number => visitor.bytesSent - visitor.queuedBytes;
    const before = goneBytes();
    gift.timer = this.#options.clock.after(READING_MS, () => {
      if (goneBytes() > before) return this.#watch(gift, visitor);
      this.#end(gift);
      visitor.destroy();
    });
  }

  #end(gift: Gift): void {
    gift.timer.cancel();
    if (this.#gift === gift) this.#gift = undefined;
  }
}
