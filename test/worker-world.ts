/** A worker whose coordinator, engine and peers are the test. */
import { ManualClock } from '../src/base/clock.ts';
import type { Collective, CollectiveOptions } from '../src/collectives/collective.ts';
import {
  type Grant,
  type Group,
  type MicroBatchRecord,
  parseToCoordinator,
  type ToCoordinator,
  type ToWorker,
} from '../src/protocol/messages.ts';
import { PEER_PROTOCOL, type PeerHello, type PeerRequest } from '../src/protocol/peer-messages.ts';
import type { Engine, EngineAttempt, EngineHandlers, GroupSeat } from '../src/runtime/engine.ts';
import type { Connection } from '../src/transport/connection.ts';
import { connectInMemory, SimulatedHost } from '../src/transport/memory-network.ts';
import type { Door } from '../src/protocol/peer-messages.ts';
import type { PeerNetwork } from '../src/worker/peer-network.ts';
import type { WorkerEnd } from '../src/worker/worker-options.ts';
import { Worker } from '../src/worker/worker.ts';
import { makeTestPlan } from './scripted-worker.ts';

export const STATE: Uint8Array = new Uint8Array([1, 2, 3, 4]);
/** Of micro-batch 0. */
export const RECORD: MicroBatchRecord = {
  microBatch: 0,
  sampleCount: 2,
  lossSum: 1,
  correctSum: 0,
  maxima: [1],
  checksum: 1,
  weightsChecksum: 1,
  computeMs: 1,
};

/** An engine that writes down what it is told, and is done when the test says so. */
class ListedEngine implements Engine {
  readonly calls: string[] = [];
  state: Uint8Array = STATE.slice();
  /** Where another state comes in, if it is given. */
  stateMemory: Uint8Array | undefined;
  isClosed = false;
  /** To be called when it has ended what it did for a group. */
  halted: () => void = () => {};

  begin({ pass, leases }: Parameters<Engine['begin']>[0]): void {
    this.calls.push(`begin ${pass}: ${leases.join(' ')}`);
  }
  extend(microBatches: readonly number[]): void {
    this.calls.push(`extend ${microBatches.join(' ')}`);
  }
  release(count: number): number[] {
    this.calls.push(`release ${count}`);
    return [3];
  }
  audit(microBatches: readonly number[], done: Parameters<Engine['audit']>[1]): void {
    this.calls.push(`audit ${microBatches.join(' ')}`);
    done([]);
  }
  apply({ step }: { step: number }, _: unknown, done: (norms: readonly number[]) => void): void {
    this.calls.push(`apply ${step}`);
    done([step]);
  }
  follow({ step, updates }: Grant, seat?: GroupSeat): void {
    const where = seat === undefined ? '' : `, in place ${seat.place} of ${seat.common.size}`;
    this.calls.push(`follow ${step}: ${updates.length}${where}`);
  }
  halt(generation: number, done: () => void): void {
    this.calls.push(`halt ${generation}`);
    this.halted = done;
  }
  importState(bytes: Uint8Array): void {
    this.calls.push(`import ${bytes.length} bytes`);
  }
  exportState(done: (bytes: Uint8Array) => void): void {
    this.calls.push('export');
    done(this.state);
  }
  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    done('w', 's');
  }
  totalsTarget(): undefined {
    return undefined;
  }
  stateTarget(): Uint8Array | undefined {
    return this.stateMemory;
  }
  close(): void {
    this.isClosed = true;
  }
}

const NOTHING = new Uint8Array(0);

type GrantedTo = NonNullable<NonNullable<Grant['start']>['group']>;

/** A sum that the worker has begun to add up, which the test finishes. */
export interface BegunSum {
  readonly pass: number;
  readonly own: Uint8Array;
  readonly done: (total: Uint8Array) => void;
}

/** Neighbours in a ring: both are there, and agree to everything once the next one has knocked. */
class ListedPeers implements PeerNetwork {
  readonly doors = (): readonly Door[] => [{ host: 'worker', port: 1 }];
  readonly sums: BegunSum[] = [];
  readonly #clock: ManualClock;
  #take: ((connection: Connection) => void) | undefined;
  #onVisit: (() => void) | undefined;
  /** The place of the worker whose next one has knocked, until those before are connected. */
  #visited: number | undefined;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  connect(_: unknown, opened: (connection: Connection) => void): void {
    const [near, far] = this.#dial();
    let isChosen = false;
    this.#onVisit = undefined;
    far.handlers = {
      onFrame: (header) => {
        const said = header as PeerHello | PeerRequest;
        if (said.kind === 'hello') far.send({ kind: 'welcome', generation: said.generation });
        else if (said.kind === 'probe') far.send({ kind: 'probed' }, new Uint8Array(said.bytes));
        else isChosen = true;
        if (isChosen) this.#goOn(far);
      },
      onClose: () => {},
    };
    this.#onVisit = () => {
      if (isChosen) this.#goOn(far);
    };
    opened(near);
  }

  onVisitor(take: (connection: Connection) => void): void {
    this.#take = take;
  }

  /** Whether memory is lent that all have in common. */
  hasMemory = false;
  isLent = false;
  isClosed = false;

  makeCollective(_: unknown, { index, size, byteLength }: CollectiveOptions): Collective {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    return {
      reduce: (pass, own, done) => void this.sums.push({ pass, own: own.slice(), done }),
      lend: () => {
        if (!this.hasMemory) return undefined;
        this.isLent = true;
        const giveBack = (): void => void (this.isLent = false);
        return { common: { index, size, byteLength, memory }, giveBack };
      },
      close: () => {
        this.isClosed = true;
        this.sums.splice(0);
      },
    };
  }

  /** The worker after this one knocks. */
  visit({ generation, secret, index, size }: Group): void {
    const [near, far] = this.#dial();
    this.#take?.(near);
    const hello = { kind: 'hello', protocol: PEER_PROTOCOL.version, channel: 'peer' } as const;
    far.send({ ...hello, generation, secret, index: (index + 1) % size } satisfies PeerHello);
    far.send({ kind: 'chosen' } satisfies PeerRequest);
    this.#visited = index;
    this.#onVisit?.();
  }

  /** All before the worker are connected, once the worker after it has knocked. */
  #goOn(previous: Connection): void {
    if (this.#visited === undefined) return;
    previous.send({ kind: 'connected' });
    if (this.#visited > 0) previous.send({ kind: 'begin' });
    this.#visited = undefined;
  }

  #dial(): readonly [Connection, Connection] {
    const hosts = [new SimulatedHost('worker'), new SimulatedHost('peer')] as const;
    return connectInMemory(this.#clock, { delayMs: () => 1, heldUntilMs: 0 }, ...hosts);
  }
}

