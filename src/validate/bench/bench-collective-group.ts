/**
 * The worker processes of a collective benchmark: each is waited for with a deadline, and none
 * outlives it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../base/clock.ts';
import { invariant, LockstepError, PeerLostError } from '../../base/errors.ts';
import { siblingModule } from '../../base/module-url.ts';
import { awaitGreeting, refuseConnection, versionProblem } from '../../protocol/greeting.ts';
import type { Broadcast, Connection } from '../../transport/connection.ts';
import { type Listener, listen } from '../../transport/tcp.ts';
import {
  BENCH_PROTOCOL,
  parseToRoot,
  type ToRoot,
  type ToBenchWorker,
  type WorkerStart,
} from './bench-collective-messages.ts';

/** What a worker measured in one round. */
export type Done = Extract<ToRoot, { kind: 'done' }>;

/** Where contributions go. */
export interface ContributionSink {
  /** Memory to receive one into, if there is some. */
  take(): Uint8Array | undefined;
  /** `isTaken`: it lies where `take` said. */
  add(contribution: Uint8Array, isTaken: boolean): void;
}

const JOIN_TIMEOUT_MS = 20_000;
/** A connection says who it is within this time. */
const GREETING_MS = 10_000;
/** Time for a barrier, to which comes what the slowest link that anybody would measure takes. */
const BARRIER_TIMEOUT_MS = 30_000;
const SLOWEST_BYTES_PER_MS = 5_000;
const GRACE_MS = 1_000;
const MAX_HEADER_BYTES = 4096;
const MAX_STDERR_CHARACTERS = 2_000;

/** A barrier that is being waited at. */
interface Barrier {
  readonly kind: ToRoot['kind'];
  readonly came: Map<number, ToRoot>;
  readonly open: (messages: readonly ToRoot[]) => void;
  readonly fail: (error: unknown) => void;
}

/** Workers that step from barrier to barrier. The first failure ends every wait, then and later. */
export class BenchGroup {
  readonly size: number;
  readonly #token = randomBytes(32).toString('hex');
  readonly #children: ChildProcess[] = [];
  readonly #links = new Map<number, Connection>();
  readonly #localBytes = new Map<number, number>();
  readonly #signal: AbortSignal;
  #listener: Listener | undefined;
  #barrier: Barrier | undefined;
  #failure: unknown;
  #sink: ContributionSink | undefined;
  #round = -1;
  #byteLength = 0;
  #isClosing = false;
  readonly #killAll = (): void => {
    for (const child of this.#children) child.kill('SIGKILL');
  };
  readonly #interrupt = (): void => this.#fail(this.#signal.reason);

  private constructor(size: number, signal: AbortSignal) {
    this.size = size;
    this.#signal = signal;
  }

  /**
   * Starts `size` workers; resolves when all have joined.
   *
   * Throws: COLLECTIVE_TIMEOUT, PeerLostError.
   */
  static async start(size: number, host: string, signal: AbortSignal): Promise<BenchGroup> {
    const group = new BenchGroup(size, signal);
    try {
      await group.#open(host);
      return group;
    } catch (error) {
      await group.close();
      throw error;
    }
  }

