/**
 * A worker process: connects the worker's state machine to sockets, lanes, data and a heartbeat,
 * and joins again when the coordinator is lost.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { LockstepError, messageOf, RendezvousError, RuntimeError } from '../base/errors.ts';
import { siblingModule } from '../base/module-url.ts';
import type { DataPlaces } from '../data/dataset.ts';
import { parseOptimizerSpec } from '../optim/spec.ts';
import type { Hello, Job } from '../protocol/messages.ts';
import type { Engine, EngineFactory, EngineHandlers, EngineProfile } from '../runtime/engine.ts';
import type { Device } from '../runtime/device.ts';
import { LanePool, type LanePoolOptions } from '../runtime/lane-pool.ts';
import { checkMemory, workerBytes } from '../runtime/memory-need.ts';
import { placementText, placeNodes } from '../runtime/node-placement.ts';
import { RoundsEngine } from '../strategies/rounds-engine.ts';
import type { Connection } from '../transport/connection.ts';
import { type Address, connect } from '../transport/tcp.ts';
import type { WorkerEnd } from '../worker/worker-options.ts';
import { Worker } from '../worker/worker.ts';
import {
  type DatasetSpec,
  loadRunData,
  parseDatasetSpec,
  type RunData,
} from '../job/data-source.ts';
import type { HeartbeatLost, HeartbeatStart } from './heartbeat-thread.ts';
import { SOFTWARE } from './software.ts';

/** How a worker process is started. */
export interface WorkerProcessOptions {
  readonly address: Address;
  readonly device: Device;
  readonly lanes: number;
  /** The rank the launcher meant for it, or null. */
  readonly rank: number | null;
  readonly places: DataPlaces;
  /** How long to look for the coordinator, at the start and after it was lost. */
  readonly retryMs: number;
  readonly log: (line: string) => void;
  /** Ends the worker in good order. */
  readonly signal: AbortSignal;
  /** What this worker has in place of the ordinary parts: a fault test puts faulty ones there. */
  readonly parts?: WorkerParts;
}

/** Parts of a worker process that may be exchanged. */
export interface WorkerParts {
  /** By default a fresh one. */
  readonly workerId?: string;
  readonly loadData?: (spec: DatasetSpec, places: DataPlaces) => Promise<RunData>;
  readonly laneProgram?: LanePoolOptions['laneProgram'];
  /**
   * A program for the heartbeat's thread, which finds `extra` beside a `HeartbeatStart` in its
   * `workerData`.
   */
  readonly heartbeatProgram?: { readonly url: URL; readonly extra: unknown };
}

const HEARTBEAT_MS = 250;
const ECHO_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** The coordinator welcomes nobody before it has its data, which it may be fetching. */
const WELCOME_TIMEOUT_MS = 120_000;
const RETRY_PAUSE_MS = 200;
const CLOSE_TIMEOUT_MS = 2_000;
const INTERRUPTED = 'the worker was interrupted';

/**
 * Works until the coordinator dismisses it; resolves with the coordinator's words.
 * Throws: RendezvousError when it is refused or finds no coordinator within `retryMs`; what made
 *         the engine fail.
 */
export async function runWorkerProcess(options: WorkerProcessOptions): Promise<string> {
  const { workerId = randomUUID(), loadData: load = loadRunData } = options.parts ?? {};
  const loadData = cachedLoader(options.places, load);
  const search = new Search(options);
  for (;;) {
    const end = await joinOnce(options, workerId, loadData, search);
    if (options.signal.aborted) return INTERRUPTED;
    if (end.kind === 'dismissed') return end.reason;
    if (end.kind === 'refused') {
      throw new RendezvousError(
        `joining ${options.address.host}:${options.address.port}: refused: ${end.reason}`,
      );
    }
    if (end.kind === 'failed') throw end.error;
    if (search.isOver) {
      search.restart();
      options.log(
        `lost the coordinator (${end.reason}); looking for it for ${options.retryMs / 1000} s`,
      );
    } else await search.fail(end.reason, { wasThere: end.wasRefused === true });
  }
}

