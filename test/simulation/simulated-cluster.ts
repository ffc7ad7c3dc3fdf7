/**
 * A whole cluster in one process on virtual time: the real coordinator and worker state machines
 * over an in-memory network, with faults drawn from a seed. Every history can be run again by its
 * seed.
 */
import { type Clock, ManualClock, type Timer } from '../../src/base/clock.ts';
import type { LockstepError } from '../../src/base/errors.ts';
import type { CollectiveChoice } from '../../src/collectives/body-names.ts';
import type { Collective, CollectiveOptions } from '../../src/collectives/collective.ts';
import { Ring } from '../../src/collectives/ring.ts';
import type { CommonMemories } from '../../src/collectives/shm/common-memories.ts';
import { makeShm } from '../../src/collectives/shm/shm.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import type { DataSource, RunResult } from '../../src/coordinator/coordinator-options.ts';
import type { Reporter } from '../../src/coordinator/reporter.ts';
import type { StepClosing } from '../../src/plan/closing.ts';
import type { RunPlan } from '../../src/plan/run-plan.ts';
import type { BalancePolicy } from '../../src/plan/balance-policies.ts';
import { type EpochLayout, sampleRange } from '../../src/data/batches.ts';
import type { Piece } from '../../src/data/parcels/piece.ts';
import { makeOptimizerSpec } from '../../src/optim/spec.ts';
import { framesOf } from '../../src/membership/blockages.ts';
import { DEFAULT_TIMING } from '../../src/membership/timing.ts';
import type { RunEvent } from '../../src/metrics/events.ts';
import {
  type Hello,
  parseToCoordinator,
  parseToWorker,
  type ToCoordinator,
  type ToWorker,
} from '../../src/protocol/messages.ts';
import type { DataSupply, Engine, EngineHandlers } from '../../src/runtime/engine.ts';
import { Broadcast, type Connection, GREETING_LIMITS } from '../../src/transport/connection.ts';
import {
  connectInMemory,
  SimulatedHost,
  type SimulatedLink,
} from '../../src/transport/memory-network.ts';
import type { Luggage } from '../../src/worker/parting.ts';
import type { WorkerEnd } from '../../src/worker/worker-options.ts';
import type { PeerNetwork } from '../../src/worker/peer-network.ts';
import { Worker } from '../../src/worker/worker.ts';
import { Babbler } from './babbler.ts';
import { Choices } from './choices.ts';
import { CoordinatorRecords } from './coordinator-records.ts';
import { type Channel, type FaultyCluster, type Hole, PeerFaults } from './peer-faults.ts';
import {
  ELEMENTS,
  initialTensors,
  SimulatedEngine,
  STATE_BYTES,
  TENSOR_COUNT,
  TENSOR_LENGTH,
} from './simulated-engine.ts';

const HEARTBEAT_MS = 250;
/** A state has several pieces. */
const PIECE_BYTES = 50;
const REJOIN_MS = 500;
/** Of WebAssembly. */
const PAGE_BYTES = 64 << 10;
/** Virtual time after which a run that has not finished counts as hung. */
const LAN_MS = 20 * 60_000;
const HUNG_MS = { lan: LAN_MS, quick: LAN_MS, even: LAN_MS, wide: 48 * 3_600_000 };

/** A host's view of time: its timers wait while it is frozen and never fire once it is dead. */
class HostClock implements Clock {
  readonly #clock: ManualClock;
  readonly #host: SimulatedHost;

  constructor(clock: ManualClock, host: SimulatedHost) {
    this.#clock = clock;
    this.#host = host;
  }

  now(): number {
    return this.#clock.now();
  }

