/**
 * Who is in the run: accepts connections, welcomes workers, watches their signs of life, and tells
 * its owner when a member is ready, stalls, comes back or is lost. It knows nothing of steps and
 * gradients.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import { awaitGreeting, versionProblem } from '../protocol/greeting.ts';
import {
  CLUSTER_PROTOCOL,
  type Hello,
  type Job,
  parseToCoordinator,
  type ToCoordinator,
  type ToWorker,
} from '../protocol/messages.ts';
import type { Connection, FrameLimits } from '../transport/connection.ts';
import { isFullyConnected, type Member } from './member.ts';
import type { RosterHandlers } from './roster-handlers.ts';

/** Deadlines of membership, milliseconds. */
export interface Timing {
  /** A connection must say `hello` within this. */
  readonly greetingMs: number;
  /** A welcomed worker must be ready within this. */
  readonly loadingMs: number;
  /** No sign of life for this long: its work goes to others. */
  readonly stallMs: number;
  /** No sign of life for this long: it is out. */
  readonly deadMs: number;
  readonly tickMs: number;
}

export const DEFAULT_TIMING: Timing = {
  greetingMs: 5_000,
  loadingMs: 120_000,
  stallMs: 2_000,
  deadMs: 5_000,
  tickMs: 100,
};

const CONTROL_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 0 };
const HEARTBEAT_LIMITS = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 0 };
const MAX_MEMBERS = 256;
/** Between two heartbeats a clock that is only being corrected moves less. */
const CLOCK_JUMP_MS = 2_000;

export interface RosterOptions {
  readonly clock: Clock;
  readonly timing: Timing;
  readonly job: Job;
  readonly jobFiles: Uint8Array;
  /**
   * What a member may send on its data connection: records and sums of a whole pass, and the state.
   */
  readonly dataLimits: FrameLimits;
  /** An unguessable word that ties a member's connections together. */
  readonly newSession: () => string;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #handlers: RosterHandlers;
  readonly #members = new Map<string, Member>();
  readonly #banned = new Map<string, string>();
  readonly #greeting = new Map<Connection, Timer>();
  readonly #tick: { timer: Timer | undefined; lastMs: number };
  #nextRank = 0;
  bytesMoved = 0;

  constructor(options: RosterOptions, handlers: RosterHandlers) {
    this.#options = options;
    this.#handlers = handlers;
    this.#tick = { timer: undefined, lastMs: options.clock.now() };
    this.#scheduleTick();
  }

  /** Everyone who is in, in order of rank. */
  members(): Member[] {
    return [...this.#members.values()].sort((a, b) => a.rank - b.rank);
  }

  /** Takes over a fresh connection. */
  accept(connection: Connection): void {
    const { clock, timing } = this.#options;
    const deadline = awaitGreeting(connection, clock, timing.greetingMs);
    this.#greeting.set(connection, deadline);
    connection.handlers = {
      onFrame: (header) => {
        this.#endGreeting(connection);
        this.#greet(connection, header);
      },
      onClose: () => this.#endGreeting(connection),
    };
  }

  /** Ends every connection in good order and stops watching. */
  dismissAll(reason: string): void {
    this.#tick.timer?.cancel();
    this.#tick.timer = undefined;
    for (const connection of [...this.#greeting.keys()]) {
      this.#endGreeting(connection);
      connection.destroy();
    }
    for (const member of this.members()) {
      this.#members.delete(member.workerId);
      tell(member.control, { kind: 'goodbye', reason });
      for (const connection of connectionsOf(member)) {
        this.#countBytes(connection);
        connection.close();
      }
    }
  }

  /** Puts a member out, e.g. because it sent nonsense. */
  expel(member: Member, reason: string): void {
    if (this.#members.get(member.workerId) !== member) return;
    this.#members.delete(member.workerId);
    for (const connection of connectionsOf(member)) {
      this.#countBytes(connection);
      connection.destroy();
    }
    this.#handlers.onLost(member, reason);
  }

  /** Never lets `workerId` in again, and says why. */
  ban(workerId: string, reason: string): void {
    this.#banned.set(workerId, reason);
  }

  /**
   * Marks a member as stalled: called by the owner when it makes no progress, by the roster when it
   * is silent.
   */
  stall(member: Member, kind: 'silent' | 'stuck', silentMs: number, reason: string): void {
    member.wasActive = member.phase === 'active';
    member.phase = 'stalled';
    member.stall = kind;
    member.stalledMs = this.#options.clock.now();
    this.#handlers.onStalled(member, silentMs, reason);
  }

  #endGreeting(connection: Connection): void {
    this.#greeting.get(connection)?.cancel();
    this.#greeting.delete(connection);
  }

  #greet(connection: Connection, header: unknown): void {
    const message = parseToCoordinator(header, connection.peer);
    if (message.kind !== 'hello')
      throw new ProtocolError(`${connection.peer}: expected hello first, got ${message.kind}`);
    const problem = this.#problemWith(message);
    if (problem !== undefined) return this.#refuse(connection, problem, message.rank);
    if (message.channel === 'control') return this.#welcome(connection, message);
    const member = this.#members.get(message.workerId);
    if (member === undefined || member.session !== message.session) {
      return this.#refuse(
        connection,
        'this connection belongs to no member of the run',
        message.rank,
      );
    }
    this.#attach(member, connection, message.channel);
  }

