/**
 * A worker process: connects the worker's state machine to sockets, lanes, data and a heartbeat,
 * and joins again when the coordinator is lost.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Worker as Thread } from 'node:worker_threads';
import { systemClock, type Timer } from '../base/clock.ts';
import {
  AccessError,
  ConfigError,
  messageOf,
  PeerLostError,
  RendezvousError,
} from '../base/errors.ts';
import { siblingModule } from '../base/module-url.ts';
import type { DataPlaces } from '../data/dataset.ts';
import type { DatasetSpec, RunData } from '../job/data-source.ts';
import { WorkerData } from '../job/worker-data.ts';
import { framesOf } from '../membership/blockages.ts';
import type { Hello } from '../protocol/messages.ts';
import type { LanePool } from '../runtime/lanes/lane-pool.ts';
import { checkOnnxRuntime } from '../runtime/onnx-runtime.ts';
import type { Connection } from '../transport/connection.ts';
import { type Destination, dial, placesText, type Reached } from '../transport/dial.ts';
import { isLoopback } from '../transport/loopback.ts';
import { type Address, connect } from '../transport/tcp.ts';
import type { PeerNetwork } from '../worker/peer-network.ts';
import type { Luggage } from '../worker/parting.ts';
import type { WorkerEnd } from '../worker/worker-options.ts';
import { Worker } from '../worker/worker.ts';
import type { HeartbeatLost, HeartbeatNews, HeartbeatStart } from './heartbeat-thread.ts';
import { SOFTWARE } from './software.ts';
import {
  type ComputeOptions,
  type DataLoader,
  engineFactory,
  type EngineOwner,
} from './worker-engine.ts';
import { ownAddresses } from './own-addresses.ts';
import { type OpenPeerNetwork, openPeerNetwork } from './peer-network.ts';
import { type SearchOptions, WorkerSearch } from './worker-search.ts';

/** How a worker process is started. `signal` ends it in good order. */
export interface WorkerProcessOptions extends ComputeOptions, SearchOptions {
  /** The rank the launcher meant for it, or null. */
  readonly rank: number | null;
  readonly places: DataPlaces;
  /** By which network interfaces other workers come; the fastest of all if absent. */
  readonly interfaces?: readonly string[] | undefined;
  readonly parts?: WorkerParts;
}

/** Parts of a worker process that may be exchanged. */
export type WorkerParts = NonNullable<ComputeOptions['parts']> & {
  /** By default a fresh one. */
  readonly workerId?: string;
  /** Then none are taken from the coordinator. */
  readonly loadData?: (spec: DatasetSpec, places: DataPlaces) => Promise<RunData>;
  /** For the heartbeat's thread, which finds `extra` beside a `HeartbeatStart`. */
  readonly heartbeatProgram?: { readonly url: URL; readonly extra: unknown };
};

const HEARTBEAT_MS = 250;
const ECHO_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
/**
 * The coordinator welcomes nobody before it has its data, which it may be fetching; a welcome with
 * large files may be long on its way, and takes as long as it takes.
 */
const WELCOME_TIMEOUT_MS = 120_000;
const CLOSE_TIMEOUT_MS = 2_000;
/** Connections whose bytes are told of; those of earlier groups are over. */
const MAX_WATCHED = 16;
const INTERRUPTED = 'the worker was interrupted';

/**
 * Works until the coordinator dismisses it; resolves with the coordinator's words.
 * Throws: RuntimeError when ONNX Runtime cannot be loaded here; RendezvousError when it is refused
 *         or finds no coordinator within `retryMs`; AccessError when its key is not, or no longer,
 *         good; what made the engine fail.
 */
export async function runWorkerProcess(options: WorkerProcessOptions): Promise<string> {
  checkOnnxRuntime();
  const { workerId = randomUUID(), loadData: load } = options.parts ?? {};
  const { log } = options;
  const data = new WorkerData({ places: options.places, log, ...(load && { load }) });
  const loadData: DataLoader = async (wanted) => data.find(wanted);
  const search = new WorkerSearch(options);
  let luggage: Luggage | undefined;
  for (;;) {
    const end = await joinOnce(options, { workerId, loadData, search, luggage });
    luggage = end.kind === 'disconnected' ? end.luggage : undefined;
    if (options.signal.aborted) return INTERRUPTED;
    if (end.kind === 'dismissed') return end.reason;
    if (end.kind === 'refused') throw refusal(end, options.destination, search.isOver);
    if (end.kind === 'failed') throw end.error;
    if (search.isOver) {
      search.restart();
      options.log(
        `lost the coordinator (${end.reason}); looking for it for ${options.retryMs / 1000} s`,
      );
    } else if (end.wasRefused === true) {
      if (search.refusals === 0) options.log(`not let in yet, trying again: ${end.reason}`);
      await search.comeBack();
    } else await search.fail(end.reason);
  }
}

