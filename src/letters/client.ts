/** A client: gives a coordinator node a job and listens until it is done. */
import { systemClock, type Timer } from '../base/clock.ts';
import {
  ConfigError,
  DataError,
  LockstepError,
  PeerLostError,
  RendezvousError,
} from '../base/errors.ts';
import { parameterCount } from './numeric/parameters.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection } from '../transport/connection.ts';
import { SilenceWatch } from '../transport/silence-watch.ts';
import { type Address, connect, connectBytes } from '../transport/tcp.ts';
import type { JobSpec } from './job-spec.ts';
import {
  type DoneEvent,
  type FromCoordinatorNode,
  type JobEvent,
  numbersOf,
  parseFromCoordinatorNode,
  LETTERS_LIMITS,
  LETTERS_PROTOCOL,
  PING_MS,
  SILENCE_MS,
  type ToCoordinatorNode,
} from './messages.ts';
import { nodeName } from './node-list.ts';
import { askDialect, callOnce, type Dialect } from './thrift/call.ts';
import { encodeTrainCall, parseTrainReply } from './thrift/seed-interface.ts';

/** Whom a client asks, and for what. */
export interface ClientOptions {
  readonly coordinator: Address;
  readonly spec: JobSpec;
  /** Told everything on the way but the end. */
  readonly onEvent: (event: JobEvent) => void;
  /** Gives the job up. */
  readonly signal: AbortSignal;
}

/** What a job ends with. */
export interface JobResult {
  readonly done: DoneEvent;
  /** The parameters, in the order of letters/numeric/parameters.ts. */
  readonly parameters: Float64Array;
}

/** What a coordinator of the seed system tells of a job: nothing but the error. */
export interface SeedJobResult {
  readonly validationError: number;
}

const CONNECT_MS = 5_000;
/** A coordinator node that was started in the same moment listens within this time. */
const START_MS = 5_000;
const RETRY_PAUSE_MS = 200;
/** A coordinator of the seed system says nothing until a job is done. */
const SEED_JOB_MS = 24 * 3_600_000;

/**
 * Trains; resolves when the job is done, and with undefined when `signal` gave it up.
 *
 * Throws: ConfigError, DataError and others as the coordinator reports them; PeerLostError when it
 *         cannot be reached or is lost on the way; RendezvousError when it refuses. ConfigError for
 *         a coordinator of the seed system and another mode than `seed`.
 */
export async function runClient(
  options: ClientOptions,
): Promise<JobResult | SeedJobResult | undefined> {
  const dialect = await dialectOf(options);
  if (options.signal.aborted || dialect === undefined) return undefined;
  return dialect === 'seed' ? runAtSeed(options) : runAtOurs(options);
}

/** Whose coordinator it is; a door that turns Thrift away has a word for it in our own protocol. */
async function dialectOf({ coordinator, signal }: ClientOptions): Promise<Dialect | undefined> {
  const untilMs = systemClock.now() + START_MS;
  const stream = await reach(coordinator, () => firstStream(coordinator, untilMs, signal));
  if (stream === undefined) return undefined;
  try {
    return await askDialect(stream, systemClock);
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    if (error.context['silentMs'] === undefined) return 'lockstep';
    throw new PeerLostError(
      `${error.message}. One of the original system answers nobody while it trains for another ` +
        'client: try again later.',
      error.context,
      { cause: error },
    );
  }
}

/** Tries again until `untilMs`; gives undefined when `signal` ends that. */
async function firstStream(
  coordinator: Address,
  untilMs: number,
  signal: AbortSignal,
): Promise<ByteStream | undefined> {
  while (!signal.aborted)
    try {
      return await connectBytes(coordinator, CONNECT_MS);
    } catch (error) {
      if (!(error instanceof PeerLostError) || systemClock.now() > untilMs) throw error;
      await new Promise<void>((later) => systemClock.after(RETRY_PAUSE_MS, later));
    }
  return undefined;
}