  #problemWith(hello: Hello): string | undefined {
    const ban = this.#banned.get(hello.workerId);
    if (ban !== undefined) return ban;
    const mismatch = versionProblem(CLUSTER_PROTOCOL, hello);
    if (mismatch !== undefined) return mismatch;
    if (hello.channel === 'control' && this.#members.size >= MAX_MEMBERS)
      return `the run has ${MAX_MEMBERS} workers already`;
    return undefined;
  }

  #refuse(connection: Connection, reason: string, rank: number | null): void {
    tell(connection, { kind: 'refused', reason });
    connection.close();
    this.#handlers.onRefused({ peer: connection.peer, ...(rank !== null && { rank }), reason });
  }

  /**
   * Two cannot be the same worker. If this is the same one after all, its old connections will be
   * silent soon, or end: it may try again. That is told once.
   */
  #refuseDouble(connection: Connection, member: Member): void {
    const reason = `the worker with this identity is in the run already, as rank ${member.rank}, and alive`;
    tell(connection, { kind: 'refused', reason, isForNow: true });
    connection.close();
    if (!member.hasDouble)
      this.#handlers.onRefused({ peer: connection.peer, rank: member.rank, reason });
    member.hasDouble = true;
  }

  #welcome(connection: Connection, hello: Hello): void {
    const { clock, timing, newSession, job, jobFiles } = this.#options;
    const nowMs = clock.now();
    const previous = this.#members.get(hello.workerId);
    if (previous !== undefined) {
      if (nowMs - previous.heardMs < timing.stallMs)
        return this.#refuseDouble(connection, previous);
      this.expel(previous, 'the same worker connected again');
    }
    const member: Member = {
      workerId: hello.workerId,
      session: newSession(),
      rank: this.#chooseRank(hello.rank),
      hello,
      hasDouble: false,
      wallAheadMs: undefined,
      control: connection,
      data: undefined,
      heartbeat: undefined,
      phase: 'loading',
      isLoaded: false,
      numericsClass: '',
      joinedMs: nowMs,
      heardMs: nowMs,
      progress: 0,
      progressMs: nowMs,
      givenMs: nowMs,
      stall: undefined,
      stalledMs: 0,
      wasActive: false,
      answerBytes: 0,
      answerMs: nowMs,
      microBatchMs: undefined,
      idlePasses: 0,
      workedMs: nowMs,
      trialCount: 0,
      releaseAskedPass: undefined,
      nothingToReleasePass: undefined,
      sampleCount: 0,
      microBatchCount: 0,
      firstContributionMs: undefined,
    };
    this.#members.set(member.workerId, member);
    this.#listen(member, connection);
    connection.limits = CONTROL_LIMITS;
    connection.send(
      { kind: 'welcome', session: member.session, rank: member.rank, job } satisfies ToWorker,
      jobFiles,
    );
  }

  #chooseRank(wanted: number | null): number {
    const isFree = wanted !== null && this.members().every((member) => member.rank !== wanted);
    const rank = isFree ? wanted : this.#nextRank;
    this.#nextRank = Math.max(this.#nextRank, rank + 1);
    return rank;
  }

  #attach(member: Member, connection: Connection, channel: 'data' | 'heartbeat'): void {
    if (member[channel] !== undefined)
      return this.#refuse(
        connection,
        `the worker has a ${channel} connection already`,
        member.rank,
      );
    member[channel] = connection;
    connection.limits = channel === 'data' ? this.#options.dataLimits : HEARTBEAT_LIMITS;
    this.#listen(member, connection);
    this.#becomeReady(member);
  }

  #listen(member: Member, connection: Connection): void {
    connection.handlers = {
      onFrame: (header, payload) => this.#receive(member, connection, header, payload),
      onClose: (error) => {
        if (this.#members.get(member.workerId) === member)
          this.expel(member, error?.message ?? 'it closed its connection');
      },
      payloadTarget: (header, byteLength) => {
        const kind: unknown =
          typeof header === 'object' && header !== null && 'kind' in header
            ? header.kind
            : undefined;
        return this.#handlers.payloadTarget(member, kind, byteLength);
      },
    };
  }

  #receive(member: Member, connection: Connection, header: unknown, payload: Uint8Array): void {
    if (this.#members.get(member.workerId) !== member) return;
    const message = parseToCoordinator(header, `worker ${member.rank} (${connection.peer})`);
    member.heardMs = this.#options.clock.now();
    if (message.kind === 'heartbeat') this.#beat(member, connection, message);
    else if (message.kind === 'ready') this.#load(member, message);
    else if (message.kind === 'failed') this.expel(member, message.reason);
    else if (message.kind === 'hello')
      throw new ProtocolError(`worker ${member.rank}: said hello twice`);
    else this.#handlers.onMessage(member, message, payload);
    if (member.stall === 'silent') this.#revive(member);
  }

  #beat(
    member: Member,
    connection: Connection,
    beat: Extract<ToCoordinator, { kind: 'heartbeat' }>,
  ): void {
    const { progress } = beat;
    tell(connection, { kind: 'heartbeat', progress });
    this.#compareClocks(member, beat);
    if (progress === member.progress) return;
    member.progress = progress;
    member.progressMs = this.#options.clock.now();
    if (member.stall === 'stuck') this.#revive(member);
  }

  /**
   * The two clocks of a worker's machine run alike. When one leaps it was set, or the machine was
   * suspended.
   */
  #compareClocks(
    member: Member,
    { wallMs, upMs }: Extract<ToCoordinator, { kind: 'heartbeat' }>,
  ): void {
    if (wallMs === undefined || upMs === undefined) return;
    const jumpMs = wallMs - upMs - (member.wallAheadMs ?? wallMs - upMs);
    member.wallAheadMs = wallMs - upMs;
    if (Math.abs(jumpMs) > CLOCK_JUMP_MS) this.#handlers.onClockJumped(member, Math.round(jumpMs));
  }

  #revive(member: Member): void {
    member.stall = undefined;
    member.progressMs = this.#options.clock.now();
    member.phase = isFullyConnected(member) ? 'ready' : 'loading';
    this.#handlers.onRevived(member);
  }

  #load(member: Member, ready: Extract<ToCoordinator, { kind: 'ready' }>): void {
    const { dataDigest } = this.#options.job;
    if (ready.dataDigest !== dataDigest) {
      const reason =
        `the worker's data differ from the coordinator's: expected SHA-256 ${dataDigest}, got ` +
        `${ready.dataDigest}. Give both the same files.`;
      this.#members.delete(member.workerId);
      tell(member.control, { kind: 'refused', reason });
      for (const connection of connectionsOf(member)) connection.close();
      this.#handlers.onRefused({ peer: member.control.peer, rank: member.rank, reason });
      return;
    }
    member.isLoaded = true;
    member.numericsClass = ready.numericsClass;
    this.#becomeReady(member);
  }

  #becomeReady(member: Member): void {
    if (member.phase !== 'loading' || !isFullyConnected(member)) return;
    member.phase = 'ready';
    member.progressMs = this.#options.clock.now();
    this.#handlers.onReady(member);
  }

  #scheduleTick(): void {
    const { clock, timing } = this.#options;
    this.#tick.timer = clock.after(timing.tickMs, () => {
      const nowMs = clock.now();
      const overslept = nowMs - this.#tick.lastMs - timing.tickMs;
      this.#tick.lastMs = nowMs;
      // If we ourselves were frozen (a laptop's lid), the silence was ours: nobody is judged for
      // it.
      if (overslept > timing.stallMs / 2) this.#forgive(overslept, nowMs);
      this.#scheduleTick();
      for (const member of this.members()) this.#judge(member, nowMs);
      this.#handlers.onTick(nowMs);
    });
  }

  /**
   * Moves what was last seen forward, but never past now: who was heard after the pause was heard
   * now.
   */
  #forgive(durationMs: number, nowMs: number): void {
    const later = (ms: number): number => Math.min(nowMs, ms + durationMs);
    for (const member of this.members()) {
      member.joinedMs = later(member.joinedMs);
      member.heardMs = later(member.heardMs);
      member.progressMs = later(member.progressMs);
      member.stalledMs = later(member.stalledMs);
    }
  }

  #judge(member: Member, nowMs: number): void {
    const { stallMs, deadMs, loadingMs } = this.#options.timing;
    const silentMs = nowMs - member.heardMs;
    const seconds = (ms: number): string => (ms / 1000).toFixed(1);
    if (member.phase === 'loading' && nowMs - member.joinedMs > loadingMs) {
      this.expel(member, `not ready after ${seconds(loadingMs)} s`);
    } else if (!member.isLoaded) {
      return; // loading may keep a process too busy for signs of life
    } else if (silentMs > deadMs) {
      this.expel(member, `no sign of life for ${seconds(silentMs)} s`);
    } else if (member.stall === 'stuck' && nowMs - member.stalledMs > 4 * deadMs) {
      this.expel(member, `no progress for ${seconds(nowMs - member.progressMs)} s`);
    } else if (silentMs > stallMs && member.phase !== 'stalled') {
      this.stall(member, 'silent', silentMs, `no sign of life for ${seconds(silentMs)} s`);
    }
  }

  #countBytes(connection: Connection): void {
    this.bytesMoved += connection.bytesSent + connection.bytesReceived;
  }

  /** Bytes that went over all connections of the run so far, both ways. */
  totalBytes(): number {
    const open = this.members().flatMap(connectionsOf);
    return open.reduce((sum, c) => sum + c.bytesSent + c.bytesReceived, this.bytesMoved);
  }
}

function connectionsOf(member: Member): Connection[] {
  return [member.control, member.data, member.heartbeat].filter((c) => c !== undefined);
}

function tell(connection: Connection, message: ToWorker): void {
  connection.send(message);
}
