/**
 * A worker that does what a test says, message by message, and a run plan small enough to follow by
 * hand. For tests of the coordinator's half on a manual clock.
 */
import type { Clock, ManualClock, Timer } from '../src/base/clock.ts';
import { makeOptimizerSpec } from '../src/optim/spec.ts';
import type { PlanBytes, RunPlan } from '../src/plan/run-plan.ts';
import {
  type Hello,
  type MicroBatchRecord,
  parseToWorker,
  PROTOCOL_VERSION,
  type ToCoordinator,
  type ToWorker,
} from '../src/protocol/messages.ts';
import type { Door } from '../src/protocol/peer-messages.ts';
import type { Connection } from '../src/transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../src/transport/memory-network.ts';

export const DATA_DIGEST = 'the data';
/** Elements of the one tensor; its gradient sum has as many. */
export const ELEMENTS = 4;
/** The plan has no files, and its state begins with zeros. */
export const NO_BYTES: PlanBytes = { jobFiles: new Uint8Array(0), given: [] };
const SCHEDULE = { kind: 'constant', learningRate: 0.1, warmupSteps: 0 } as const;
const BEAT_MS = 250;
const LINK_MS = 1;

/** Eight micro-batches of two samples per step, two steps, nothing evaluated. */
export function makeTestPlan(changes: Partial<RunPlan> = {}): RunPlan {
  return {
    job: {
      runId: 'test',
      seed: 1,
      dataset: {},
      dataDigest: DATA_DIGEST,
      task: 'regression',
      featureCount: 1,
      targetCount: 1,
      microBatch: 2,
      globalBatch: 16,
      evaluateMicroBatch: 2,
      parameters: [{ name: 'tensor', shape: [ELEMENTS], statisticMomentum: null }],
      masks: [],
      optimizer: {},
      clipNorm: null,
      tracksNorms: false,
      isAudited: false,
      strategy: { kind: 'sync' },
      trainBytes: 0,
      evaluateBytes: 0,
    },
    initial: [{ kind: 'constant', value: 0 }],
    stateBytes: 4 * ELEMENTS,
    collective: 'star',
    sumElements: ELEMENTS,
    totalSteps: 2,
    train: { sampleCount: 32, globalBatch: 16, microBatch: 2 },
    passesPerEpoch: 1,
    evaluateEvery: 1,
    update: { optimizer: makeOptimizerSpec('sgd'), schedule: SCHEDULE },
    schedule: SCHEDULE,
    units: { step: 'step', part: 'micro-batch', lanesPerPart: 'one' },
    minWorkers: 1,
    auditRate: 0,
    stopOnDivergence: false,
    gatherMs: 10_000,
    snapshotMs: 1e9,
    ...changes,
  };
}

/**
 * A view of time that can be stopped, as by a laptop's lid: what falls due meanwhile happens on
 * waking up.
 */
export class SleepyClock implements Clock {
  readonly #clock: ManualClock;
  #asleepUntilMs = 0;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  sleep(durationMs: number): void {
    this.#asleepUntilMs = this.#clock.now() + durationMs;
  }

  now(): number {
    return this.#clock.now();
  }

  after(delayMs: number, action: () => void): Timer {
    let current: Timer;
    const attempt = (): void => {
      const waitMs = this.#asleepUntilMs - this.#clock.now();
      if (waitMs > 0) current = this.#clock.after(waitMs, attempt);
      else action();
    };
    current = this.#clock.after(delayMs, attempt);
    return { cancel: () => current.cancel() };
  }
}

/** Where workers knock. */
export interface RunDoor {
  readonly clock: ManualClock;
  readonly host: SimulatedHost;
  accept(connection: Connection): void;
}

type Kinds = ToWorker['kind'];

export class ScriptedWorker {
  readonly host: SimulatedHost;
  readonly workerId: string;
  /** All that it was told, in order of arrival. */
  readonly received: ToWorker[] = [];
  /** Channels whose connection has ended. */
  readonly ended: string[] = [];
  progress = 0;
  busyLanes = 0;
  receivedBytes = 0;
  /** Answers to its heartbeats, as it says; nothing if undefined. */
  echoes: number | undefined;
  /** What it says of its state when it is asked; nothing if undefined. */
  stateDigest: string | undefined = 's';
  /** Where other workers reach it; nowhere if empty. */
  doors: readonly Door[] = [];
  control: Connection | undefined;
  data: Connection | undefined;
  heartbeat: Connection | undefined;
  readonly #door: RunDoor;
  readonly #lanes: number;
  #beat: Timer | undefined;

  constructor(door: RunDoor, workerId: string, lanes = 1) {
    this.#door = door;
    this.#lanes = lanes;
    this.workerId = workerId;
    this.host = new SimulatedHost(workerId);
  }

  /** Goes through all of joining, up to being ready; beats until told otherwise. */
  join(): this {
    this.connect();
    const doors = this.doors.length === 0 ? {} : { doors: [...this.doors] };
    this.say({ kind: 'ready', dataDigest: DATA_DIGEST, numericsClass: 'one', loadMs: 1, ...doors });
    this.#wait();
    return this;
  }

