/**
 * A whole cluster in one process on virtual time: the real coordinator and worker state machines
 * over an in-memory network, with faults drawn from a seed. Every history can be run again by its
 * seed.
 */
import { type Clock, ManualClock, type Timer } from '../../src/base/clock.ts';
import type { LockstepError } from '../../src/base/errors.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import type { RunResult } from '../../src/coordinator/coordinator-options.ts';
import type { Reporter } from '../../src/coordinator/reporter.ts';
import type { RunPlan } from '../../src/plan/run-plan.ts';
import { sampleRange } from '../../src/data/batches.ts';
import { makeOptimizerSpec } from '../../src/optim/spec.ts';
import { DEFAULT_TIMING } from '../../src/membership/timing.ts';
import type { RunEvent } from '../../src/metrics/events.ts';
import { type Hello, parseToWorker, type ToWorker } from '../../src/protocol/messages.ts';
import type { Engine, EngineHandlers } from '../../src/runtime/engine.ts';
import { type Connection, GREETING_LIMITS } from '../../src/transport/connection.ts';
import {
  connectInMemory,
  SimulatedHost,
  type SimulatedLink,
} from '../../src/transport/memory-network.ts';
import type { WorkerEnd } from '../../src/worker/worker-options.ts';
import { Worker } from '../../src/worker/worker.ts';
import { Babbler } from './babbler.ts';
import { Choices } from './choices.ts';
import {
  ELEMENTS,
  initialTensors,
  SimulatedEngine,
  STATE_BYTES,
  TENSOR_COUNT,
  TENSOR_LENGTH,
} from './simulated-engine.ts';

const HEARTBEAT_MS = 250;
const REJOIN_MS = 500;
/** Virtual time after which a run that has not finished counts as hung. */
const HUNG_MS = { lan: 20 * 60_000, quick: 20 * 60_000, wide: 48 * 3_600_000 };

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
   * messages that come twice; `quick`: as `lan`, with micro-batches of at most two milliseconds;
   * `lan` if absent.
   */
  readonly world?: 'lan' | 'quick' | 'wide';
  /** Members that say anything at any time, besides the workers; 0 if absent. */
  readonly babblers?: number;
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
  /** Hears of every message that the coordinator sends, at the moment of sending. */
  readonly onSentToWorker?: (worker: string, message: ToWorker) => void;
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
  return {
    job: {
      runId: `history-${options.seed}`,
      seed: 1,
      dataset: {},
      dataDigest: 'data',
      task: 'classification',
      featureCount: 1,
      targetCount: 1,
      microBatch: TRAIN.microBatch,
      globalBatch: TRAIN.globalBatch,
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
    totalSteps: options.steps,
    train: TRAIN,
    evaluate: EVALUATE,
    passesPerEpoch: 1,
    evaluateEvery: options.evaluateEvery ?? 4,
    update: { optimizer: makeOptimizerSpec('momentum'), schedule: SCHEDULE },
    schedule: SCHEDULE,
    units: { step: 'step', part: 'micro-batch', lanesPerPart: 'one' },
    minWorkers: options.workers,
    auditRate: options.auditRate ?? 0,
    stopOnDivergence: false,
    gatherMs: 10_000,
    snapshotMs: options.snapshotMs ?? 2_000,
  };
}

class SimulatedWorker {
  readonly host: SimulatedHost;
  readonly clock: HostClock;
  readonly lanes: number;
  readonly #cluster: SimulatedCluster;
  readonly #speedMs: number;
  #slow = { factor: 1, untilMs: 0 };
  #isSpoiling = false;
  #wasSpoiled = false;
  #worker: Worker | undefined;
  #engine: SimulatedEngine | undefined;
  #beat: Timer | undefined;
  lastEnd: WorkerEnd | undefined;

  constructor(cluster: SimulatedCluster, name: string, lanes: number, speedMs: number) {
    this.#cluster = cluster;
    this.host = new SimulatedHost(name);
    this.clock = new HostClock(cluster.clock, this.host);
    this.lanes = lanes;
    this.#speedMs = speedMs;
  }

  join(): void {
    if (this.host.isDead) return;
    if (this.#cluster.isOver) return;
    const connection = this.#cluster.dial(this.host);
    this.#worker = new Worker(connection, {
      identity: {
        workerId: this.host.name,
        host: this.host.name,
        rank: null,
        processId: 1,
        lanes: this.lanes,
        software: 'simulation',
      },
      clock: this.clock,
      createEngine: (_job, _files, handlers) => {
        const create = (inner: EngineHandlers): Engine => this.#createEngine(inner);
        const engine = this.#cluster.wrapEngine?.(create, handlers) ?? create(handlers);
        return {
          whenReady: (ready) => {
            this.clock.after(this.#cluster.choices.between(50, 400), () =>
              ready(engine, { dataDigest: 'data', numericsClass: 'one' }),
            );
          },
        };
      },
      openConnection: (opened) => {
        const data = this.#cluster.dial(this.host);
        this.clock.after(0, () => opened(data));
      },
      startHeartbeat: (hello) => this.#startHeartbeat(hello),
      onWelcome: () => {},
      onEnd: (end) => this.#rejoin(end),
    });
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
    return this.clock.now() < this.#slow.untilMs ? this.#slow.factor : 1;
  }

  #createEngine(handlers: EngineHandlers): Engine {
    this.#engine = new SimulatedEngine({
      clock: this.clock,
      lanes: this.lanes,
      handlers,
      alter: (gradient, step) => this.#alter(gradient, step),
      flips: (updates) => this.#cluster.flips(this.host.name, updates),
      computeMs: () => this.#cluster.choices.between(0.5, 1.5) * this.#speedMs * this.#slowness(),
      samplesOf: (plan, microBatch) =>
        plan.work === 'train'
          ? sampleRange(TRAIN, plan.stepInEpoch, microBatch).count
          : sampleRange(EVALUATE, 0, microBatch).count,
    });
    return this.#engine;
  }

  #startHeartbeat(hello: Hello): void {
    const connection = this.#cluster.dial(this.host);
    const engineOf = (): number => this.#engine?.progress ?? 0;
    connection.limits = GREETING_LIMITS;
    connection.handlers = {
      onFrame: () => {},
      onClose: () => this.#worker?.lose('heartbeat connection closed'),
    };
    connection.send(hello);
    const beat = (): void => {
      const busyLanes = this.#engine?.busyLanes ?? 0;
      connection.send({ kind: 'heartbeat', progress: engineOf(), busyLanes });
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
    if (end.kind === 'disconnected') this.clock.after(REJOIN_MS, () => this.join());
  }
}