/** The time and the attempts until a coordinator says welcome. */
class Search {
  readonly #options: WorkerProcessOptions;
  #startedMs = systemClock.now();
  #attempts = 0;
  /** A coordinator was found and said welcome. */
  isOver = false;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
  }

  restart(): void {
    this.#startedMs = systemClock.now();
    this.#attempts = 0;
    this.isOver = false;
  }

  /**
   * Records an attempt that failed and pauses. Throws RendezvousError when there is no time for
   * another.
   */
  async fail(
    reason: string,
    how: { readonly cause?: unknown; readonly wasThere?: boolean },
  ): Promise<void> {
    const { address, retryMs } = this.#options;
    this.#attempts++;
    const waitedMs = systemClock.now() - this.#startedMs;
    if (waitedMs + RETRY_PAUSE_MS > retryMs) {
      const tries = this.#attempts === 1 ? 'once' : `${this.#attempts} times`;
      const where = `${address.host}:${address.port}`;
      const tried = `tried ${tries} in ${(waitedMs / 1000).toFixed(1)} s`;
      throw new RendezvousError(
        how.wasThere === true
          ? `joining ${where}: refused: ${reason}; ${tried}`
          : `joining ${where}: no coordinator there; ${tried} (last: ${reason}). Is \`lockstep ` +
              'coordinator` running, and is the address right?',
        { attempts: this.#attempts, waitedMs },
        { cause: how.cause },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
  }
}

type DataLoader = (spec: DatasetSpec) => Promise<RunData>;

/** Data survive a reconnection: they are loaded once per spec. */
function cachedLoader(places: DataPlaces, load: typeof loadRunData): DataLoader {
  const loaded = new Map<string, Promise<RunData>>();
  return async (spec) => {
    const key = JSON.stringify(spec);
    const known = loaded.get(key) ?? load(spec, places);
    loaded.set(key, known);
    return known;
  };
}

async function joinOnce(
  options: WorkerProcessOptions,
  workerId: string,
  loadData: DataLoader,
  search: Search,
): Promise<WorkerEnd> {
  const { address, device, lanes, log, rank, signal } = options;
  const control = await findCoordinator(options, search);
  if (control === undefined) return { kind: 'dismissed', reason: INTERRUPTED };
  const resources = new Resources(options.parts?.heartbeatProgram ?? HEARTBEAT);
  const ended = new AbortController();
  const end = await new Promise<WorkerEnd>((resolve) => {
    const deadline = systemClock.after(WELCOME_TIMEOUT_MS, () =>
      worker.disconnect(`no welcome for ${WELCOME_TIMEOUT_MS / 1000} s`),
    );
    const worker = new Worker(control, {
      identity: {
        workerId,
        host: hostname(),
        rank,
        processId: process.pid,
        device,
        lanes,
        software: SOFTWARE,
      },
      clock: systemClock,
      createEngine: engineFactory(options, loadData, resources),
      openConnection: (opened) => {
        connect(address, CONNECT_TIMEOUT_MS).then(opened, (error: unknown) =>
          worker.disconnect(messageOf(error)),
        );
      },
      startHeartbeat: (hello) =>
        resources.beat(address, hello, (reason) => worker.disconnect(reason)),
      onWelcome: (given, job) => {
        deadline.cancel();
        search.isOver = true;
        log(
          `joined run ${job.runId} as rank ${given} with ${lanes} ` +
            `lane${lanes === 1 ? '' : 's'} on ${device}`,
        );
      },
      onEnd: (how) => {
        deadline.cancel();
        resolve(how);
      },
    });
    signal.addEventListener('abort', () => worker.stop(INTERRUPTED), { signal: ended.signal });
  });
  ended.abort();
  await resources.release();
  return end;
}

/** The ordinary program of the heartbeat's thread. */
const HEARTBEAT = { url: siblingModule(import.meta.url, 'heartbeat-thread'), extra: undefined };

/** What one membership holds and must let go of. */
class Resources {
  readonly #heartbeatProgram: { readonly url: URL; readonly extra: unknown };
  #pool: LanePool | undefined;
  #heartbeat: Thread | undefined;
  readonly #tasks: Promise<void>[] = [];

  constructor(heartbeatProgram: { readonly url: URL; readonly extra: unknown }) {
    this.#heartbeatProgram = heartbeatProgram;
  }

  hold(pool: LanePool): void {
    this.#pool = pool;
    this.#heartbeat?.postMessage(pool.control.words);
  }

  beat(address: Address, hello: Hello, onLost: (reason: string) => void): void {
    const start: HeartbeatStart = {
      address,
      hello,
      intervalMs: HEARTBEAT_MS,
      echoTimeoutMs: ECHO_TIMEOUT_MS,
    };
    const { url, extra } = this.#heartbeatProgram;
    const thread = new Thread(url, {
      workerData: { ...start, extra },
      name: 'heartbeat',
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
    });
    thread.on('message', ({ reason }: HeartbeatLost) => onLost(reason));
    thread.on('error', (error) => onLost(messageOf(error)));
    this.#heartbeat = thread;
  }

  /** Something that goes on beside the work and ends by itself. */
  await(task: Promise<void>): void {
    this.#tasks.push(task);
  }

  async release(): Promise<void> {
    await this.#heartbeat?.terminate();
    await this.#pool?.closed(CLOSE_TIMEOUT_MS);
    await Promise.all(this.#tasks);
  }
}

/** A connection to the coordinator; undefined when interrupted. */
async function findCoordinator(
  { address, signal }: WorkerProcessOptions,
  search: Search,
): Promise<Connection | undefined> {
  while (!signal.aborted) {
    try {
      const connection = await connect(address, CONNECT_TIMEOUT_MS);
      if (!signal.aborted) return connection;
      connection.destroy();
    } catch (error) {
      await search.fail(messageOf(error), { cause: error });
    }
  }
  return undefined;
}

type ComputeOptions = Pick<WorkerProcessOptions, 'device' | 'lanes' | 'log' | 'parts'>;

function engineFactory(
  options: ComputeOptions,
  loadData: DataLoader,
  resources: Resources,
): EngineFactory {
  return (job, files, handlers) => ({
    whenReady(ready, failed) {
      makeEngine(job, files, handlers, options, loadData).then(
        ({ pool, engine, profile }) => {
          resources.hold(pool);
          ready(engine, profile);
          if (options.device !== 'cpu') resources.await(logPlacement(files.train, options));
        },
        (error: unknown) =>
          failed(
            error instanceof LockstepError
              ? error
              : new RuntimeError(messageOf(error), {}, { cause: error }),
          ),
      );
    },
  });
}

async function makeEngine(
  job: Job,
  files: { train: Uint8Array; evaluate: Uint8Array },
  handlers: EngineHandlers,
  { device, lanes, parts }: ComputeOptions,
  loadData: DataLoader,
): Promise<{ pool: LanePool; engine: Engine; profile: EngineProfile }> {
  const data = await loadData(parseDatasetSpec(job.dataset));
  const optimizer = parseOptimizerSpec(job.optimizer);
  const { train, evaluate } = data;
  const what = `this worker of ${lanes} lane${lanes === 1 ? '' : 's'}`;
  checkMemory(what, workerBytes(job, optimizer, lanes, true));
  const options: LanePoolOptions = {
    laneCount: lanes,
    device,
    job,
    optimizer,
    files,
    train,
    evaluate,
    handlers,
    ...(parts?.laneProgram !== undefined && { laneProgram: parts.laneProgram }),
  };
  const profileOf = (numericsClass: string): EngineProfile => ({
    dataDigest: data.digest,
    numericsClass,
  });
  if (job.rounds !== undefined) {
    const { pool, engine, numericsClass } = await RoundsEngine.create(options);
    return { pool, engine, profile: profileOf(numericsClass) };
  }
  const { pool, numericsClass } = await LanePool.create(options);
  return { pool, engine: pool, profile: profileOf(numericsClass) };
}

/** Says which nodes of the step the device leaves to the CPU. */
async function logPlacement(step: Uint8Array, { device, log }: ComputeOptions): Promise<void> {
  const placement = await placeNodes(step, device);
  if (placement !== undefined) log(placementText(device, placement));
}

/** The address in `host:port` or `[ipv6]:port`; undefined when the text is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