  after(delayMs: number, action: () => void): Timer {
    let current: Timer;
    const attempt = (): void => {
      if (this.#host.isDead) return;
      const waitMs = this.#host.frozenUntilMs - this.#clock.now();
      if (waitMs > 0) current = this.#clock.after(waitMs, attempt);
      else action();
    };
    current = this.#clock.after(delayMs, attempt);
    return { cancel: () => current.cancel() };
  }
}

/** Comes between worker and engine, both ways; `create` makes the real one. */
export type EngineWrapper = (
  create: (handlers: EngineHandlers) => Engine,
  handlers: EngineHandlers,
  worker: string,
) => Engine;

/** What a history is made of. */
export interface HistoryOptions {
  readonly seed: number;
  readonly workers: number;
  readonly steps: number;
  /** Draws faults; without it nothing goes wrong. */
  readonly isDisturbed: boolean;
  /**
   * `wide`: links from 10 kbit/s to 10 Gbit/s, micro-batches from a millisecond to ten minutes, and
   * messages that come twice; `quick`: as `lan`, with micro-batches of at most two milliseconds, as
   * long as nobody is slow; `even`: with such that take everybody about one, and messages that come
   * twice; `lan` if absent: with such messages in every other history of faults.
   */
  readonly world?: 'lan' | 'quick' | 'even' | 'wide';
  /** Members that say anything at any time, besides the workers; 0 if absent. */
  readonly babblers?: number;
  /** Workers that are on one machine; 1 if absent. */
  readonly ranksPerHost?: number;
  /** How sums travel; `auto` if absent. */
  readonly collective?: CollectiveChoice;
  /** Whether workers may stand by whose sums are long on their way; false if absent. */
  readonly mayStandBy?: boolean;
  /**
   * The coordinator leads every step: none is granted. For that the run is to stop when it
   * diverges, which it does not.
   */
  readonly isLed?: boolean;
  /** How steps are closed that the coordinator leads, and adds up, all. */
  readonly closing?: StepClosing;
  /** Workers of one lane each, whose speeds are known but for some noise. */
  readonly timed?: {
    /** Of a step. */
    readonly microBatches: number;
    /** What one takes whoever is not slow. */
    readonly microBatchMs: number;
    /** Part by which that is more or less, at most, each time. */
    readonly noise: number;
  };
  /** How steps are shared out; `adaptive` if absent. */
  readonly policy?: BalancePolicy;
  /** How many times slower than it would be a worker of this name computes now; 1 if absent. */
  readonly slowness?: (name: string) => number;
  /** Part of the steps that are audited; 0 if absent. */
  readonly auditRate?: number;
  /** What a worker of this name does to its gradients; nothing if undefined. */
  readonly liar?: (name: string) => ((gradient: Float32Array, step: number) => void) | undefined;
  /** Whether a bit flips in the weights of a worker that has now done so many updates. */
  readonly flip?: (name: string, updates: number) => boolean;
  /** Steps between evaluations; 4 if absent. */
  readonly evaluateEvery?: number;
  /** How often the state is fetched; every two seconds if absent. */
  readonly snapshotMs?: number;
  /** Instead of the one that fills `events`. */
  readonly reporter?: Reporter;
  /** Draws so many faults at most of pairs of workers, and at messages, besides; 0 if absent. */
  readonly peerFaults?: number;
  /** Gets the means to do harm before anything happens. */
  readonly onStart?: (cluster: FaultyCluster) => void;
  /** Hears of everything that the run tells, and when. */
  readonly onEvent?: (event: RunEvent, nowMs: number) => void;
  /**
   * Hears of every message that the coordinator sends, at the moment of sending. Memberships of a
   * worker are counted from 1.
   */
  readonly onSentToWorker?: (worker: string, message: ToWorker, membership: number) => void;
  /** The same of every message that a worker sends, with its payload. */
  readonly onSentToCoordinator?: (
    worker: string,
    message: ToCoordinator,
    membership: number,
    payload: Uint8Array,
  ) => void;
  /** Pieces of data that a worker lacks, and gets from the coordinator first; 0 if absent. */
  readonly dataPieces?: number;
  /** So many times at most the coordinator dies, and is started again; never if absent. */
  readonly coordinatorDeaths?: number;
  /** For tests of the simulation itself: breaks engines on purpose. */
  readonly wrapEngine?: EngineWrapper;
}

/** How a history went. */
export interface History {
  readonly result: RunResult;
  readonly events: readonly RunEvent[];
  readonly faults: readonly string[];
  readonly virtualMs: number;
}

const TRAIN = { sampleCount: 70, globalBatch: 24, microBatch: 2 };
/** Of timed steps, which are all of the same size. */
const TIMED_STEPS = 20;

function trainOf({ timed }: HistoryOptions): EpochLayout {
  if (timed === undefined) return TRAIN;
  const globalBatch = timed.microBatches * TRAIN.microBatch;
  return { ...TRAIN, globalBatch, sampleCount: TIMED_STEPS * globalBatch };
}

/** Another learning rate in every step: a step's numbers must not be mixed up with another's. */
const SCHEDULE = {
  kind: 'step',
  learningRate: 0.1,
  warmupSteps: 0,
  gamma: 0.9,
  everySteps: 1,
} as const;
const EVALUATE = { sampleCount: 20, globalBatch: 20, microBatch: 2, split: 'test' as const };

export function makeSimulatedPlan(options: HistoryOptions): RunPlan {
  const train = trainOf(options);
  return {
    job: {
      runId: `history-${options.seed}`,
      seed: 1,
      dataset: {},
      dataDigest: 'data',
      task: 'classification',
      featureCount: 1,
      targetCount: 1,
      microBatch: train.microBatch,
      globalBatch: train.globalBatch,
      evaluateMicroBatch: EVALUATE.microBatch,
      parameters: Array.from({ length: TENSOR_COUNT }, (_, i) => ({
        name: `tensor.${i}`,
        shape: [TENSOR_LENGTH],
        statisticMomentum: null,
      })),
      masks: [],
      optimizer: {},
      clipNorm: null,
      tracksNorms: false,
      isAudited: (options.auditRate ?? 0) > 0,
      strategy: { kind: 'sync' },
      trainBytes: 0,
      evaluateBytes: 0,
    },
    initial: Array.from({ length: TENSOR_COUNT }, () => ({ kind: 'given' as const })),
    stateBytes: STATE_BYTES,
    sumElements: ELEMENTS,
    collective: options.closing === undefined ? (options.collective ?? 'auto') : 'star',
    ...(options.closing && { closing: options.closing }),
    balance: { policy: options.policy ?? 'adaptive', keepsAll: options.mayStandBy !== true },
    totalSteps: options.steps,
    train,
    evaluate: EVALUATE,
    passesPerEpoch: 1,
    evaluateEvery: options.evaluateEvery ?? 4,
    update: { optimizer: makeOptimizerSpec('momentum'), schedule: SCHEDULE },
    schedule: SCHEDULE,
    units: { step: 'step', part: 'micro-batch', lanesPerPart: 'one' },
    minWorkers: options.workers,
    auditRate: options.auditRate ?? 0,
    stopOnDivergence: options.isLed ?? false,
    gatherMs: 10_000,
    snapshotMs: options.snapshotMs ?? 2_000,
  };
}

class SimulatedWorker {
  readonly host: SimulatedHost;
  readonly clock: HostClock;
  readonly lanes: number;
  readonly #cluster: SimulatedCluster;
  readonly #machine: string;
  readonly #speedMs: number;
  #slow = { factor: 1, untilMs: 0 };
  #isSpoiling = false;
  #wasSpoiled = false;
  #worker: Worker | undefined;
  #engine: SimulatedEngine | undefined;
  #beat: Timer | undefined;
  /** What brings work: its bytes are told by heartbeats. */
  #working: Connection[] = [];
  /** Those with the coordinator but for heartbeats: their frames are counted at both ends. */
  #counted: { readonly control?: Connection; readonly data?: Connection } = {};
  #takeVisitor: ((connection: Connection) => void) | undefined;
  #memberships = 0;
  lastEnd: WorkerEnd | undefined;
  #luggage: Luggage | undefined;
  /** Pieces of the data that it has, over all memberships. */
  #dataPieces = 0;

