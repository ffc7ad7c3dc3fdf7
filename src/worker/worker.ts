/**
 * The worker: does what the coordinator's messages say, in whatever order its connections deliver
 * them.
 *
 * It knows which state (after so many updates) its engine has or will have, a plan that waits for a
 * state or is being computed, and commits that wait for their turn. `#advance` looks at these and
 * gives the engine what is next.
 */
import type { Clock } from '../base/clock.ts';
import { type LockstepError, ProtocolError } from '../base/errors.ts';
import {
  type Commit,
  type Hello,
  type Job,
  type MicroBatchRecord,
  parseToWorker,
  type Plan,
  PROTOCOL_VERSION,
  type ToCoordinator,
  type ToWorker,
} from '../protocol/messages.ts';
import type { Engine, EngineFactory } from '../runtime/engine.ts';
import type { Connection } from '../transport/connection.ts';

/** Who this worker is; the same over reconnections. */
export type WorkerIdentity = Pick<
  Hello,
  'workerId' | 'host' | 'rank' | 'processId' | 'lanes' | 'device' | 'software'
>;

/** What the worker needs from the process around it. */
export interface WorkerOptions {
  readonly identity: WorkerIdentity;
  readonly clock: Clock;
  readonly createEngine: EngineFactory;
  /**
   * Opens another connection to the same coordinator; calls back with it, or not at all if that
   * fails.
   */
  readonly openConnection: (opened: (connection: Connection) => void) => void;
  /** Starts beating on a connection of its own, from a thread of its own. */
  readonly startHeartbeat: (hello: Hello) => void;
  readonly onWelcome: (rank: number, job: Job) => void;
  /** Told once: refused for good, dismissed, or failed. The connections are closed. */
  readonly onEnd: (end: WorkerEnd) => void;
}

export type WorkerEnd =
  | { readonly kind: 'dismissed'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }
  /** It may join again; `wasRefused`: somebody was there, and said so. */
  | { readonly kind: 'disconnected'; readonly reason: string; readonly wasRefused?: boolean }
  | { readonly kind: 'failed'; readonly error: LockstepError };

interface PendingCommit {
  readonly commit: Commit;
  readonly totals: Uint8Array | undefined;
}

/** The welcome carries the compiled steps, with everything that is frozen in them. */
const WELCOME_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 2 ** 31 - 1 };
const CONTROL_LIMITS = { maxHeaderBytes: 4 << 20, maxPayloadBytes: 0 };
const DATA_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 2 ** 31 - 1 };
/** Commits that may wait while a lane finishes a micro-batch that others have taken over. */
const MAX_WAITING_COMMITS = 256;

const NOTHING = new Uint8Array(0);

export class Worker {
  readonly #options: WorkerOptions;
  readonly #control: Connection;
  #data: Connection | undefined;
  #engine: Engine | undefined;
  #isOver = false;
  /** Updates given to the engine and not applied yet. */
  #applying = 0;
  /** Updates in the state; undefined without a state. */
  #step: number | undefined;
  #newState: { step: number; bytes: Uint8Array } | undefined;
  #plan: Plan | undefined;
  #begunPass = -1;
  #commits: PendingCommit[] = [];
  /** Contributions whose bytes are not all on their way yet, and leases that wait for that. */
  #unflushed = 0;
  #waitingLeases: number[] = [];
  /** Audits of the plan that is not begun yet. */
  #waitingAudits: number[] = [];
  /** Exported states that are not all sent yet: their bytes lie where a new state could come in. */
  #statesOnTheirWay = 0;
  #stateRequest: number | undefined;
  #digestRequest: number | undefined;
  #begunMs = 0;