/** A worker whose coordinator is the test: it has been welcomed, and its engine is ready. */
export function createWorkerWorld() {
  const clock = new ManualClock();
  const hosts = [new SimulatedHost('worker'), new SimulatedHost('coordinator')] as const;
  const engine = new ListedEngine();
  const peers = new ListedPeers(clock);
  const received: { readonly message: ToCoordinator; readonly payload: Uint8Array }[] = [];
  const ends: WorkerEnd[] = [];
  const far: Connection[] = [];
  const near: Connection[] = [];
  let handlers: EngineHandlers | undefined;
  const dial = (): Connection => {
    const [own, other] = connectInMemory(clock, { delayMs: () => 1, heldUntilMs: 0 }, ...hosts);
    other.limits = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 1 << 20 };
    other.handlers = {
      onFrame: (header, payload) =>
        void received.push({ message: parseToCoordinator(header, 'worker'), payload }),
      onClose: () => {},
    };
    far.push(other);
    near.push(own);
    return own;
  };
  const identity = { workerId: 'w', host: 'h', rank: null, processId: 1, lanes: 1, software: 's' };
  const worker = new Worker(dial(), {
    identity,
    clock,
    createEngine: (_job, _files, given) => {
      handlers = given;
      const profile = { dataDigest: 'd', numericsClass: 'one' };
      return { whenReady: (ready) => void clock.after(3, () => ready(engine, profile)) };
    },
    openConnection: (opened) => opened(dial()),
    peers,
    startHeartbeat: () => {},
    onWelcome: () => {},
    onEnd: (end) => void ends.push(end),
  });
  const [control] = far as [Connection];
  const { job } = makeTestPlan();
  control.send({
    kind: 'welcome',
    session: 'session',
    rank: 4,
    job,
    reach: { isOpen: false, key: null },
  } satisfies ToWorker);
  clock.advance(10);
  const data = far[1]!;
  const send = (connection: Connection, message: ToWorker, payload?: Uint8Array): void => {
    connection.send(message, payload);
    clock.advance(5);
  };
  const plan = (pass: number, step: number, leases: readonly number[]): void =>
    send(control, {
      kind: 'plan',
      pass,
      work: 'train',
      step,
      epoch: 0,
      stepInEpoch: 0,
      leases: [...leases],
      exponents: [0],
      reduction: 'star',
    });
  const commit = (step: number): void => {
    const update = { sampleCount: 1, scalars: {} };
    send(data, { kind: 'commit', pass: 1, step, exponents: [0], update });
  };
  /** So many steps of two micro-batches; a run of them begins with `pass`. */
  const grant = (step: number, count: number, pass?: number, group?: GrantedTo): void => {
    const updates = Array.from({ length: count }, () => ({ sampleCount: 4, scalars: {} }));
    const size = { maxima: [1], stepsPerEpoch: 100 };
    const start = pass === undefined ? undefined : { pass, ...size, ...(group && { group }) };
    send(data, { kind: 'grant', step, updates, ...(start && { start }) });
  };
  /** The engine is done with micro-batches, or both, of a step that was granted. */
  const finish = (pass: number, microBatches = [0, 1], sum: Uint8Array = NOTHING): void => {
    const records = microBatches.map((microBatch) => ({ ...RECORD, microBatch }));
    handlers?.onDone(pass, records, sum);
    clock.advance(5);
  };
  /** The engine has done an attempt at a step that was granted to the worker alone. */
  const attempt = (pass: number): void => {
    const records = [0, 1].map((microBatch) => ({ ...RECORD, microBatch }));
    attempted([{ pass, records, busyMs: 1, elapsedMs: 1, updateMs: 0.5, norms: [] }]);
  };
  /** The same of any attempts. */
  const attempted = (attempts: readonly EngineAttempt[]): void => {
    handlers?.onAttempted(attempts);
    clock.advance(5);
  };
  /** It is one of a group, which stands then. */
  const form = (group: Group): void => {
    send(control, group);
    peers.visit(group);
    clock.advance(20);
  };
  let serial = 0;
  const state = (step: number): void =>
    send(data, { kind: 'state', step, serial: ++serial }, STATE);
  /** The header of a state has come, and its bytes not yet: where they are put. */
  const announceState = (): Uint8Array | undefined =>
    near[1]?.handlers.payloadTarget?.({ kind: 'state' }, STATE.length);
  const kinds = (): string[] => received.map(({ message }) => message.kind);
  const last = (): ToCoordinator | undefined => received.at(-1)?.message;
  const told = { received, kinds, last };
  return {
    clock,
    worker,
    engine,
    control,
    data,
    ends,
    send,
    plan,
    commit,
    grant,
    finish,
    attempt,
    attempted,
    form,
    peers,
    state,
    announceState,
    handlers,
    ...told,
  };
}
