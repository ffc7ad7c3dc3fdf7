/**
 * A worker of `lockstep bench-collective`: it is told on stdin whom to join, and ends with its
 * connection or its owner.
 */
import { messageOf, ProtocolError } from '../../base/errors.ts';
import type { Connection } from '../../transport/connection.ts';
import { connect } from '../../transport/tcp.ts';
import {
  BENCH_PROTOCOL,
  fillContribution,
  isTotal,
  parseToBenchWorker,
  type ToRoot,
  type WorkerStart,
  workerStartSchema,
} from './bench-collective-messages.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_HEADER_BYTES = 4096;
const MAX_PAYLOAD_BYTES = 2 ** 31;

class BenchWorker {
  readonly #connection: Connection;
  readonly #rank: number;
  #workers = 0;
  #round = -1;
  #contribution = new Int32Array(0);
  #total = new Int32Array(0);
  #wentMs = 0;

  constructor(connection: Connection, { rank, token }: WorkerStart) {
    this.#connection = connection;
    this.#rank = rank;
    connection.limits = { maxHeaderBytes: MAX_HEADER_BYTES, maxPayloadBytes: MAX_PAYLOAD_BYTES };
    connection.handlers = {
      onFrame: (header, payload) => this.#receive(header, payload),
      payloadTarget: (_header, byteLength) =>
        byteLength === this.#total.byteLength ? bytesOf(this.#total) : undefined,
      onClose: (error) => {
        if (error !== undefined) fail(error.message);
        process.exit(0);
      },
    };
    this.#send({ kind: 'hello', protocol: BENCH_PROTOCOL.version, rank, token });
  }

  #receive(header: unknown, payload: Uint8Array): void {
    const message = parseToBenchWorker(header, this.#connection.peer);
    switch (message.kind) {
      case 'refused':
        return fail(message.reason);
      case 'prepare':
        return this.#prepare(message.round, message.workers, message.byteLength);
      case 'go':
        this.#wentMs = performance.now();
        return this.#send(
          { kind: 'contribution', round: this.#round },
          bytesOf(this.#contribution),
        );
      case 'total':
        return this.#finish(performance.now() - this.#wentMs, message.round, payload);
      default:
        message satisfies never;
    }
  }

  #prepare(round: number, workers: number, byteLength: number): void {
    if (this.#contribution.byteLength !== byteLength) {
      this.#contribution = new Int32Array(byteLength / 4);
      this.#total = new Int32Array(byteLength / 4);
    }
    this.#round = round;
    this.#workers = workers;
    // What the last round left must not pass for this one's.
    this.#total.fill(0);
    fillContribution(this.#contribution, this.#rank, round);
    this.#send({ kind: 'ready', round });
  }

  #finish(ms: number, round: number, payload: Uint8Array): void {
    if (payload.buffer !== this.#total.buffer)
      throw new ProtocolError('bench-collective: a total of another length than its contributions');
    const isRight = round === this.#round && isTotal(this.#total, this.#workers, round);
    const localBytes = this.#connection.localBytesReceived;
    this.#send({ kind: 'done', round, ms, isRight, localBytes });
  }

  #send(message: ToRoot, payload?: Uint8Array): void {
    this.#connection.send(message, payload);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function fail(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

let isStarted = false;
let input = '';
process.stdin
  .setEncoding('utf8')
  .on('data', (text: string) => {
    input += text;
    if (isStarted || !input.includes('\n')) return;
    isStarted = true;
    join(workerStartSchema.parse(JSON.parse(input))).catch((error: unknown) =>
      fail(messageOf(error)),
    );
  })
  // Its owner is gone, however that ended.
  .on('end', () => process.exit(1));

async function join(start: WorkerStart): Promise<void> {
  void new BenchWorker(await connect(start.address, CONNECT_TIMEOUT_MS), start);
}
