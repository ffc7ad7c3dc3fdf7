/**
 * The worker: does what the coordinator's messages say, in whatever order its connections deliver
 * them.
 *
 * Its replica knows which state (after so many updates) the engine has or will have, and which
 * commits wait for their turn; its pass work knows the plan that waits for a state or is being
 * computed. `#advance` looks at these and gives the engine what is next.
 */
import type { Timer } from '../base/clock.ts';
import { isOurFailure, type LockstepError, ProtocolError } from '../base/errors.ts';
import {
  type Hello,
  type Job,
  type MicroBatchRecord,
  parseToWorker,
  type Plan,
  PROTOCOL_VERSION,
  type ToWorker,
} from '../protocol/messages.ts';
import type { Engine, EngineHandlers, EngineProfile } from '../runtime/engine.ts';
import { mostStateBytes } from '../state/state-layout.ts';
import type { Connection } from '../transport/connection.ts';
import type { CoordinatorLink } from './coordinator-link.ts';
import { GrantedSteps } from './granted-steps.ts';
import { reasonForCoordinator } from './failure-reason.ts';
import { PassWork } from './pass-work.ts';
import { Replica } from './replica.ts';
import type { WorkerEnd, WorkerOptions } from './worker-options.ts';

type Welcome = Extract<ToWorker, { kind: 'welcome' }>;

/** The welcome carries the compiled steps, with everything that is frozen in them. */
const WELCOME_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 2 ** 31 - 1 };
const CONTROL_LIMITS = { maxHeaderBytes: 4 << 20, maxPayloadBytes: 0 };
const DATA_LIMITS = { maxHeaderBytes: 1 << 20 };
const MAX_DATA_BYTES = 2 ** 31 - 1;
const NOTHING = new Uint8Array(0);
/** The goodbye may still be on its way when the other connections have ended. */
const FAREWELL_MS = 500;

