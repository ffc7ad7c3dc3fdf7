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
  type Commit,
  type FetchState,
  parseToWorker,
  type Plan,
  MAX_SAMPLES_BYTES,
  PROTOCOL_VERSION,
  type ToCoordinator,
  type ToWorker,
} from '../protocol/messages.ts';
import type { Engine, EngineHandlers, EngineProfile } from '../runtime/engine.ts';
import { mostStateBytes } from '../state/state-layout.ts';
import type { Connection } from '../transport/connection.ts';
import type { CoordinatorLink } from './coordinator-link.ts';
import { CoordinatorWait } from './coordinator-wait.ts';
import { reasonForCoordinator } from './failure-reason.ts';
import { HeldWords } from './held-words.ts';
import { OwnCourse } from './own-course.ts';
import { OwnSteps } from './own-steps.ts';
import { type Luggage, part } from './parting.ts';
import { PassWork } from './pass-work.ts';
import { Peers } from './peers.ts';
import { Replica } from './replica.ts';
import { SampleRequests } from './sample-requests.ts';
import { StateDonor } from './state-donor.ts';
import { StateFetch } from './state-fetch.ts';
import type { WorkerEnd, WorkerOptions } from './worker-options.ts';

type Welcome = Extract<ToWorker, { kind: 'welcome' }>;
type Fence = Extract<ToWorker, { kind: 'fence' }>;