/** Who a worker is over its reconnections, what it has loaded, and the search it is in. */
interface Standing {
  readonly workerId: string;
  readonly loadData: DataLoader;
  readonly search: WorkerSearch;
  /** What it has of a run that it has lost. */
  readonly luggage: Luggage | undefined;
}

/** Is a worker of one coordinator, as long as that lasts. */
async function joinOnce(options: WorkerProcessOptions, standing: Standing): Promise<WorkerEnd> {
  const reached = await findCoordinator(options, standing.search);
  if (reached === undefined) return { kind: 'dismissed', reason: INTERRUPTED };
  const { connection: control, address } = reached;
  const resources = new Resources(options.parts?.heartbeatProgram ?? HEARTBEAT);
  const peers = await resources.openDoor(control.localHost, options);
  const ended = new AbortController();
  const end = await new Promise<WorkerEnd>((resolve) => {
    const worker = startWorker(control, options, standing, { resources, peers, address }, resolve);
    const stop = (): void => worker.stop(INTERRUPTED);
    options.signal.addEventListener('abort', stop, { signal: ended.signal });
  });
  ended.abort();
  await resources.release();
  return end;
}

/** What a worker's state machine is put into. */
interface Surroundings {
  readonly resources: Resources;
  readonly peers: PeerNetwork | undefined;
  /** Where the coordinator was reached. */
  readonly address: Address;
}

/** The worker's state machine on `control`, with the sockets, threads and time of this process. */
function startWorker(
  control: Connection,
  options: WorkerProcessOptions,
  { workerId, loadData, search, luggage }: Standing,
  { resources, peers, address }: Surroundings,
  onEnd: (end: WorkerEnd) => void,
): Worker {
  const { device, lanes, log, rank } = options;
  const { protection } = options.destination;
  const deadline = watchBytes(control, WELCOME_TIMEOUT_MS, () =>
    worker.disconnect(`no welcome for ${WELCOME_TIMEOUT_MS / 1000} s`),
  );
  const [host, processId] = [hostname(), process.pid];
  resources.count('control', control);
  const worker: Worker = new Worker(control, {
    identity: { workerId, host, rank, processId, device, lanes, software: SOFTWARE },
    clock: systemClock,
    createEngine: engineFactory(options, loadData, resources),
    luggage,
    ...(peers && { peers }),
    openConnection: (opened) => {
      const fail = (error: unknown): void => worker.disconnect(messageOf(error));
      connect(address, CONNECT_TIMEOUT_MS, protection).then((connection) => {
        resources.watch(connection);
        resources.count('data', connection);
        opened(connection);
      }, fail);
    },
    startHeartbeat: (hello) =>
      resources.beat({ address, protection }, hello, (reason) => worker.lose(reason)),
    onWelcome: (given, { runId }, reach) => {
      resources.protectPeers(reach.key);
      if (reach.isOpen) resources.await(resources.openDoorWide(log));
      deadline.cancel();
      search.end();
      const count = `${lanes} lane${lanes === 1 ? '' : 's'}`;
      log(`joined run ${runId} as rank ${given} with ${count} on ${device}`);
    },
    onEnd: (end) => {
      deadline.cancel();
      onEnd(end);
    },
  });
  return worker;
}

/** Calls `onSilent` once no byte has come on `connection` for so long. */
function watchBytes(connection: Connection, timeoutMs: number, onSilent: () => void): Timer {
  let timer: Timer;
  const watch = (bytes: number): void => {
    timer = systemClock.after(timeoutMs, () =>
      connection.bytesReceived > bytes ? watch(connection.bytesReceived) : onSilent(),
    );
  };
  watch(connection.bytesReceived);
  return { cancel: () => timer.cancel() };
}

/** The ordinary program of the heartbeat's thread. */
const HEARTBEAT = { url: siblingModule(import.meta.url, 'heartbeat-thread'), extra: undefined };

/** What one membership holds and must let go of. */
class Resources implements EngineOwner {
  readonly #heartbeatProgram: { readonly url: URL; readonly extra: unknown };
  #pool: LanePool | undefined;
  #heartbeat: Thread | undefined;
  #peers: OpenPeerNetwork | undefined;
  /** What brings work: its bytes are signs of progress. */
  readonly #watched = new Set<Connection>();
  #goneBytes = 0;
  #watch: Timer | undefined;
  /** Those with the coordinator, whose frames are counted at both ends. */
  readonly #counted: { control?: Connection; data?: Connection } = {};
  #isReleased = false;
  readonly #tasks: Promise<void>[] = [];

  constructor(heartbeatProgram: { readonly url: URL; readonly extra: unknown }) {
    this.#heartbeatProgram = heartbeatProgram;
  }

  watchLanes(words: Int32Array): void {
    this.#tell({ lanes: words });
  }