  constructor(control: Connection, options: WorkerOptions) {
    this.#control = control;
    this.#options = options;
    control.limits = WELCOME_LIMITS;
    control.handlers = {
      onFrame: (header, payload) =>
        this.#receiveControl(parseToWorker(header, control.peer), payload),
      onClose: (error) =>
        this.#end({
          kind: 'disconnected',
          reason: error?.message ?? 'the coordinator closed the connection',
        }),
    };
    control.send(this.#hello('control', ''));
  }

  /** Ends the worker from inside, e.g. on Ctrl-C. */
  stop(reason: string): void {
    this.#say(this.#control, { kind: 'failed', reason });
    this.#end({ kind: 'dismissed', reason });
  }

  /** Ends the worker because its heartbeat is not answered. */
  disconnect(reason: string): void {
    this.#end({ kind: 'disconnected', reason });
  }

  #hello(channel: Hello['channel'], session: string): Hello {
    return {
      kind: 'hello',
      protocol: PROTOCOL_VERSION,
      channel,
      session,
      ...this.#options.identity,
    };
  }

  // ---- messages ----

  #receiveControl(message: ToWorker, payload: Uint8Array): void {
    if (this.#isOver) return;
    switch (message.kind) {
      case 'welcome':
        return this.#load(message, payload);
      case 'refused':
        return this.#end(
          message.isForNow === true
            ? { kind: 'disconnected', reason: message.reason, wasRefused: true }
            : { kind: 'refused', reason: message.reason },
        );
      case 'goodbye':
        return this.#end({ kind: 'dismissed', reason: message.reason });
      case 'plan':
        // The same pass again: the coordinator has taken this worker back in, and its old leases
        // are void.
        if (message.pass === this.#begunPass) this.#begunPass = -1;
        this.#plan = message;
        this.#waitingAudits = [];
        return this.#advance();
      case 'lease':
        return this.#extend(message.pass, message.microBatches);
      case 'audit':
        return this.#audit(message.pass, message.microBatches);
      case 'release':
        return this.#release(message.pass, message.count);
      case 'commit':
      case 'state':
      case 'sendState':
      case 'sendDigest':
      case 'heartbeat':
        throw new ProtocolError(`${message.kind} does not belong on the control connection`);
      default:
        message satisfies never;
    }
  }

  #receiveData(message: ToWorker, payload: Uint8Array): void {
    if (this.#isOver) return;
    if (message.kind === 'commit') {
      if (this.#commits.length + this.#applying >= MAX_WAITING_COMMITS)
        return this.disconnect('too far behind the run');
      const totals = payload.length === 0 ? undefined : payload;
      this.#commits.push({ commit: message, totals });
    } else if (message.kind === 'state') {
      this.#newState = { step: message.step, bytes: payload };
      this.#commits = [];
      this.#stateRequest = this.#digestRequest = undefined;
    } else if (message.kind === 'sendState') this.#stateRequest = message.step;
    else if (message.kind === 'sendDigest') this.#digestRequest = message.step;
    else if (message.kind === 'refused') return this.disconnect(message.reason);
    else throw new ProtocolError(`${message.kind} does not belong on the data connection`);
    this.#advance();
  }

  #load(welcome: Extract<ToWorker, { kind: 'welcome' }>, payload: Uint8Array): void {
    const { job, session, rank } = welcome;
    if (payload.length !== job.trainBytes + job.evaluateBytes) {
      throw new ProtocolError(
        `welcome: expected ${job.trainBytes + job.evaluateBytes} bytes of compiled steps, got ` +
          `${payload.length}`,
      );
    }
    this.#control.limits = CONTROL_LIMITS;
    this.#options.onWelcome(rank, job);
    const files = {
      train: payload.slice(0, job.trainBytes),
      evaluate: payload.slice(job.trainBytes),
    };
    const startedMs = this.#options.clock.now();
    this.#options.openConnection((connection) => this.#attachData(connection, session));
    this.#options.startHeartbeat(this.#hello('heartbeat', session));
    const pending = this.#options.createEngine(job, files, {
      onDone: (pass, records, sum) => this.#contribute(pass, records, sum),
      onFailed: (error) => this.#fail(error),
    });
    pending.whenReady(
      (engine, profile) => {
        if (this.#isOver) return engine.close();
        this.#engine = engine;
        this.#say(this.#control, {
          kind: 'ready',
          ...profile,
          loadMs: this.#options.clock.now() - startedMs,
        });
        this.#advance();
      },
      (error) => this.#fail(error),
    );
  }

  #attachData(connection: Connection, session: string): void {
    if (this.#isOver) return connection.destroy();
    this.#data = connection;
    connection.limits = DATA_LIMITS;
    connection.handlers = {
      onFrame: (header, payload) =>
        this.#receiveData(parseToWorker(header, connection.peer), payload),
      onClose: (error) =>
        this.disconnect(error?.message ?? 'the coordinator closed the data connection'),
      payloadTarget: (header, byteLength) => {
        const kind =
          typeof header === 'object' && header !== null && 'kind' in header ? header.kind : '';
        const target = this.#payloadTarget(kind);
        return target?.length === byteLength ? target : undefined;
      },
    };
    connection.send(this.#hello('data', session));
  }

  /** Memory of the engine that the payload of a message can be received into. */
  #payloadTarget(kind: unknown): Uint8Array | undefined {
    // A waiting commit may have its totals in the engine's memory.
    if (kind === 'commit' && this.#commits.length === 0) return this.#engine?.totalsTarget();
    if (kind !== 'state' || this.#newState !== undefined || this.#statesOnTheirWay > 0)
      return undefined;
    // What was asked of the state before this one is void, and must not be put where this one comes
    // in.
    this.#stateRequest = this.#digestRequest = undefined;
    return this.#engine?.stateTarget();
  }

  // ---- what happens next ----

  /**
   * Gives the engine everything that can be done from the state it will then have; it works in this
   * order.
   */
  #advance(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    while (!this.#isOver && this.#advanceOnce(engine));
  }

  /** False when there is nothing to do until another message comes. */
  #advanceOnce(engine: Engine): boolean {
    if (this.#newState !== undefined) return this.#takeState(engine, this.#newState);
    if (this.#step === undefined) return false;
    if (this.#stateRequest === this.#step) return this.#giveState(engine, this.#step);
    const next = this.#commits[0];
    if (next !== undefined && next.commit.step <= this.#step) {
      this.#commits.shift();
      if (next.commit.step === this.#step) this.#apply(engine, next);
      return true;
    }
    if (this.#digestRequest === this.#step) return this.#giveDigest(engine, this.#step);
    const plan = this.#plan;
    if (plan === undefined || plan.step !== this.#step || plan.pass === this.#begunPass)
      return false;
    this.#begin(engine, plan);
    return true;
  }

  #begin(engine: Engine, plan: Plan): void {
    this.#begunPass = plan.pass;
    this.#waitingLeases = [];
    this.#begunMs = this.#options.clock.now();
    engine.begin(plan);
    const audits = this.#waitingAudits.splice(0);
    if (audits.length > 0) this.#audit(plan.pass, audits);
  }

  #extend(pass: number, microBatches: readonly number[]): void {
    if (this.#plan?.pass !== pass) return;
    this.#plan = { ...this.#plan, leases: [...this.#plan.leases, ...microBatches] };
    if (this.#begunPass !== pass) return;
    // Computing more would overwrite the sum that is still on its way.
    if (this.#unflushed > 0) this.#waitingLeases.push(...microBatches);
    else this.#extendNow(microBatches);
  }

  #extendNow(microBatches: readonly number[]): void {
    if (microBatches.length > 0) this.#begunMs = this.#options.clock.now();
    this.#engine?.extend(microBatches);
  }

  #handleFlush(): void {
    this.#unflushed--;
    if (this.#unflushed === 0 && !this.#isOver) this.#extendNow(this.#waitingLeases.splice(0));
  }

  #release(pass: number, count: number): void {
    let microBatches: readonly number[] = [];
    const plan = this.#plan;
    if (plan?.pass === pass) {
      const isBegun = this.#begunPass === pass;
      microBatches = isBegun ? (this.#engine?.release(count) ?? []) : plan.leases.slice(-count);
      this.#plan = {
        ...plan,
        leases: plan.leases.filter((microBatch) => !microBatches.includes(microBatch)),
      };
    }
    this.#say(this.#control, { kind: 'released', pass, microBatches: [...microBatches] });
  }

  /**
   * Computes what another worker has computed too; before the pass has begun the request waits for
   * it.
   */
  #audit(pass: number, microBatches: readonly number[]): void {
    if (this.#plan?.pass !== pass) return;
    if (this.#begunPass !== pass) {
      this.#waitingAudits.push(...microBatches);
      return;
    }
    this.#engine?.audit(microBatches, (records) => {
      if (!this.#isOver && this.#begunPass === pass)
        this.#say(this.#control, { kind: 'audited', pass, records: [...records] });
    });
  }

  #contribute(pass: number, records: readonly MicroBatchRecord[], sum: Uint8Array): void {
    if (
      this.#isOver ||
      this.#data === undefined ||
      this.#begunPass !== pass ||
      this.#plan?.pass !== pass
    )
      return;
    const message: ToCoordinator = {
      kind: 'contribution',
      pass,
      records: [...records],
      busyMs: this.#options.clock.now() - this.#begunMs,
    };
    this.#unflushed++;
    this.#data.send(message, sum, () => this.#handleFlush());
  }

  #apply(engine: Engine, { commit, totals }: PendingCommit): void {
    this.#step = commit.step + 1;
    this.#applying++;
    engine.apply(commit, totals, (norms) => {
      this.#applying--;
      if (norms.length === 0 || this.#isOver) return;
      this.#tellData({ kind: 'applied', step: commit.step + 1, norms: [...norms] });
    });
  }

  #takeState(engine: Engine, { step, bytes }: { step: number; bytes: Uint8Array }): true {
    this.#newState = undefined;
    this.#step = step;
    this.#begunPass = -1;
    engine.importState(bytes, () => {});
    return true;
  }

  #giveState(engine: Engine, step: number): true {
    this.#stateRequest = undefined;
    this.#statesOnTheirWay++;
    engine.exportState((bytes) =>
      this.#tellData({ kind: 'state', step }, bytes, () => this.#statesOnTheirWay--),
    );
    return true;
  }

  #giveDigest(engine: Engine, step: number): true {
    this.#digestRequest = undefined;
    engine.digest((weightsDigest, stateDigest) =>
      this.#tellData({ kind: 'digest', step, weightsDigest, stateDigest }),
    );
    return true;
  }

  // ---- the end ----

  #fail(error: LockstepError): void {
    if (this.#isOver) return;
    this.#say(this.#control, { kind: 'failed', reason: error.message.slice(0, 4096) });
    this.#end({ kind: 'failed', error });
  }

  #end(end: WorkerEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#control.close();
    this.#data?.close();
    this.#engine?.close();
    this.#options.onEnd(end);
  }

  #tellData(message: ToCoordinator, payload: Uint8Array = NOTHING, onFlushed?: () => void): void {
    if (this.#data !== undefined && !this.#isOver) this.#data.send(message, payload, onFlushed);
  }

  #say(connection: Connection, message: ToCoordinator): void {
    connection.send(message);
  }
}