/** The welcome carries the compiled steps, with everything that is frozen in them. */
const WELCOME_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 2 ** 31 - 1 };
const CONTROL_LIMITS = { maxHeaderBytes: 4 << 20, maxPayloadBytes: 0 };
const DATA_LIMITS = { maxHeaderBytes: 1 << 20 };
const MAX_DATA_BYTES = 2 ** 31 - 1;
/** Word of the coordinator that ends a pause. */
const WORK: ReadonlySet<ToWorker['kind']> = new Set([
  ...(['plan', 'lease', 'audit', 'commit', 'reduce', 'grant', 'state'] as const),
]);
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
  /** Most bytes of a state, or of a sum. */
  #dataBytes = 0;
  /** Parameters of the model. */
  #tensors = 0;
  /** Set while another connection has ended and the control connection has not. */
  #farewell: { readonly reason: string; readonly timer: Timer } | undefined;
  readonly #coordinator: CoordinatorLink;
  readonly #held: HeldWords;
  readonly #wait: CoordinatorWait;
  readonly #replica: Replica;
  readonly #work: PassWork;
  readonly #peers: Peers;
  readonly #donor: StateDonor;
  readonly #fetch: StateFetch;
  readonly #samples: SampleRequests;
  /** Absent until there is a job. */
  #own: OwnCourse | undefined;
  #job: Job | undefined;
  #ownSteps = new OwnSteps();
  /** What it had before, if the job is the same, and somebody wants to go on from there. */
  #luggage: Luggage | undefined;
  /** Steps that the coordinator knows, where it goes on from what workers have. */
  #known: number | undefined;
  /** What a micro-batch took that it tried. */
  #trialMs: number | undefined;
  /** It has lost its coordinator, and takes its state along. */
  #parting: { cancel(): void } | undefined;

  constructor(control: Connection, options: WorkerOptions) {
    const link = (this.#coordinator = this.#linkToCoordinator());
    this.#control = control;
    this.#options = options;
    this.#held = new HeldWords(options.clock, (words) =>
      this.#together(() => words.forEach((word) => this.#data?.send(word))),
    );
    this.#wait = new CoordinatorWait(options.clock);
    this.#replica = new Replica(options.clock, link, () => this.#pauseIfDone());
    this.#work = new PassWork({
      clock: options.clock,
      link,
      engine: () => (this.#isOver ? undefined : this.#engine),
      updateMs: () => this.#replica.takeUpdateMs(),
      waitCoordinatorMs: () => this.#wait.take(),
      onFlushed: () => this.#advance(),
    });
    const { clock, peers: network, pieceBytes } = options;
    this.#donor = new StateDonor({ clock, link, pieceBytes, onCopied: () => this.#advance() });
    this.#fetch = new StateFetch({
      clock,
      network,
      onFetched: (request, bytes) => this.#takeFetched(request, bytes),
      onFailed: ({ serial }, problem) => link.sendData({ kind: 'fetched', serial, problem }),
    });
    this.#samples = new SampleRequests(clock, (reason) => this.disconnect(reason));
    this.#peers = new Peers({
      clock,
      network,
      link,
      work: this.#work,
      donor: this.#donor,
      onTotal: (commit, total) => this.#takeTotal(commit, total),
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
    const { luggage } = options;
    const holds = luggage && { holds: luggage.step };
    control.send({ ...this.#hello('control', ''), ...holds });
  }

  /** Ends the worker from inside, e.g. on Ctrl-C. */
  stop(reason: string): void {
    this.#parting?.cancel();
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

  #linkToCoordinator(): CoordinatorLink {
    return {
      send: (message) => {
        if (!this.#isOver) this.#control.send(message);
      },
      sendData: (message, payload, onFlushed) => {
        if (this.#isOver) return;
        this.#held.release();
        this.#data?.send(message, payload, onFlushed);
      },
      sendSoon: (message) => {
        if (!this.#isOver) this.#held.hold(message);
      },
    };
  }

  /** What `action` says on the data connection goes out at once, where that is cheaper. */
  #together(action: () => void): void {
    const data = this.#data;
    if (data?.together === undefined) action();
    else data.together(action);
  }

  #hello(channel: Hello['channel'], session: string): Hello {
    const { identity } = this.#options;
    return { kind: 'hello', protocol: PROTOCOL_VERSION, channel, session, ...identity };
  }

  #receiveControl(message: ToWorker, payload: Uint8Array): void {
    if (this.#isOver) return;
    if (WORK.has(message.kind)) this.#wait.end();
    switch (message.kind) {
      case 'welcome':
        return this.#load(message, payload);
      case 'refused':
        return this.#end(endOf(message));
      case 'goodbye':
        return this.#end({ kind: 'dismissed', reason: message.reason });
      case 'plan':
        return this.#takePlan(message);
      case 'group':
        return this.#peers.form(message, this.#tensors, this.#dataBytes);
      case 'fence':
        return this.#fence(message);
      case 'lease':
        return this.#work.extend(message.pass, message.microBatches);
      case 'audit':
        return this.#work.audit(message.pass, message.microBatches);
      case 'release':
        return this.#work.release(message.pass, message.count);
      case 'commit':
      case 'reduce':
      case 'grant':
      case 'state':
      case 'sendState':
      case 'serveState':
      case 'fetchState':
      case 'sendDigest':
      case 'samples':
      case 'heartbeat':
        throw new ProtocolError(`${message.kind} does not belong on the control connection`);
      default:
        message satisfies never;
    }
  }

  #receiveData(message: ToWorker, payload: Uint8Array): void {
    if (this.#isOver) return;
    if (WORK.has(message.kind)) this.#wait.end();
    const replica = this.#replica;
    if (message.kind === 'commit') {
      if (!replica.receiveCommit(message, payload))
        return this.disconnect('too far behind the run');
    } else if (message.kind === 'state') this.#takeState(message, payload);
    else if (message.kind === 'serveState') this.#donor.ask(message);
    else if (message.kind === 'fetchState') this.#fetch.begin(message, this.#dataBytes);
    else if (message.kind === 'reduce') this.#peers.request(message);
    else if (message.kind === 'grant') this.#own?.take(message);
    else if (message.kind === 'sendState') replica.requestState(message.step);
    else if (message.kind === 'sendDigest') replica.requestDigest(message);
    else if (message.kind === 'samples') return this.#samples.take(message, payload);
    else if (message.kind === 'refused') return this.lose(message.reason);
    else throw new ProtocolError(`${message.kind} does not belong on the data connection`);
    this.#advance();
  }

  #takeState({ step, serial }: Extract<ToWorker, { kind: 'state' }>, bytes: Uint8Array): void {
    this.#fetch.overtake(serial);
    this.#replica.receiveState({ step, serial, bytes });
  }

  /** Another worker has given a state: it is what that one has told the coordinator, or void. */
  #takeFetched({ step, serial, stateDigest }: FetchState, bytes: Uint8Array): void {
    const engine = this.#engine;
    if (engine === undefined || this.#isOver) return;
    this.#replica.receiveState({ step, serial, bytes });
    this.#advance();
    engine.digest((_, digest) => {
      const problem = `expected a state with the digest ${stateDigest}, got ${digest}`;
      const answer = {
        kind: 'fetched',
        serial,
        ...(digest !== stateDigest && { problem }),
      } as const;
      this.#coordinator.sendData(answer);
    });
  }

  #load({ job, session, rank, reach, offer, known }: Welcome, payload: Uint8Array): void {
    if (this.#session === session) return;
    if (this.#session !== undefined) throw new ProtocolError('welcome: expected one, got another');
    this.#session = session;
    const { clock, onWelcome, openConnection, startHeartbeat, createEngine } = this.#options;
    const files = splitFiles(job, payload);
    this.#dataBytes = Math.min(MAX_DATA_BYTES, mostStateBytes(job.parameters));
    this.#control.limits = CONTROL_LIMITS;
    this.#tensors = job.parameters.length;
    this.#job = job;
    this.#known = known;
    const { luggage } = this.#options;
    if (known !== undefined && JSON.stringify(luggage?.job) === JSON.stringify(job)) {
      this.#luggage = luggage;
      this.#ownSteps = luggage?.ownSteps ?? this.#ownSteps;
    }
    this.#own = new OwnCourse({
      microBatch: job.microBatch,
      link: this.#coordinator,
      peers: this.#peers,
      ownSteps: this.#ownSteps,
      onCommit: (commit, total) => this.#takeTotal(commit, total),
      onOwnCommit: (commit) => this.#replica.advanceBy(commit),
      takeWaited: () => this.#work.takeWaited(),
      onPlan: (given) => this.#takePlan(given),
    });
    const supply = offer && this.#samples.supplyOf(offer);
    onWelcome(rank, job, reach);
    const startedMs = clock.now();
    openConnection((connection) => this.#attachData(connection, session));
    startHeartbeat(this.#hello('heartbeat', session));
    createEngine(job, files, this.#engineHandlers(), supply).whenReady(
      (engine, profile) => this.#becomeReady(engine, profile, clock.now() - startedMs),
      (error) => this.#fail(error),
    );
  }

  #engineHandlers(): EngineHandlers {
    return {
      onDone: (pass, records, sum) => {
        if (this.#isOver || this.#data === undefined) return;
        const outgoing = this.#work.finish(pass, records, sum);
        if (outgoing === undefined) return;
        const isGranted = this.#own?.goOn(pass, outgoing.contribution) === true;
        if (!isGranted) this.#work.contribute(outgoing);
        this.#pauseIfDone();
      },
      onAttempted: (attempts) => {
        if ((this.#isOver && this.#parting === undefined) || this.#data === undefined) return;
        this.#together(() => this.#own?.follow(attempts));
        if (this.#isOver) return;
        this.#advance();
        this.#pauseIfDone();
      },
      onFailed: (error) => this.#fail(error),
    };
  }

  /** Nothing is left to do until the coordinator says something. */
  #pauseIfDone(): void {
    if (this.#work.isDone && this.#own?.isUnderWay !== true) this.#wait.begin();
  }

  /** A group is over. What the engine does for it by itself is part of the answer. */
  #fence({ generation, heard }: Fence): void {
    const answer = (): void => {
      this.#peers.fence(generation, heard);
      this.#advance();
    };
    if (this.#own === undefined) return answer();
    this.#own.leave(generation, this.#engine, answer);
  }

  #takePlan(plan: Plan): void {
    if (this.#own?.hasOvertaken(plan) === true) return;
    this.#work.take(plan);
    this.#advance();
  }

  #becomeReady(engine: Engine, profile: EngineProfile, loadMs: number): void {
    if (this.#isOver) return engine.close();
    this.#engine = engine;
    this.#trialMs = profile.trialMs;
    this.#limitData();
    const doors = this.#options.peers?.doors() ?? [];
    const reachable = doors.length === 0 ? {} : { doors: [...doors] };
    this.#control.send({ kind: 'ready', ...profile, loadMs, ...reachable, ...this.#unpack() });
    this.#advance();
  }

  /** Goes on from the state that it had before, and says so. */
  #unpack(): Pick<Extract<ToCoordinator, { kind: 'ready' }>, 'kept'> {
    const [luggage, known] = [this.#luggage, this.#known];
    if (luggage === undefined || known === undefined) return {};
    this.#luggage = undefined;
    const { step, bytes, stateDigest, ownSteps } = luggage;
    this.#replica.goOnFrom(step, bytes);
    return { kept: { step, stateDigest, ...ownSteps.since(known, step) } };
  }

  /** Samples come only until it is ready, and only if they were offered. */
  #limitData(): void {
    const mayReceive = this.#engine === undefined && this.#samples.isOffered;
    const maxPayloadBytes = mayReceive
      ? Math.max(this.#dataBytes, MAX_SAMPLES_BYTES)
      : this.#dataBytes;
    if (this.#data !== undefined) this.#data.limits = { ...DATA_LIMITS, maxPayloadBytes };
  }

  #attachData(connection: Connection, session: string): void {
    if (this.#isOver) return connection.destroy();
    this.#data = connection;
    this.#limitData();
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
        // A sum may lie there, too: until it is on its way, or added to those of the group.
        if (kind === 'commit' && this.#work.needsTotals) return undefined;
        const target = this.#replica.payloadTarget(kind, this.#engine);
        if (target?.length !== byteLength) return undefined;
        // A copy for somebody else of the state before this one would be put where this one comes in.
        if (kind === 'state') this.#donor.void();
        return target;
      },
    };
    connection.send(this.#hello('data', session));
    this.#samples.attach(connection);
  }

  /**
   * Gives the engine everything that can be done from the state it will then have; it works in this
   * order.
   */
  #advance(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    while (!this.#isOver && this.#advanceOnce(engine));
    this.#peers.advance();
  }

  /** The workers have added up a step: it is applied. */
  #takeTotal(commit: Commit, total: Uint8Array): void {
    const target = total.length === 0 ? NOTHING : this.#engine?.totalsTarget();
    target?.set(total);
    if (!this.#replica.receiveCommit(commit, target ?? total.slice()))
      return this.disconnect('too far behind the run');
    this.#advance();
  }

  /** False when there is nothing to do until another message comes. */
  #advanceOnce(engine: Engine): boolean {
    // How far the engine has come by itself is not known before it has told all.
    if (this.#donor.isCopying || this.#own?.isLeaving === true) return false;
    const replica = this.#replica;
    if (!replica.isSending && this.#donor.advance(engine, replica.step)) return true;
    const done = replica.advance(engine);
    if (done === 'imported') this.#void();
    if (done !== 'nothing' || this.#work.beginIfDue(engine, replica.step)) return true;
    const isOwn = !this.#work.isSending && this.#own?.beginIfDue(engine, replica.step);
    // Of the plan before nothing is left to do.
    if (isOwn === true) this.#work.drop();
    return isOwn === true;
  }

  /** What was begun, or was to come, is of a state that is not there any more. */
  #void(): void {
    this.#work.void();
    this.#donor.void();
    this.#own?.void();
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
    this.#held.close();
    this.#donor.close();
    this.#fetch.close();
    this.#samples.close();
    this.#control.close();
    this.#data?.close();
    if (end.kind === 'disconnected') return this.#part(end);
    this.#peers.close();
    this.#engine?.close();
    this.#options.onEnd(end);
  }

  /** It may come back, and takes along what it has of the run. */
  #part(end: Extract<WorkerEnd, { kind: 'disconnected' }>): void {
    const [engine, own, job] = [this.#engine, this.#own, this.#job];
    if (engine === undefined || own === undefined || job === undefined) {
      this.#peers.close();
      const { luggage } = this.#options;
      return this.#options.onEnd({ ...end, ...(luggage && { luggage }) });
    }
    const { clock } = this.#options;
    const [replica, peers, trialMs] = [this.#replica, this.#peers, this.#trialMs];
    const ownSteps = this.#ownSteps;
    let isParted = false;
    const parting = part({ clock, engine, replica, own, peers, trialMs }, (state) => {
      isParted = true;
      this.#parting = undefined;
      engine.close();
      const luggage = state && { job, ownSteps, ...state };
      this.#options.onEnd({ ...end, ...(luggage && { luggage }) });
    });
    if (!isParted) this.#parting = parting;
  }
}

/** What it means for a worker that it is refused so. */
function endOf({ reason, isForNow, isDenied }: Extract<ToWorker, { kind: 'refused' }>): WorkerEnd {
  if (isForNow === true) return { kind: 'disconnected', reason, wasRefused: true };
  return { kind: 'refused', reason, ...(isDenied === true && { isDenied }) };
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
