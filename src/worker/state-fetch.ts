/** Gets a state from another worker, which the coordinator has named, piece by piece. */
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { shortageOf } from '../base/shortage.ts';
import type { FetchState } from '../protocol/messages.ts';
import {
  MAX_PIECE_BYTES,
  parseStateAnswer,
  PEER_PROTOCOL,
  type StateHello,
} from '../protocol/peer-messages.ts';
import type { Connection } from '../transport/connection.ts';
import type { PeerNetwork } from './peer-network.ts';

/** The other must send some bytes within this. */
const READING_MS = 10_000;
const PIECE_LIMITS = { maxHeaderBytes: 4 << 10, maxPayloadBytes: MAX_PIECE_BYTES };

/** What a fetch needs, and whom it tells: of each request one, once, unless another state comes. */
export interface StateFetchOptions {
  readonly clock: Clock;
  /** Absent: there is no way to other workers. */
  readonly network: PeerNetwork | undefined;
  readonly onFetched: (request: FetchState, bytes: Uint8Array) => void;
  readonly onFailed: (request: FetchState, problem: string) => void;
}

/** A state on its way here. */
interface Parcel {
  readonly request: FetchState;
  readonly bytes: Uint8Array;
  received: number;
  connection?: Connection;
  timer?: Timer;
}

/** One state after the other. */
export class StateFetch {
  readonly #options: StateFetchOptions;
  #parcel: Parcel | undefined;
  #lastSerial = -1;

  constructor(options: StateFetchOptions) {
    this.#options = options;
  }

  /** Gets a state of at most `mostBytes`, in place of one that was on its way. */
  begin(request: FetchState, mostBytes: number): void {
    const { network, onFailed } = this.#options;
    const { serial, byteLength, doors } = request;
    // The same may come twice.
    if (serial <= this.#lastSerial) return;
    if (byteLength > mostBytes)
      throw new ProtocolError(`fetchState: expected a state of at most ${mostBytes} bytes`);
    this.close();
    this.#lastSerial = serial;
    const bytes = memoryOf(byteLength);
    if (bytes === undefined) return onFailed(request, 'there is no memory for a second state');
    if (network === undefined) return onFailed(request, 'it reaches no other worker');
    const parcel: Parcel = { request, bytes, received: 0 };
    this.#parcel = parcel;
    this.#dial(parcel, network, doors, 'it has no door');
  }

  /** Tries one door after the other. */
  #dial(
    parcel: Parcel,
    network: PeerNetwork,
    [door, ...others]: FetchState['doors'],
    reason: string,
  ): void {
    if (door === undefined) return this.#fail(parcel, reason);
    network.connect(
      door,
      (connection) => this.#greet(parcel, connection),
      (problem) => this.#dial(parcel, network, others, problem),
    );
  }

  /** Another state comes, whose serial number this is: older ones are not wanted any more. */
  overtake(serial: number): void {
    if (serial > this.#lastSerial) this.close();
  }

  /** Nothing is on its way any more. */
  close(): void {
    const parcel = this.#parcel;
    this.#parcel = undefined;
    parcel?.timer?.cancel();
    parcel?.connection?.destroy();
  }

  #greet(parcel: Parcel, connection: Connection): void {
    if (this.#parcel !== parcel) return connection.destroy();
    const { secret, step } = parcel.request;
    parcel.connection = connection;
    connection.limits = PIECE_LIMITS;
    connection.handlers = {
      onFrame: (header, payload) => this.#take(parcel, header, payload),
      onClose: (error) => this.#fail(parcel, error?.message ?? 'it closed the connection'),
      // What does not fit gets memory of its own, and is refused.
      payloadTarget: (_, byteLength) => {
        const target = parcel.bytes.subarray(parcel.received, parcel.received + byteLength);
        return target.length === byteLength ? target : undefined;
      },
    };
    const { version } = PEER_PROTOCOL;
    const hello = { kind: 'hello', protocol: version, channel: 'state' } as const;
    connection.send({ ...hello, secret, step } satisfies StateHello);
    this.#watch(parcel, connection);
  }

  #take(parcel: Parcel, header: unknown, payload: Uint8Array): void {
    if (this.#parcel !== parcel) return;
    const answer = parseStateAnswer(header, parcel.connection?.peer ?? '');
    if (answer.kind === 'refused') return this.#fail(parcel, answer.reason);
    const { bytes, received, request } = parcel;
    const end = received + payload.length;
    if (answer.offset !== received || payload.length === 0 || end > bytes.length)
      return this.#fail(
        parcel,
        `expected the bytes of the state from ${received} to ${bytes.length}, got some from ` +
          `${answer.offset} to ${answer.offset + payload.length}`,
      );
    parcel.received = end;
    if (end < bytes.length) return;
    this.close();
    this.#options.onFetched(request, bytes);
  }

  #watch(parcel: Parcel, connection: Connection): void {
    const before = connection.bytesReceived;
    parcel.timer = this.#options.clock.after(READING_MS, () => {
      if (connection.bytesReceived > before) return this.#watch(parcel, connection);
      this.#fail(parcel, `no data for ${READING_MS / 1000} s`);
    });
  }

  #fail(parcel: Parcel, reason: string): void {
    if (this.#parcel !== parcel) return;
    const { request, received, bytes } = parcel;
    this.close();
    const problem = `after ${received} of ${bytes.length} bytes of a state: ${reason}`;
    this.#options.onFailed(request, problem);
  }
}

/** Undefined if there is not so much. */
function memoryOf(byteLength: number): Uint8Array | undefined {
  try {
    return new Uint8Array(byteLength);
  } catch (error) {
    if (shortageOf(error) === undefined) throw error;
    return undefined;
  }
}