  /** Is welcomed and has its three connections. */
  connect(): void {
    this.control = this.dial('control', this.hello('control', ''));
    this.#wait();
    const { session } = this.last('welcome')!;
    this.data = this.dial('data', this.hello('data', session));
    this.heartbeat = this.dial('heartbeat', this.hello('heartbeat', session));
    this.startBeating();
    this.#wait();
  }

  /** A new connection that begins with `first`. */
  dial(channel: string, first?: object, payload?: Uint8Array): Connection {
    const link = { delayMs: () => LINK_MS, heldUntilMs: 0 };
    const [near, far] = connectInMemory(this.#door.clock, link, this.host, this.#door.host);
    near.limits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };
    near.handlers = {
      onFrame: (header) => {
        const message = parseToWorker(header, 'coordinator');
        this.received.push(message);
        if (message.kind === 'sendDigest') this.#sayDigest(near, message);
      },
      onClose: () => {
        this.ended.push(channel);
        if (channel === 'heartbeat') this.stopBeating();
      },
    };
    this.#door.accept(far);
    if (first !== undefined) near.send(first, payload);
    return near;
  }

  hello(channel: Hello['channel'], session: string, changes: Partial<Hello> = {}): Hello {
    return {
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      channel,
      session,
      workerId: this.workerId,
      host: this.workerId,
      processId: 1,
      lanes: this.#lanes,
      software: 'scripted 1.2.3',
      rank: null,
      ...changes,
    };
  }

  say(message: ToCoordinator): void {
    this.control?.send(message);
  }

  /** Finishes `microBatches` of the last plan; without them, all that were leased in it. */
  contribute(
    changes: {
      microBatches?: readonly number[];
      payload?: Uint8Array;
      record?: Partial<MicroBatchRecord>;
      /** Busy with something else besides. */
      besidesMs?: number;
    } = {},
  ): void {
    const plan = this.last('plan')!;
    const microBatches = changes.microBatches ?? this.leases();
    const isSummed = plan.work === 'train' && plan.reduction === 'star';
    const records = microBatches.map((microBatch) => ({
      microBatch,
      sampleCount: 2,
      lossSum: 1,
      correctSum: 0,
      maxima: plan.work === 'train' ? [1] : [],
      computeMs: 10,
      ...changes.record,
    }));
    this.progress += microBatches.length;
    const { besidesMs = 0 } = changes;
    const busyMs = records.reduce((sum, { computeMs }) => sum + computeMs, besidesMs);
    this.data?.send(
      { kind: 'contribution', pass: plan.pass, records, busyMs },
      changes.payload ?? (isSummed ? new Uint8Array(4 * ELEMENTS) : undefined),
    );
  }

  /** Finishes micro-batches, all eight unless given, in a pass of which it has no plan. */
  contributeTo(
    pass: number,
    microBatches: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7],
    changes: Partial<MicroBatchRecord> = {},
  ): void {
    const results = { lossSum: 1, correctSum: 0, maxima: [1], computeMs: 1, ...changes };
    const records = microBatches.map((microBatch) => {
      return { microBatch, sampleCount: 2, ...results };
    });
    this.progress += records.length;
    this.data?.send({ kind: 'contribution', pass, records, busyMs: 8 });
  }

  /** Answers what it was last asked to compute for comparison. */
  answerAudit(record: Partial<MicroBatchRecord> = {}): void {
    const { pass, microBatches } = this.last('audit')!;
    const records = microBatches.map((microBatch) => {
      const results = { lossSum: 1, correctSum: 0, maxima: [1], computeMs: 10, ...record };
      return { microBatch, sampleCount: 2, ...results };
    });
    this.say({ kind: 'audited', pass, records });
  }

  /** What the last plan and the messages after it have leased to it. */
  leases(): number[] {
    const plan = this.last('plan');
    if (plan === undefined) return [];
    const more = this.all('lease').filter(({ pass }) => pass === plan.pass);
    return [...plan.leases, ...more.flatMap(({ microBatches }) => microBatches)];
  }

  all<K extends Kinds>(kind: K): Extract<ToWorker, { kind: K }>[] {
    return this.received.filter(
      (message): message is Extract<ToWorker, { kind: K }> => message.kind === kind,
    );
  }

  last<K extends Kinds>(kind: K): Extract<ToWorker, { kind: K }> | undefined {
    return this.all(kind).at(-1);
  }

  startBeating(): void {
    const { progress, busyLanes, receivedBytes, echoes } = this;
    this.heartbeat?.send({ kind: 'heartbeat', progress, busyLanes, receivedBytes, echoes });
    this.#beat = this.#door.clock.after(BEAT_MS, () => this.startBeating());
  }

  /** Goes silent. */
  stopBeating(): void {
    this.#beat?.cancel();
  }

  #sayDigest(data: Connection, { step, ask }: { step: number; ask: number }): void {
    const { stateDigest } = this;
    if (stateDigest !== undefined)
      data.send({ kind: 'digest', step, ask, weightsDigest: 'w', stateDigest });
  }

  #wait(): void {
    this.#door.clock.advance(4 * LINK_MS);
  }
}