  constructor(cluster: SimulatedCluster, name: string, lanes: number, speedMs: number) {
    this.#cluster = cluster;
    this.host = new SimulatedHost(name);
    this.#machine = cluster.machineOf(name);
    this.clock = new HostClock(cluster.clock, this.host);
    this.lanes = lanes;
    this.#speedMs = speedMs;
  }

  join(): void {
    if (this.host.isDead) return;
    if (this.#cluster.isOver) return;
    if (this.#cluster.isLeaderless) return void this.clock.after(REJOIN_MS, () => this.join());
    const membership = ++this.#memberships;
    const connection = this.#cluster.dial(this.host, membership);
    this.#counted = { control: connection };
    this.#worker = new Worker(connection, {
      identity: {
        workerId: this.host.name,
        host: this.#machine,
        rank: null,
        processId: 1,
        lanes: this.lanes,
        software: 'simulation',
      },
      clock: this.clock,
      createEngine: (_job, _files, handlers, supply) => {
        const create = (inner: EngineHandlers): Engine => this.#createEngine(inner);
        const { wrapEngine } = this.#cluster;
        const engine = wrapEngine?.(create, handlers, this.host.name) ?? create(handlers);
        const trialMs = this.#speedMs * this.#slowness();
        return {
          whenReady: (ready) => {
            const load = (): void =>
              void this.clock.after(this.#cluster.choices.between(50, 400), () =>
                ready(engine, { dataDigest: 'data', numericsClass: 'one', trialMs }),
              );
            if (supply === undefined) load();
            else this.#getData(supply, load);
          },
        };
      },
      peers: this.#peerNetwork(),
      pieceBytes: PIECE_BYTES,
      openConnection: (opened) => {
        const data = this.#cluster.dial(this.host, membership, 'data');
        this.#working = [data];
        this.#counted = { control: connection, data };
        this.clock.after(0, () => opened(data));
      },
      startHeartbeat: (hello) => this.#startHeartbeat(hello),
      luggage: this.#luggage,
      onWelcome: () => {},
      onEnd: (end) => this.#rejoin(end),
    });
  }

  /** Gets one piece after the other, from the first that it has not got before. */
  #getData(supply: DataSupply, done: () => void): void {
    const offset = this.#dataPieces;
    if (offset === supply.offer['pieces']) return done();
    const answer = ({ bytes }: Piece): void => {
      if (bytes.length !== 1 || bytes[0] !== offset) throw new Error(`not piece ${offset}`);
      this.#dataPieces++;
      this.#getData(supply, done);
    };
    supply.ask({ split: 'data', part: 'x', offset, byteLength: 1 }, answer, () => {});
  }