/** One membership of a worker process, from its hello to its end. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #control: Connection;
  #data: Connection | undefined;
  #engine: Engine | undefined;
  #session: string | undefined;
  #isOver = false;
  /** Set while another connection has ended and the control connection has not. */
  #farewell: { readonly reason: string; readonly timer: Timer } | undefined;
  readonly #replica: Replica;
  readonly #work: PassWork;
  /** Absent until there is a job. */
  #granted: GrantedSteps | undefined;

  constructor(control: Connection, options: WorkerOptions) {
    const link = this.#link();
    this.#control = control;
    this.#options = options;
    this.#replica = new Replica(link);
    this.#work = new PassWork({
      clock: options.clock,
      link,
      engine: () => (this.#isOver ? undefined : this.#engine),
      onFlushed: () => this.#advance(),
    });
    control.limits = WELCOME_LIMITS;
    control.handlers = {
      onFrame: (header, payload) =>
        this.#receiveControl(parseToWorker(header, control.peer), payload),
      onClose: (error) => {
        if (error !== undefined && isOurFailure(error)) return this.#fail(error);
        const reason = error?.message ?? 'the coordinator closed the connection';
        this.disconnect(this.#farewell?.reason ?? reason);
      },
    };
    control.send(this.#hello('control', ''));
  }

  /** Ends the worker from inside, e.g. on Ctrl-C. */
  stop(reason: string): void {
    this.#control.send({ kind: 'failed', reason });
    this.#end({ kind: 'dismissed', reason });
  }

  /** Ends the worker, which may join again: a connection has ended, or is not answered. */
  disconnect(reason: string): void {
    this.#end({ kind: 'disconnected', reason });
  }

  /**
   * The data or heartbeat connection has ended. They are not ordered against the control
   * connection, which may be about to say goodbye: it gets a moment for that.
   */
  lose(reason: string): void {
    if (this.#isOver || this.#farewell !== undefined) return;
    const timer = this.#options.clock.after(FAREWELL_MS, () => this.disconnect(reason));
    this.#farewell = { reason, timer };
  }

  #link(): CoordinatorLink {
    return {
      send: (message) => {
        if (!this.#isOver) this.#control.send(message);
      },
      sendData: (message, payload, onFlushed) => {
        if (!this.#isOver) this.#data?.send(message, payload, onFlushed);
      },
    };
  }

  #hello(channel: Hello['channel'], session: string): Hello {
    const { identity } = this.#options;
    return { kind: 'hello', protocol: PROTOCOL_VERSION, channel, session, ...identity };
  }

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
        this.#work.take(message);
        return this.#advance();
      case 'lease':
        return this.#work.extend(message.pass, message.microBatches);
      case 'audit':
        return this.#work.audit(message.pass, message.microBatches);
      case 'release':
        return this.#work.release(message.pass, message.count);
      case 'commit':
      case 'grant':
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
    const replica = this.#replica;
    if (message.kind === 'commit') {
      if (!replica.receiveCommit(message, payload))
        return this.disconnect('too far behind the run');
    } else if (message.kind === 'state')
      replica.receiveState({ step: message.step, serial: message.serial, bytes: payload });
    else if (message.kind === 'grant') this.#begin(this.#granted?.take(message));
    else if (message.kind === 'sendState') replica.requestState(message.step);
    else if (message.kind === 'sendDigest') replica.requestDigest(message);
    else if (message.kind === 'refused') return this.lose(message.reason);
    else throw new ProtocolError(`${message.kind} does not belong on the data connection`);
    this.#advance();
  }

  #load({ job, session, rank }: Welcome, payload: Uint8Array): void {
    if (this.#session === session) return;
    if (this.#session !== undefined) throw new ProtocolError('welcome: expected one, got another');
    this.#session = session;
    const { clock, onWelcome, openConnection, startHeartbeat, createEngine } = this.#options;
    const files = splitFiles(job, payload);
    const dataBytes = Math.min(MAX_DATA_BYTES, mostStateBytes(job.parameters));
    this.#control.limits = CONTROL_LIMITS;
    this.#granted = new GrantedSteps(job.microBatch);
    onWelcome(rank, job);
    const startedMs = clock.now();
    openConnection((connection) => this.#attachData(connection, session, dataBytes));
    startHeartbeat(this.#hello('heartbeat', session));
    createEngine(job, files, this.#engineHandlers()).whenReady(
      (engine, profile) => this.#becomeReady(engine, profile, clock.now() - startedMs),
      (error) => this.#fail(error),
    );
  }

  #engineHandlers(): EngineHandlers {
    return {
      onDone: (pass, records, sum) => {
        if (this.#isOver || this.#data === undefined) return;
        const contribution = this.#work.finish(pass, records);
        // Lanes are at work again while it is sent.
        this.#goOn(pass, records);
        if (contribution !== undefined) this.#work.contribute(contribution, sum);
      },
      onFailed: (error) => this.#fail(error),
    };
  }

  /** Commits what it may commit by itself, and begins what is next. */
  #goOn(pass: number, records: readonly MicroBatchRecord[]): void {
    const next = this.#granted?.settle(pass, records);
    if (next === undefined) return;
    if (next.commit !== undefined) this.#replica.receiveCommit(next.commit, NOTHING);
    this.#begin(next.plan);
    this.#advance();
  }

  #begin(plan: Plan | undefined): void {
    if (plan !== undefined) this.#work.take(plan);
  }

  #becomeReady(engine: Engine, profile: EngineProfile, loadMs: number): void {
    if (this.#isOver) return engine.close();
    this.#engine = engine;
    this.#control.send({ kind: 'ready', ...profile, loadMs });
    this.#advance();
  }

  #attachData(connection: Connection, session: string, maxPayloadBytes: number): void {
    if (this.#isOver) return connection.destroy();
    this.#data = connection;
    connection.limits = { ...DATA_LIMITS, maxPayloadBytes };
    connection.handlers = {
      onFrame: (header, payload) =>
        this.#receiveData(parseToWorker(header, connection.peer), payload),
      onClose: (error) => {
        if (error !== undefined && isOurFailure(error)) return this.#fail(error);
        this.lose(error?.message ?? 'the coordinator closed the data connection');
      },
      payloadTarget: (header, byteLength) => {
        const kind =
          typeof header === 'object' && header !== null && 'kind' in header ? header.kind : '';
        const target = this.#replica.payloadTarget(kind, this.#engine);
        return target?.length === byteLength ? target : undefined;
      },
    };
    connection.send(this.#hello('data', session));
  }

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
    const done = this.#replica.advance(engine);
    if (done === 'imported') this.#void();
    return done !== 'nothing' || this.#work.beginIfDue(engine, this.#replica.step);
  }

  /** What was begun, or was to come, is of a state that is not there any more. */
  #void(): void {
    this.#work.void();
    this.#granted?.void();
  }

  #fail(error: LockstepError): void {
    if (this.#isOver) return;
    this.#control.send({ kind: 'failed', reason: reasonForCoordinator(error) });
    this.#end({ kind: 'failed', error });
  }

  #end(end: WorkerEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#farewell?.timer.cancel();
    this.#control.close();
    this.#data?.close();
    this.#engine?.close();
    this.#options.onEnd(end);
  }
}

/** The compiled steps that a welcome carries, each in memory of its own. */
function splitFiles(
  { trainBytes, evaluateBytes }: Job,
  payload: Uint8Array,
): { train: Uint8Array; evaluate: Uint8Array } {
  const expected = trainBytes + evaluateBytes;
  if (payload.length !== expected) {
    throw new ProtocolError(
      `welcome: expected ${expected} bytes of compiled steps, got ${payload.length}`,
    );
  }
  return { train: payload.slice(0, trainBytes), evaluate: payload.slice(trainBytes) };
}