  /** Payload bytes so far, in both directions, that went through memory of this machine. */
  get localBytes(): number {
    let sum = 0;
    for (const bytes of this.#localBytes.values()) sum += bytes;
    for (const link of this.#links.values()) sum += link.localBytesReceived;
    return sum;
  }

  /** The barrier before a round: resolves when every worker's numbers are in place. */
  async prepare(byteLength: number): Promise<void> {
    this.#round++;
    this.#byteLength = byteLength;
    const barrier = this.#wait('ready');
    this.#send({ kind: 'prepare', round: this.#round, workers: this.size, byteLength });
    await barrier;
  }

  /** Lets the workers go; resolves when all contributions are in `sink`. */
  async contributions(sink: ContributionSink): Promise<void> {
    this.#sink = sink;
    const barrier = this.#wait('contribution');
    this.#send({ kind: 'go', round: this.#round });
    await barrier;
    this.#sink = undefined;
  }

  /**
   * Sends the total to all; the barrier after a round: resolves when all have it and checked it,
   * and it is flushed.
   */
  async broadcast(total: Broadcast): Promise<readonly Done[]> {
    const barrier = this.#wait('done');
    let unflushed = this.size;
    const flushed = new Promise<void>((resolve) => {
      for (const link of this.#links.values()) {
        const message: ToBenchWorker = { kind: 'total', round: this.#round };
        link.send(message, total, () => {
          unflushed--;
          if (unflushed === 0) resolve();
        });
      }
    });
    // A worker that has the total makes its flush due; one that is lost flushes, too.
    const [messages] = await Promise.all([barrier, flushed]);
    return messages.filter((message) => message.kind === 'done');
  }

  /** Resolves when every worker has ended; those that do not go are killed. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#signal.removeEventListener('abort', this.#interrupt);
    const ended = this.#children.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
            resolve();
          else child.once('exit', () => resolve());
        }),
    );
    for (const link of this.#links.values()) link.close();
    for (const child of this.#children) child.stdin?.end();
    const timer = setTimeout(this.#killAll, GRACE_MS);
    await Promise.all(ended);
    clearTimeout(timer);
    process.removeListener('exit', this.#killAll);
    await this.#listener?.close();
  }

  async #open(host: string): Promise<void> {
    this.#listener = await listen({ host, port: 0 }, (connection) => this.#accept(connection));
    process.once('exit', this.#killAll);
    this.#signal.addEventListener('abort', this.#interrupt);
    if (this.#signal.aborted) this.#interrupt();
    const barrier = this.#wait('hello', JOIN_TIMEOUT_MS);
    for (let rank = 0; rank < this.size; rank++) {
      this.#startChild({ address: this.#listener.address, rank, token: this.#token });
    }
    await barrier;
  }

  #startChild(start: WorkerStart): void {
    const program = fileURLToPath(siblingModule(import.meta.url, 'bench-collective-process'));
    // A group of its own: Ctrl-C reaches the benchmark, and the benchmark ends its workers.
    const child = spawn(process.execPath, [program], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
      windowsHide: true,
    });
    let words = '';
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (words = (words + text).slice(-MAX_STDERR_CHARACTERS)));
    // How it ended says why it reads no more.
    child.stdin.on('error', () => {});
    child.stdin.write(`${JSON.stringify(start)}\n`);
    child.once('error', (error) =>
      this.#lose(start.rank, `could not be started: ${error.message}`),
    );
    child.once('close', (code, signal) => {
      const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      this.#lose(start.rank, words.trim() === '' ? how : `${how}: ${words.trim()}`);
    });
    this.#children.push(child);
  }

  #accept(connection: Connection): void {
    let rank: number | undefined;
    let taken: Uint8Array | undefined;
    const greeting = awaitGreeting(connection, systemClock, GREETING_MS);
    connection.handlers = {
      onFrame: (header, payload) => {
        const message = parseToRoot(header, connection.peer);
        if (rank !== undefined) return this.#receive(rank, message, payload, taken !== undefined);
        greeting.cancel();
        // A stranger at the door is no matter of the benchmark's.
        if (message.kind !== 'hello' || !this.#isAwaited(message)) return connection.destroy();
        const mismatch = versionProblem(BENCH_PROTOCOL, message);
        if (mismatch !== undefined) return refuseConnection(connection, mismatch);
        rank = message.rank;
        this.#links.set(rank, connection);
        connection.limits = { maxHeaderBytes: MAX_HEADER_BYTES, maxPayloadBytes: 2 ** 31 };
        this.#arrive(rank, message);
      },
      payloadTarget: (_header, byteLength) =>
        (taken = byteLength === this.#byteLength ? this.#sink?.take() : undefined),
      onClose: (error) => {
        greeting.cancel();
        if (rank !== undefined)
          this.#lose(rank, error?.message ?? 'closed its connection', GRACE_MS);
      },
    };
  }

  /** Whether this is one of our workers, for the first time. */
  #isAwaited({ rank, token }: Extract<ToRoot, { kind: 'hello' }>): boolean {
    if (rank < 0 || rank >= this.size || this.#links.has(rank)) return false;
    const [given, expected] = [Buffer.from(token), Buffer.from(this.#token)];
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  #receive(rank: number, message: ToRoot, payload: Uint8Array, isTaken: boolean): void {
    if (message.kind === 'contribution' && payload.length === this.#byteLength)
      this.#sink?.add(payload, isTaken);
    if (message.kind === 'done') this.#localBytes.set(rank, message.localBytes);
    this.#arrive(rank, message);
  }

  #arrive(rank: number, message: ToRoot): void {
    const barrier = this.#barrier;
    const isOfRound = message.kind === 'hello' || message.round === this.#round;
    if (barrier === undefined || barrier.kind !== message.kind || !isOfRound) {
      return this.#fail(
        new LockstepError(
          'PROTOCOL_INVALID',
          `bench-collective: rank ${rank} sent ${message.kind} unasked`,
        ),
      );
    }
    barrier.came.set(rank, message);
    if (barrier.came.size < this.size) return;
    this.#barrier = undefined;
    barrier.open([...barrier.came.entries()].toSorted(([a], [b]) => a - b).map(([, came]) => came));
  }

  /** Resolves when a message of `kind` has come from every worker. */
  async #wait(kind: ToRoot['kind'], fixedMs = BARRIER_TIMEOUT_MS): Promise<readonly ToRoot[]> {
    if (this.#failure !== undefined) throw this.#failure;
    invariant(this.#barrier === undefined, 'one barrier is waited at a time');
    const came = new Map<number, ToRoot>();
    const timeoutMs = fixedMs + (2 * this.size * this.#byteLength) / SLOWEST_BYTES_PER_MS;
    const promise = new Promise<readonly ToRoot[]>((open, fail) => {
      this.#barrier = { kind, came, open, fail };
    });
    const timer = setTimeout(() => {
      const missing = Array.from({ length: this.size }, (_, rank) => rank).filter(
        (rank) => !came.has(rank),
      );
      this.#fail(
        new LockstepError(
          'COLLECTIVE_TIMEOUT',
          `bench-collective, round ${this.#round}: no ${kind} from rank ${missing.join(', ')} ` +
            `for ${(timeoutMs / 1000).toFixed(0)} s. Is this machine very busy?`,
          { missing, timeoutMs },
        ),
      );
    }, timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #send(message: ToBenchWorker): void {
    for (const link of this.#links.values()) link.send(message);
  }

  /** A connection often breaks a moment before its process says why: that is waited for. */
  #lose(rank: number, how: string, afterMs = 0): void {
    if (this.#isClosing) return;
    const tell = (): void =>
      this.#fail(
        new PeerLostError(`bench-collective: the worker of rank ${rank} ${how}`, { rank }),
      );
    if (afterMs === 0) tell();
    else setTimeout(tell, afterMs).unref();
  }

  #fail(error: unknown): void {
    if (this.#isClosing) return;
    this.#failure ??= error;
    const barrier = this.#barrier;
    this.#barrier = undefined;
    barrier?.fail(this.#failure);
  }
}