  hold(pool: LanePool): void {
    this.#pool = pool;
  }

  beat(
    way: Pick<HeartbeatStart, 'address' | 'protection'>,
    hello: Hello,
    onLost: (reason: string) => void,
  ): void {
    const start: HeartbeatStart = {
      ...way,
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

  /**
   * Opens a door for other workers: at `reached`, with which this machine reaches the coordinator,
   * or by the interfaces that are asked for. Without one this worker takes no part in groups, and
   * `log` says why.
   */
  async openDoor(
    reached: string,
    { interfaces, log }: Pick<WorkerProcessOptions, 'interfaces' | 'log'>,
  ): Promise<PeerNetwork | undefined> {
    try {
      const watch = (connection: Connection): void => this.watch(connection);
      const addresses = (): readonly string[] => ownAddresses(interfaces);
      // Programs of one machine need no key: their doors stay inside it.
      const isInside = interfaces === undefined || isLoopback(reached);
      const host = isInside ? reached : (addresses()[0] ?? reached);
      this.#peers = await openPeerNetwork({ host, port: 0 }, watch, log, addresses);
    } catch (error) {
      log(`no door for other workers, sums go through the coordinator: ${messageOf(error)}`);
    }
    return this.#peers;
  }

  /** Other workers are known by this key, if there is one. */
  protectPeers(key: string | null): void {
    this.#peers?.protect(key);
  }

  /** Workers may come from every network. */
  async openDoorWide(log: (line: string) => void): Promise<void> {
    try {
      await this.#peers?.openWide();
    } catch (error) {
      log(`not in every network a door for other workers: ${messageOf(error)}`);
    }
  }

  /** The heartbeat tells from now on how much `connection` has brought, too. */
  watch(connection: Connection): void {
    const isFirst = this.#watched.size === 0;
    this.#watched.add(connection);
    const [oldest] = this.#watched;
    if (this.#watched.size > MAX_WATCHED && oldest !== undefined) {
      this.#goneBytes += oldest.bytesReceived;
      this.#watched.delete(oldest);
    }
    if (isFirst) this.#tellTraffic();
  }

  /** The heartbeat tells from now on how many frames `connection` has passed, too. */
  count(channel: 'control' | 'data', connection: Connection): void {
    this.#counted[channel] = connection;
  }

  #tellTraffic(): void {
    if (this.#isReleased) return;
    const receivedBytes = [...this.#watched].reduce(
      (sum, c) => sum + c.bytesReceived,
      this.#goneBytes,
    );
    const frames = { control: framesOf(this.#counted.control), data: framesOf(this.#counted.data) };
    this.#tell({ receivedBytes, frames });
    this.#watch = systemClock.after(HEARTBEAT_MS, () => this.#tellTraffic());
  }

  /** Something that goes on beside the work and ends by itself. */
  await(task: Promise<void>): void {
    this.#tasks.push(task);
  }

  async release(): Promise<void> {
    this.#isReleased = true;
    this.#watch?.cancel();
    await this.#heartbeat?.terminate();
    await this.#peers?.close();
    await this.#pool?.closed(CLOSE_TIMEOUT_MS);
    await Promise.all(this.#tasks);
  }

  #tell(news: HeartbeatNews): void {
    this.#heartbeat?.postMessage(news);
  }
}

/** A connection to the coordinator; undefined when interrupted. */
async function findCoordinator(
  { destination, signal }: WorkerProcessOptions,
  search: WorkerSearch,
): Promise<Reached | undefined> {
  while (!signal.aborted) {
    try {
      const reached = await dial(destination, CONNECT_TIMEOUT_MS);
      if (!signal.aborted) return reached;
      reached.connection.destroy();
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      if (isKeyRefused(error)) throw keyRefused(destination, error);
      await search.fail(messageOf(error), error);
    }
  }
  return undefined;
}

/** Why the coordinator does not want this worker, which was in a run if `wasIn`. */
function refusal(
  { reason, isDenied }: Extract<WorkerEnd, { kind: 'refused' }>,
  { addresses }: Destination,
  wasIn: boolean,
): AccessError | RendezvousError {
  const places = placesText(addresses);
  return isDenied === true
    ? new AccessError(`${wasIn ? 'working for' : 'joining'} ${places}: refused: ${reason}`)
    : new RendezvousError(`joining ${places}: refused: ${reason}`);
}

function isKeyRefused(error: unknown): boolean {
  return error instanceof PeerLostError && error.context['isKeyRefused'] === true;
}

/** Looking on would not help, and be taken for an attack. */
function keyRefused({ addresses }: Destination, cause: unknown): AccessError {
  return new AccessError(
    `joining ${placesText(addresses)}: the key was not accepted. It is of another coordinator, ` +
      'or was revoked long ago: ask for a new link (`lockstep token create` where it runs)',
    {},
    { cause },
  );
}
