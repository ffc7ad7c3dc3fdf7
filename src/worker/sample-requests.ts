/** Asks the coordinator for data that this worker lacks, over the data connection, in order. */
import type { Clock, Timer } from '../base/clock.ts';
import { type LockstepError, PeerLostError, ProtocolError } from '../base/errors.ts';
import { isSamePiece, type Piece, type PieceRequest } from '../data/parcels/piece.ts';
import type { Samples, SendSamples } from '../protocol/messages.ts';
import type { DataSupply } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';

/** The coordinator must send some bytes within this, as long as a piece is missing. */
const READING_MS = 30_000;

/** A piece that was asked for. */
interface Asked {
  readonly request: PieceRequest;
  readonly answer: (piece: Piece) => void;
  readonly failed: (error: LockstepError) => void;
}

/** Pieces on their way, oldest first. */
export class SampleRequests {
  readonly #clock: Clock;
  readonly #onSilent: (reason: string) => void;
  readonly #asked: Asked[] = [];
  /** The piece that came last. */
  #last: PieceRequest | undefined;
  #connection: Connection | undefined;
  #timer: Timer | undefined;
  #isOffered = false;
  #isOver = false;

  /** `onSilent` is told when the coordinator does not answer. */
  constructor(clock: Clock, onSilent: (reason: string) => void) {
    this.#clock = clock;
    this.#onSilent = onSilent;
  }

  /** Whether there is anything to ask for. */
  get isOffered(): boolean {
    return this.#isOffered;
  }

  /** The way to what the coordinator offers. */
  supplyOf(offer: DataSupply['offer']): DataSupply {
    this.#isOffered = true;
    return { offer, ask: (request, answer, failed) => this.#ask({ request, answer, failed }) };
  }

  /** The data connection stands: what was asked for before is asked for now. */
  attach(connection: Connection): void {
    this.#connection = connection;
    for (const { request } of this.#asked) this.#send(connection, request);
    this.#watch();
  }

  /** A piece has come. Throws ProtocolError unless it is the one that is next. */
  take(samples: Samples, payload: Uint8Array): void {
    // The same may come twice.
    if (this.#last !== undefined && isSamePiece(samples, this.#last)) return;
    const asked = this.#asked.shift();
    if (asked === undefined || !isSamePiece(samples, asked.request))
      throw new ProtocolError(
        `samples: expected ${nameOf(asked?.request)}, got ${nameOf(samples)}`,
      );
    this.#last = asked.request;
    asked.answer({ bytes: payload, isPacked: samples.isPacked });
  }

  /** Nothing comes any more. */
  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    for (const { failed } of this.#asked.splice(0)) failed(gone());
  }

  #ask(asked: Asked): void {
    if (this.#isOver) return asked.failed(gone());
    this.#asked.push(asked);
    if (this.#connection !== undefined) this.#send(this.#connection, asked.request);
    this.#watch();
  }

  #send(connection: Connection, { split, part, offset, byteLength }: PieceRequest): void {
    const request = { kind: 'sendSamples', split, part, offset, byteLength } as const;
    connection.send(request satisfies SendSamples);
  }

  /** Looks at the connection again and again while something is missing. */
  #watch(): void {
    const connection = this.#connection;
    if (this.#timer !== undefined || connection === undefined || this.#asked.length === 0) return;
    const before = connection.bytesReceived;
    this.#timer = this.#clock.after(READING_MS, () => {
      this.#timer = undefined;
      if (this.#asked.length === 0 || connection.bytesReceived > before) return this.#watch();
      this.#onSilent(`no data for ${READING_MS / 1000} s`);
    });
  }
}

function nameOf(request: PieceRequest | undefined): string {
  return request === undefined ? 'none' : `${request.offset} of ${request.part}`;
}

function gone(): LockstepError {
  return new PeerLostError('data of the run: the connection to the coordinator ended before them');
}