/** Tells `onSent` every header that is sent at this end of a connection. */
function tapSent(connection: Connection, onSent: (header: object) => void): void {
  const send = connection.send.bind(connection);
  connection.send = (header, payload, onFlushed) => {
    onSent(header);
    send(header, payload, onFlushed);
  };
}

export class SimulatedCluster {
  readonly clock = new ManualClock();
  readonly choices: Choices;
  readonly events: RunEvent[] = [];
  readonly faults: string[] = [];
  readonly #options: HistoryOptions;
  readonly #door = new SimulatedHost('coordinator');
  readonly #coordinator: Coordinator;
  readonly #workers: SimulatedWorker[] = [];
  readonly #links: (SimulatedLink & { readonly host: SimulatedHost })[] = [];
  readonly #bytesPerMs = new Map<SimulatedHost, number>();
  /** Of a wide world: its state of 256 bytes stands for up to a quarter of a megabyte. */
  readonly #payloadScale: number;
  /** Of a wide world: what a micro-batch takes most workers. */
  readonly #usualMs: number;
  #result: RunResult | undefined;
  #error: LockstepError | undefined;
  #sessions = 0;

  constructor(options: HistoryOptions) {
    this.#options = options;
    this.choices = new Choices(options.seed);
    this.#payloadScale = this.isWide ? this.choices.magnitude(1, 1_000) : 1;
    this.#usualMs = this.isWide ? this.choices.magnitude(1, 2_000) : 0;
    this.#coordinator = new Coordinator({
      plan: makeSimulatedPlan(options),
      bytes: { jobFiles: new Uint8Array(0), given: initialTensors() },
      clock: new HostClock(this.clock, this.#door),
      timing: DEFAULT_TIMING,
      newSession: () => `session-${this.#sessions++}`,
      onEvent: (event) => void this.events.push(event),
      onFinished: (result) => void (this.#result = result),
      onFailed: (error) => void (this.#error = error),
      ...(options.reporter !== undefined && { reporter: options.reporter }),
    });
    for (let i = 0; i < options.workers; i++) this.#addWorker(`worker-${i}`, 0);
    for (let i = 0; i < (options.babblers ?? 0); i++)
      new Babbler(this, `babbler-${i}`).start(this.choices.between(0, 2_000));
    if (options.isDisturbed) this.#drawFaults();
  }

  get wrapEngine(): EngineWrapper | undefined {
    return this.#options.wrapEngine;
  }

  alterOf(name: string): ((gradient: Float32Array, step: number) => void) | undefined {
    return this.#options.liar?.(name);
  }

  flips(name: string, updates: number): boolean {
    return this.#options.flip?.(name, updates) ?? false;
  }

  get isOver(): boolean {
    return this.#result !== undefined || this.#error !== undefined;
  }

  /** A new connection from `host` to the coordinator; the coordinator sees it a little later. */
  dial(host: SimulatedHost): Connection {
    const base = this.choices.between(0.05, 2);
    const jitter = this.#options.isDisturbed ? 5 : 0;
    const link = {
      heldUntilMs: 0,
      delayMs: () => base + this.choices.between(0, jitter),
      ...(this.isWide && {
        bytesPerMs: this.#bytesPerMsOf(host),
        payloadScale: this.#payloadScale,
        isDoubled: () => this.choices.chance(0.05),
      }),
      host,
    };
    this.#links.push(link);
    const [near, far] = connectInMemory(this.clock, link, host, this.#door);
    const { onSentToWorker } = this.#options;
    if (onSentToWorker !== undefined)
      tapSent(far, (header) => onSentToWorker(host.name, parseToWorker(header, 'coordinator')));
    this.#coordinator.accept(far);
    return near;
  }

  /** The same on all connections of one host. */
  #bytesPerMsOf(host: SimulatedHost): number {
    const known = this.#bytesPerMs.get(host) ?? this.choices.magnitude(1.25, 1.25e6);
    this.#bytesPerMs.set(host, known);
    return known;
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
    const usualMs = this.isWide ? this.#usualMs * this.choices.between(0.5, 2) : lanMs;
    const speedMs = isVerySlow ? this.choices.magnitude(1, 600_000) : usualMs;
    const worker = new SimulatedWorker(this, name, 1 + this.choices.below(3), speedMs);
    this.#workers.push(worker);
    this.clock.after(atMs, () => worker.join());
    return worker;
  }

  /** One to six faults at random times; at least one host is left that lives. */
  #drawFaults(): void {
    const stepMs = this.#options.world === 'quick' ? 10 : 40;
    const spanMs = 500 + this.#options.steps * stepMs;
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
      if (link.host === host) link.heldUntilMs = this.clock.now() + durationMs;
  }
}