  /** Its own door is named after it; whoever listened there before is not there any more. */
  #peerNetwork(): PeerNetwork {
    this.#takeVisitor = undefined;
    const ring = (options: CollectiveOptions): Collective => new Ring(options);
    const shm = makeShm({ otherwise: ring, memories: () => this.#memories(), lookMs: 0 });
    return {
      doors: () => [{ host: this.host.name, port: 1 }],
      connect: ({ host }, opened, failed) => {
        const connection = this.#cluster.dialPeer(this, host);
        const told = (): void =>
          connection === undefined ? failed('nobody is there') : opened(connection);
        if (connection !== undefined) this.#working.push(connection);
        this.clock.after(1, told);
      },
      onVisitor: (take) => (this.#takeVisitor = take),
      makeCollective: (name, options) => (name === 'shm' ? shm : ring)(options),
    };
  }

  /** Memory of its machine. */
  #memories(): CommonMemories {
    const { memories } = this.#cluster;
    return {
      make: (byteLength) => {
        const pages = byteLength / PAGE_BYTES;
        const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
        const offer = { processId: memories.length, descriptor: 0, nonce: 'simulated' };
        memories.push(memory);
        return { memory, offer };
      },
      find: (offer) => {
        const memory = memories[offer.processId];
        return memory === undefined ? 'nobody has made it' : { memory, offer };
      },
      withdraw: () => {},
      release: (memory) => {
        if (this.#engine?.isIn(memory) === true)
          throw new Error(`${this.host.name} lets go of memory that its engine is in`);
      },
    };
  }

  /** Somebody has connected to its door; false if it has none. */
  visit(connection: Connection): boolean {
    this.#takeVisitor?.(connection);
    this.#working.push(connection);
    return this.#takeVisitor !== undefined;
  }

  /** Milliseconds that its next micro-batch takes. */
  #computeMs(): number {
    const { choices, timed } = this.#cluster;
    const noise = timed?.noise ?? 0.5;
    const usualMs = timed?.microBatchMs ?? this.#speedMs;
    return choices.between(1 - noise, 1 + noise) * usualMs * this.#slowness();
  }

  /** Computes `factor` times slower for a while, as on a machine that somebody else uses. */
  slowDown(factor: number, durationMs: number): void {
    this.#slow = { factor, untilMs: this.clock.now() + durationMs };
  }

  /** The next gradient that it computes is not a number. */
  spoilNext(): void {
    this.#isSpoiling = this.#wasSpoiled = true;
  }

  get wasSpoiled(): boolean {
    return this.#wasSpoiled;
  }

  /** Whether it is alive, and nobody has reason to put it out. */
  get canFinish(): boolean {
    return !this.host.isDead && !this.#wasSpoiled;
  }

  #alter(gradient: Float32Array, step: number): void {
    this.#cluster.alterOf(this.host.name)?.(gradient, step);
    if (!this.#isSpoiling) return;
    this.#isSpoiling = false;
    gradient[0] = Number.NaN;
  }

  #slowness(): number {
    const passing = this.clock.now() < this.#slow.untilMs ? this.#slow.factor : 1;
    return passing * this.#cluster.slownessOf(this.host.name);
  }

  #createEngine(handlers: EngineHandlers): Engine {
    this.#engine = new SimulatedEngine({
      clock: this.clock,
      lanes: this.lanes,
      handlers,
      alter: (gradient, step) => this.#alter(gradient, step),
      flips: (updates) => this.#cluster.flips(this.host.name, updates),
      computeMs: () => this.#computeMs(),
      samplesOf: (plan, microBatch) =>
        plan.work === 'train'
          ? sampleRange(this.#cluster.train, plan.stepInEpoch, microBatch).count
          : sampleRange(EVALUATE, 0, microBatch).count,
    });
    return this.#engine;
  }

  #startHeartbeat(hello: Hello): void {
    const connection = this.#cluster.dial(this.host, this.#memberships, 'heartbeat');
    const engineOf = (): number => this.#engine?.progress ?? 0;
    connection.limits = GREETING_LIMITS;
    let echoes = 0;
    connection.handlers = {
      onFrame: () => void echoes++,
      onClose: () => this.#worker?.lose('heartbeat connection closed'),
    };
    connection.send(hello);
    const beat = (): void => {
      const busyLanes = this.#engine?.busyLanes ?? 0;
      const received = this.#working.reduce((sum, c) => sum + c.bytesReceived, 0);
      const receivedBytes = Math.floor(received);
      const { control, data } = this.#counted;
      const frames = { control: framesOf(control), data: framesOf(data) };
      const signs = { progress: engineOf(), busyLanes, receivedBytes, echoes, frames };
      connection.send({ kind: 'heartbeat', ...signs });
      this.#beat = this.clock.after(HEARTBEAT_MS, beat);
    };
    this.#beat?.cancel();
    beat();
    this.#heartbeat = connection;
  }

  #heartbeat: Connection | undefined;

  #rejoin(end: WorkerEnd): void {
    this.lastEnd = end;
    this.#beat?.cancel();
    this.#heartbeat?.destroy();
    if (end.kind !== 'disconnected') return;
    this.#luggage = end.luggage;
    this.clock.after(REJOIN_MS, () => this.join());
  }
}

/** The way between the coordinator, or another worker, and a worker. */
interface Link extends SimulatedLink {
  readonly host: SimulatedHost;
  readonly otherHost?: SimulatedHost;
}