async function runAtSeed({
  coordinator,
  spec,
  signal,
}: ClientOptions): Promise<SeedJobResult | undefined> {
  const name = nodeName(coordinator);
  if (spec.mode !== 'seed')
    throw new ConfigError(
      `${name} is a coordinator of the original system, which has no mode but seed. Add ` +
        '--compat seed, or start one of ours: lockstep coordinator-node',
    );
  const stream: ByteStream = await connectBytes(coordinator, CONNECT_MS);
  const limits = { clock: systemClock, withinMs: SEED_JOB_MS, signal };
  const answer = await callOnce(stream, encodeTrainCall(1, spec), limits);
  if (answer === undefined) return undefined;
  const validationError = parseTrainReply(answer);
  if (validationError >= 0) return { validationError };
  throw new DataError(
    `${name} found nothing to train on in ${spec.directory}: expected a directory of its machine ` +
      'with train_letters*.txt and validate_letters.txt. Is it an absolute path?',
  );
}

async function runAtOurs(options: ClientOptions): Promise<JobResult | undefined> {
  const { coordinator } = options;
  const connection = await reach(coordinator, () => connect(coordinator, CONNECT_MS));
  const conversation = new Conversation(connection, options);
  const giveUp = (): void => conversation.giveUp();
  options.signal.addEventListener('abort', giveUp);
  try {
    return await conversation.result;
  } finally {
    options.signal.removeEventListener('abort', giveUp);
    conversation.end();
  }
}

async function reach<T>(coordinator: Address, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof PeerLostError)) throw error;
    throw new PeerLostError(
      `${error.message}. Is a coordinator node running there? Start one: lockstep ` +
        `coordinator-node ${coordinator.port} load-balancing`,
      error.context,
      { cause: error },
    );
  }
}

class Conversation {
  readonly result: Promise<JobResult | undefined>;
  readonly #connection: Connection;
  readonly #options: ClientOptions;
  readonly #settle: {
    resolve: (result: JobResult | undefined) => void;
    reject: (error: unknown) => void;
  };
  readonly #watch: SilenceWatch;
  #timer: Timer | undefined;

  constructor(connection: Connection, options: ClientOptions) {
    this.#connection = connection;
    this.#options = options;
    const { promise, ...settle } = withResolvers<JobResult | undefined>();
    this.result = promise;
    this.#settle = settle;
    connection.limits = LETTERS_LIMITS;
    connection.handlers = {
      onFrame: (header, payload) =>
        this.#receive(parseFromCoordinatorNode(header, connection.peer), payload),
      onClose: (error) => settle.reject(this.#lost(error?.message ?? 'it closed the connection')),
    };
    this.#send({ kind: 'hello', protocol: LETTERS_PROTOCOL.version, role: 'client', port: 0 });
    this.#watch = new SilenceWatch(systemClock, {
      limitMs: SILENCE_MS,
      onSilent: () => settle.reject(this.#lost(`silent for ${SILENCE_MS / 1000} s`)),
      bytes: () => connection.bytesReceived,
    });
    this.#ping();
  }

  giveUp(): void {
    this.#settle.resolve(undefined);
  }

  end(): void {
    this.#timer?.cancel();
    this.#watch.stop();
    this.#connection.close();
  }

  #receive(message: FromCoordinatorNode, payload: Uint8Array): void {
    this.#watch.heard();
    switch (message.kind) {
      case 'welcome':
        return this.#send({ kind: 'train', spec: this.#options.spec });
      case 'refused':
        return this.#settle.reject(
          new RendezvousError(
            `${nodeName(this.#options.coordinator)} refused us: ${message.reason}`,
          ),
        );
      case 'pong':
        return;
      case 'failed':
        return this.#settle.reject(errorOf(message));
      case 'done': {
        const parameters = numbersOf(payload, parameterCount(message.shape), 'the model');
        return this.#settle.resolve({ done: message, parameters });
      }
      default:
        return this.#options.onEvent(message);
    }
  }

  #ping(): void {
    this.#timer = systemClock.after(PING_MS, () => {
      this.#send({ kind: 'ping' });
      this.#ping();
    });
  }

  #lost(reason: string): PeerLostError {
    return new PeerLostError(`coordinator ${nodeName(this.#options.coordinator)}: ${reason}`);
  }

  #send(message: ToCoordinatorNode): void {
    this.#connection.send(message);
  }
}

/** The coordinator's error as one of ours: the code decides on the exit code. */
function errorOf({ code, reason }: Extract<JobEvent, { kind: 'failed' }>): LockstepError {
  if (code === 'CONFIG_INVALID') return new ConfigError(reason);
  if (code === 'DATA_INVALID') return new DataError(reason);
  return code === 'NON_FINITE'
    ? new LockstepError('NON_FINITE', reason)
    : new RendezvousError(reason);
}

function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