/** Tells `onSent` every frame that is sent at this end of a connection, as it arrives. */
function tapSent(
  connection: Connection,
  onSent: (header: unknown, payload: Uint8Array) => void,
): void {
  const send = connection.send.bind(connection);
  connection.send = (header, payload, onFlushed) => {
    const bytes = payload instanceof Broadcast ? payload.bytes : payload;
    onSent(JSON.parse(JSON.stringify(header)), bytes?.slice() ?? new Uint8Array(0));
    send(header, payload, onFlushed);
  };
}

export class SimulatedCluster {
  readonly clock = new ManualClock();
  readonly choices: Choices;
  readonly events: RunEvent[] = [];
  readonly faults: string[] = [];
  readonly #options: HistoryOptions;
  #door = new SimulatedHost('coordinator');
  #coordinator: Coordinator;
  /** What outlives a coordinator that dies. */
  readonly records: CoordinatorRecords;
  readonly #workers: SimulatedWorker[] = [];
  readonly #links: Link[] = [];
  readonly #bytesPerMs = new Map<SimulatedHost, number>();
  /** Of a wide world: its state of 256 bytes stands for up to a quarter of a megabyte. */
  readonly #payloadScale: number;
  /** Of a wide world: what a micro-batch takes most workers. */
  readonly #usualMs: number;
  /** Pairs that never reach each other, and until when others do not. */
  readonly #severed = new Set<string>();
  readonly #heldPairs = new Map<string, number>();
  /** Of a worker: what does not arrive, on which of its connections, until when. */
  readonly #holes = new Map<string, Hole & { readonly untilMs: number }>();
  readonly #connections: {
    readonly name: string;
    readonly channel: Channel;
    readonly near: Connection;
    readonly far: Connection;
  }[] = [];
  /** Of groups that add up in memory. */
  readonly memories: WebAssembly.Memory[] = [];
  readonly #pairConnections: { pair: string; near: Connection; far: Connection }[] = [];
  readonly #peerFaults: PeerFaults | undefined;
  #result: RunResult | undefined;
  #error: LockstepError | undefined;
  #sessions = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.choices = new Choices(options.seed);
    if ((options.peerFaults ?? 0) > 0)
      this.#peerFaults = new PeerFaults(this.#faultyCluster(), options.seed);
    this.#payloadScale = this.isWide ? this.choices.magnitude(1, 1_000) : 1;
    this.#usualMs = this.isWide ? this.choices.magnitude(1, 2_000) : 0;
    const deaths = options.coordinatorDeaths ?? 0;
    this.records = new CoordinatorRecords(makeSimulatedPlan(options), this.events, options.seed);
    this.#coordinator = this.#startCoordinator();
    for (let i = 0; i < options.workers; i++) this.#addWorker(`worker-${i}`, 0);
    for (let i = 0; i < (options.babblers ?? 0); i++)
      new Babbler(this, `babbler-${i}`).start(this.choices.between(0, 2_000));
    if (options.isDisturbed) this.#drawFaults();
    this.#peerFaults?.draw(options.peerFaults ?? 0);
    if (deaths > 0) this.#drawDeaths(deaths);
    options.onStart?.(this.#faultyCluster());
  }

  #startCoordinator(): Coordinator {
    const options = this.#options;
    const door = this.#door;
    const ofThis =
      <T>(action: (value: T) => void): ((value: T) => void) =>
      (value) => {
        if (!door.isDead) action(value);
      };
    const { recollection, checkpoint } = this.records.read();
    return new Coordinator(
      {
        plan: makeSimulatedPlan(options),
        bytes: { jobFiles: new Uint8Array(0), given: initialTensors() },
        clock: new HostClock(this.clock, door),
        timing: DEFAULT_TIMING,
        reach: { isOpen: false, key: null },
        newSession: () => `session-${this.#sessions++}`,
        onEvent: ofThis((event: RunEvent) => {
          this.events.push(event);
          options.onEvent?.(event, this.clock.now());
        }),
        onKept: ofThis((snapshot) => this.records.keep(snapshot)),
        onDecided: ofThis((decided) => this.records.add(decided)),
        onFinished: ofThis((result) => void (this.#result = result)),
        onFailed: ofThis((error) => void (this.#error = error)),
        ...(recollection && { recollection }),
        onReturned: (returned, begin) => {
          const evaluatedStep = this.records.goOn(returned);
          new HostClock(this.clock, door).after(5, () => begin(evaluatedStep));
        },
        ...(options.reporter !== undefined && { reporter: options.reporter }),
        ...(options.dataPieces !== undefined && { data: this.#dataOf(options.dataPieces) }),
      },
      checkpoint,
    );
  }

  /** Nobody is at the door of the run now. */
  get isLeaderless(): boolean {
    return this.#door.isDead;
  }

  #drawDeaths(most: number): void {
    const { seed, steps } = this.#options;
    const choices = new Choices(2_000_000 + seed);
    for (let i = 1 + choices.below(most); i > 0; i--) {
      const atMs = choices.between(0, 700 + steps * this.#stepMs);
      const pauseMs = choices.magnitude(10, 20_000);
      this.faults.push(`${atMs.toFixed(0)} ms: the coordinator dies, for ${pauseMs.toFixed(0)} ms`);
      this.clock.after(atMs, () => this.#killCoordinator(pauseMs));
    }
  }

  #killCoordinator(pauseMs: number): void {
    if (this.isOver || this.#door.isDead) return;
    this.#door.kill();
    this.clock.after(pauseMs, () => {
      this.#door = new SimulatedHost('coordinator');
      this.#coordinator = this.#startCoordinator();
    });
  }

  get timed(): HistoryOptions['timed'] {
    return this.#options.timed;
  }

  get train(): EpochLayout {
    return trainOf(this.#options);
  }

  slownessOf(name: string): number {
    return this.#options.slowness?.(name) ?? 1;
  }

  /** Pieces that are packed in a moment each. */
  #dataOf(pieces: number): DataSource {
    return {
      offer: { pieces },
      read: ({ offset }, done) => {
        const piece = { bytes: new Uint8Array([offset]), isPacked: false };
        new HostClock(this.clock, this.#door).after(this.choices.between(1, 40), () => done(piece));
        return offset < pieces;
      },
    };
  }

  get wrapEngine(): EngineWrapper | undefined {
    return this.#options.wrapEngine;
  }

  alterOf(name: string): ((gradient: Float32Array, step: number) => void) | undefined {
    return this.#options.liar?.(name);
  }

  /** What the machine calls itself on which a worker is. */
  machineOf(name: string): string {
    const { ranksPerHost = 1 } = this.#options;
    const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
    return ranksPerHost === 1 ? name : `machine-${Math.floor(number / ranksPerHost)}`;
  }

  flips(name: string, updates: number): boolean {
    return this.#options.flip?.(name, updates) ?? false;
  }

  get isOver(): boolean {
    return this.#result !== undefined || this.#error !== undefined;
  }

  /** A new connection from `host` to the coordinator; the coordinator sees it a little later. */
  dial(host: SimulatedHost, membership = 1, channel: Channel = 'control'): Connection {
    const base = this.choices.between(0.05, 2);
    const jitter = this.#options.isDisturbed ? 5 : 0;
    const link = {
      heldUntilMs: 0,
      delayMs: () => base + this.choices.between(0, jitter),
      ...(this.isWide && {
        bytesPerMs: this.#bytesPerMsOf(host),
        payloadScale: this.#payloadScale,
      }),
      ...(this.#isDoubling && { isDoubled: () => this.choices.chance(0.05) }),
      heldTowardsMs: (receiver: SimulatedHost) => this.#holeMs(host, receiver, channel),
      host,
    };
    this.#links.push(link);
    const [near, far] = connectInMemory(this.clock, link, host, this.#door);
    if (this.#door.isDead) {
      far.destroy();
      return near;
    }
    this.#note(channel, near, far, host);
    this.#tap(host.name, membership, near, far);
    this.#coordinator.accept(far);
    return near;
  }

  /** Until when nothing reaches `receiver` on a connection of `worker`. */
  #holeMs(worker: SimulatedHost, receiver: SimulatedHost, channel: Channel): number {
    const hole = this.#holes.get(worker.name);
    if (hole === undefined || !hole.channels.includes(channel)) return 0;
    const isMeant = hole.way === 'both' || (hole.way === 'down') === (receiver === worker);
    return isMeant ? hole.untilMs : 0;
  }

  #note(channel: Channel, near: Connection, far: Connection, ...hosts: SimulatedHost[]): void {
    for (const { name } of hosts) this.#connections.push({ name, channel, near, far });
  }

  /** Tells the faults of groups, and the test, what is said on a connection. */
  #tap(worker: string, membership: number, near: Connection, far: Connection): void {
    const faults = this.#peerFaults;
    const { onSentToWorker, onSentToCoordinator } = this.#options;
    if (faults !== undefined || onSentToWorker !== undefined)
      tapSent(far, (header) => {
        const message = parseToWorker(header, 'coordinator');
        faults?.hear(worker, message);
        onSentToWorker?.(worker, message, membership);
      });
    if (faults !== undefined || onSentToCoordinator !== undefined)
      tapSent(near, (header, payload) => {
        const message = parseToCoordinator(header, worker);
        faults?.hear(worker, message);
        onSentToCoordinator?.(worker, message, membership, payload);
      });
  }

  /** A new connection between two workers; undefined if there is nobody of this name. */
  dialPeer(from: SimulatedWorker, name: string): Connection | undefined {
    const to = this.#workers.find(({ host }) => host.name === name);
    if (to === undefined || to.host.isDead || from.host.isDead) return undefined;
    const pair = pairKey(from.host.name, name);
    if (this.#severed.has(pair)) return undefined;
    const base = this.choices.between(0.05, 2);
    const jitter = this.#options.isDisturbed ? 5 : 0;
    const link = {
      heldUntilMs: this.#heldPairs.get(pair) ?? 0,
      delayMs: () => base + this.choices.between(0, jitter),
      ...(this.isWide && {
        bytesPerMs: Math.min(this.#bytesPerMsOf(from.host), this.#bytesPerMsOf(to.host)),
        payloadScale: this.#payloadScale,
      }),
      ...(this.#isDoublingPeers && { isDoubled: () => this.choices.chance(0.05) }),
      heldTowardsMs: (receiver: SimulatedHost) =>
        Math.max(...[from.host, to.host].map((host) => this.#holeMs(host, receiver, 'peers'))),
      host: from.host,
      otherHost: to.host,
    };
    this.#links.push(link);
    const [near, far] = connectInMemory(this.clock, link, from.host, to.host);
    this.#pairConnections.push({ pair, near, far });
    this.#note('peers', near, far, from.host, to.host);
    if (!to.visit(far)) far.destroy();
    return near;
  }

  /** The same on all connections of one host. */
  #bytesPerMsOf(host: SimulatedHost): number {
    const known = this.#bytesPerMs.get(host) ?? this.choices.magnitude(1.25, 1.25e6);
    this.#bytesPerMs.set(host, known);
    return known;
  }

  /** Whether messages come twice now and then. */
  get #isDoubling(): boolean {
    const { world = 'lan', seed, isDisturbed } = this.#options;
    const isLan = world === 'lan' && isDisturbed && seed % 2 === 1;
    return world === 'wide' || world === 'even' || isLan;
  }

  /** The same between workers, where that ends the group that is adding up: seldom. */
  get #isDoublingPeers(): boolean {
    const { world, seed } = this.#options;
    return this.#isDoubling && world !== 'even' && seed % 4 === 1;
  }

  get isWide(): boolean {
    return this.#options.world === 'wide';
  }

  run(): History {
    const hungMs = HUNG_MS[this.#options.world ?? 'lan'];
    while (!this.isOver && this.clock.now() < hungMs && this.clock.step());
    if (this.#error !== undefined) throw this.#error;
    if (this.#result === undefined)
      throw new Error(
        `hung at step ${this.#coordinator.committedSteps}: ${this.faults.join('; ')}`,
      );
    const virtualMs = this.clock.now();
    // Whatever is still on its way arrives; frozen hosts thaw and find the run over. Then nothing
    // may be left.
    for (let i = 0; i < 100_000 && this.clock.step(); i++);
    this.#checkNothingIsLeft();
    return { result: this.#result, events: this.events, faults: this.faults, virtualMs };
  }

  #checkNothingIsLeft(): void {
    const open = this.#workers
      .filter(({ host }) => host.connectionCount() > 0)
      .map(({ host }) => host.name);
    if (open.length > 0) throw new Error(`connections left open by ${open.join(', ')}`);
    if (this.#door.connectionCount() > 0)
      throw new Error(`the coordinator left ${this.#door.connectionCount()} connections open`);
    if (this.clock.pendingCount() > 0)
      throw new Error(`${this.clock.pendingCount()} timers left running`);
  }

  #addWorker(name: string, atMs: number): SimulatedWorker {
    // A slow one now and then makes passes last longer than stalls do, so that late contributions
    // meet their pass.
    const isSlow = this.#options.isDisturbed && this.choices.chance(0.2);
    const isVerySlow = this.isWide && this.choices.chance(0.1);
    const slowMs = isSlow ? this.choices.between(200, 2_000) : this.choices.between(2, 40);
    const lanMs = this.#options.world === 'quick' ? slowMs / 20 : slowMs;
    const evenMs = this.#options.world === 'even' ? 1 : lanMs;
    const usualMs = this.isWide ? this.#usualMs * this.choices.between(0.5, 2) : evenMs;
    const speedMs = isVerySlow ? this.choices.magnitude(1, 600_000) : usualMs;
    const lanes = 1 + this.choices.below(this.timed === undefined ? 3 : 1);
    const worker = new SimulatedWorker(this, name, lanes, speedMs);
    this.#workers.push(worker);
    this.clock.after(atMs, () => worker.join());
    return worker;
  }

  /** What a step takes, about. */
  get #stepMs(): number {
    const { world } = this.#options;
    return world === 'quick' || world === 'even' ? 10 : 40;
  }

  /** One to six faults at random times; at least one host is left that lives. */
  #drawFaults(): void {
    const spanMs = 500 + this.#options.steps * this.#stepMs;
    const count = 1 + this.choices.below(6);
    for (let i = 0; i < count; i++) this.#drawFault(this.choices.between(0, spanMs), i);
  }

  #drawFault(atMs: number, index: number): void {
    const target = this.#workers[this.choices.below(this.#workers.length)]!;
    const durationMs = this.choices.between(100, 9_000);
    const kind = this.choices.below(9);
    const at = (what: string, action: () => void): void => {
      this.faults.push(`${atMs.toFixed(0)} ms: ${what}`);
      this.clock.after(atMs, action);
    };
    const name = target.host.name;
    if (kind === 0)
      at(`kill ${name}, a replacement joins`, () => this.#kill(target, `replacement-${index}`));
    else if (kind === 1)
      at(`freeze ${name} for ${durationMs.toFixed(0)} ms`, () =>
        this.#freeze(target.host, durationMs),
      );
    else if (kind === 2)
      at(`partition ${name} for ${durationMs.toFixed(0)} ms`, () =>
        this.#hold(target.host, durationMs),
      );
    else if (kind === 3) at(`cut the connections of ${name}`, () => target.host.cutConnections());
    else if (kind === 4) at('a worker joins late', () => void this.#addWorker(`late-${index}`, 0));
    else if (kind === 5)
      at(`freeze the coordinator for ${durationMs.toFixed(0)} ms`, () =>
        this.#freeze(this.#door, durationMs),
      );
    else if (kind === 6)
      at(`slow down ${name} for ${durationMs.toFixed(0)} ms`, () =>
        target.slowDown(20, durationMs),
      );
    else if (kind === 8)
      at(`${name} computes what is not a number, once`, () => this.#spoil(target));
    else if (this.#workers.length > 1) at(`kill ${name} for good`, () => this.#killForGood(target));
  }

  #kill(target: SimulatedWorker, replacement: string): void {
    target.host.kill();
    if (!this.isOver) this.#addWorker(replacement, this.choices.between(10, 3_000));
  }

  #killForGood(target: SimulatedWorker): void {
    const others = this.#workers.filter((worker) => worker !== target && worker.canFinish);
    if (others.length > 0) target.host.kill();
  }

  /**
   * Others put it out, if there are any: some that can be there at the end are needed then. Once in a
   * history: two machines that are wrong about the same micro-batch would confirm each other.
   */
  #spoil(target: SimulatedWorker): void {
    if (this.#workers.some((worker) => worker.wasSpoiled)) return;
    const others = this.#workers.filter((worker) => worker !== target && worker.canFinish);
    if (this.#workers.length > 1 && others.length === 0) return;
    target.spoilNext();
  }

  #freeze(host: SimulatedHost, durationMs: number): void {
    host.frozenUntilMs = Math.max(host.frozenUntilMs, this.clock.now() + durationMs);
  }

  #hold(host: SimulatedHost, durationMs: number): void {
    for (const link of this.#links)
      if (link.host === host || link.otherHost === host)
        link.heldUntilMs = this.clock.now() + durationMs;
  }

  #faultyCluster(): FaultyCluster {
    const the = (name: string, action: (worker: SimulatedWorker) => void): void => {
      const worker = this.#workers.find(({ host }) => host.name === name && !host.isDead);
      if (worker !== undefined && !this.isOver) action(worker);
    };
    return {
      names: () => this.#workers.filter(({ host }) => !host.isDead).map(({ host }) => host.name),
      steps: this.#options.steps,
      stepMs: this.#stepMs,
      isLed: this.#options.isLed ?? false,
      at: (delayMs, what, action) => {
        this.faults.push(`${(this.clock.now() + delayMs).toFixed(0)} ms: ${what}`);
        this.clock.after(delayMs, action);
      },
      kill: (name, replacement) => the(name, (worker) => this.#kill(worker, replacement)),
      killForGood: (name) => the(name, (worker) => this.#killForGood(worker)),
      freeze: (name, durationMs) => the(name, ({ host }) => this.#freeze(host, durationMs)),
      freezeCoordinator: (durationMs) => this.#freeze(this.#door, durationMs),
      join: (name) => void (this.isOver || this.#addWorker(name, 0)),
      holdCoordinator: (name, durationMs) =>
        this.#holdLinks(durationMs, (l) => l.host.name === name && l.otherHost === undefined),
      hold: (name, hole, durationMs) =>
        void this.#holes.set(name, { ...hole, untilMs: this.clock.now() + durationMs }),
      cut: (name, channel) => {
        for (const connection of this.#connections)
          if (connection.name === name && connection.channel === channel) {
            connection.near.destroy();
            connection.far.destroy();
          }
      },
      cutConnections: (name) => the(name, ({ host }) => host.cutConnections()),
      cutPair: (a, b) => this.#cutPair(a, b),
      holdPair: (a, b, durationMs) => {
        this.#heldPairs.set(pairKey(a, b), this.clock.now() + durationMs);
        this.#holdLinks(
          durationMs,
          (l) => pairKey(l.host.name, l.otherHost?.name) === pairKey(a, b),
        );
      },
      severPair: (a, b) => {
        this.#severed.add(pairKey(a, b));
        this.#cutPair(a, b);
      },
    };
  }

  #holdLinks(durationMs: number, isMeant: (link: Link) => boolean): void {
    for (const link of this.#links.filter(isMeant))
      link.heldUntilMs = this.clock.now() + durationMs;
  }

  #cutPair(a: string, b: string): void {
    for (const { pair, near, far } of this.#pairConnections) {
      if (pair !== pairKey(a, b)) continue;
      near.destroy();
      far.destroy();
    }
  }
}

/** Of two workers, whoever of them dials. */
function pairKey(a: string, b: string | undefined): string {
  return a < (b ?? '') ? `${a} ${b}` : `${b} ${a}`;
}
