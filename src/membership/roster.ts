/**
 * Who is in the run: takes in the workers that admission lets pass, watches their signs of life,
 * and tells its owner when a member is ready, stalls, comes back or is lost. It knows nothing of
 * steps and gradients.
 */
import type { Clock } from '../base/clock.ts';
import { ProtocolError } from '../base/errors.ts';
import {
  type Hello,
  type Job,
  parseToCoordinator,
  type Reach,
  type ToCoordinator,
} from '../protocol/messages.ts';
import type { Connection, FrameLimits } from '../transport/connection.ts';
import { Admission } from './admission.ts';
import { ClockJumps } from './clock-jumps.ts';
import type { LaterChannel } from './link.ts';
import type { StallKind } from './liveness.ts';
import { Member, type MemberPhase } from './member.ts';
import type { RosterHandlers } from './roster-handlers.ts';
import type { Timing } from './timing.ts';
import { Ticker } from './ticker.ts';

const CONTROL_LIMITS = { maxHeaderBytes: 1 << 20, maxPayloadBytes: 0 };
/** Ranks that are remembered. */
const MAX_RANKS = 1_024;
const HEARTBEAT_LIMITS = { maxHeaderBytes: 1 << 10, maxPayloadBytes: 0 };

/**
 * What belongs on which connection. Before a worker is ready it says only what tells of its life;
 * after that, what is too late or was not asked for has no effect.
 */
const SAYINGS: { readonly [C in Hello['channel']]: ReadonlySet<ToCoordinator['kind']> } = {
  control: new Set(['ready', 'grouped', 'released', 'audited', 'failed']),
  data: new Set([
    'sendSamples',
    'contribution',
    'reduced',
    'fenced',
    'applied',
    'state',
    'serving',
    'fetched',
    'digest',
  ]),
  heartbeat: new Set(['heartbeat']),
};
const BEFORE_READY: ReadonlySet<ToCoordinator['kind']> = new Set([
  'sendSamples',
  'ready',
  'failed',
  'heartbeat',
]);

type Heartbeat = Extract<ToCoordinator, { kind: 'heartbeat' }>;
type Ready = Extract<ToCoordinator, { kind: 'ready' }>;

/** What the roster is given. */
export interface RosterOptions {
  readonly clock: Clock;
  readonly timing: Timing;
  readonly job: Job;
  readonly jobFiles: Uint8Array;
  /**
   * What a member may send on its data connection: records and sums of a whole pass, and the state.
   */
  readonly dataLimits: FrameLimits;
  /** Gives an unguessable word that ties a member's connections together. */
  readonly newSession: () => string;
  /** What members are told of each other. */
  readonly reach: Reach;
  /** The data that a worker which lacks them may ask for. */
  readonly offer?: Readonly<Record<string, unknown>>;
  /** Of a run that goes on from what workers have, until it does: the last step that is known. */
  readonly known?: () => number | undefined;
}

/** The members of the run, by rank. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #handlers: RosterHandlers;
  readonly #admission: Admission;
  readonly #members = new Map<string, Member>();
  readonly #clockJumps = new ClockJumps();
  /** What each member said when it was ready. */
  readonly #readiness = new WeakMap<Member, Ready>();
  readonly #ticker: Ticker;
  #nextRank = 0;
  /** By worker id, also of those that are gone: who joins again keeps its rank, and its file. */
  readonly #ranks = new Map<string, number>();
  /** Bytes over the connections of members that are gone. */
  #goneBytes = 0;

  constructor(options: RosterOptions, handlers: RosterHandlers) {
    const { clock, timing } = options;
    this.#options = options;
    this.#handlers = handlers;
    this.#admission = new Admission({
      clock,
      timing,
      memberOf: (workerId) => this.#members.get(workerId),
      members: () => [...this.#members.values()],
      onGivingWay: (member) => this.evict(member, 'it was not ready, and others wait to join'),
      onWorker: (connection, hello) => this.#welcome(connection, hello),
      onChannel: (member, connection, channel, hello) =>
        this.#attach(member, connection, channel, hello),
      onRejected: (rejection) => handlers.onRejected(rejection),
    });
    this.#ticker = new Ticker({
      clock,
      timing,
      // The silence was ours: nobody is judged for it.
      onOverslept: (durationMs, nowMs) => {
        for (const { liveness } of this.members()) liveness.forgive(durationMs, nowMs);
      },
      onTick: (nowMs) => this.#tick(nowMs),
    });
  }

  /** Everyone who is in, in order of rank. */
  members(): Member[] {
    return [...this.#members.values()].sort((a, b) => a.rank - b.rank);
  }

  /** Everyone who stands there, in order of rank. */
  membersIn(phase: MemberPhase): Member[] {
    return this.members().filter((member) => member.phase === phase);
  }

  /** Bytes that went over all connections of the run so far, both ways. */
  totalBytes(): number {
    return this.members().reduce((sum, { link }) => sum + link.bytesMoved, this.#goneBytes);
  }

  /** Takes over a fresh connection. */
  accept(connection: Connection): void {
    this.#admission.greet(connection);
  }

  /** Tells a connection that comes too late that the run is over. */
  dismiss(connection: Connection, reason: string): void {
    connection.send({ kind: 'goodbye', reason });
    connection.close();
  }

  /** Ends every connection in good order and stops watching. */
  dismissAll(reason: string): void {
    this.#ticker.stop();
    for (const connection of this.#admission.close()) this.dismiss(connection, reason);
    for (const member of this.members()) {
      member.link.send({ kind: 'goodbye', reason });
      this.#remove(member);
      member.link.close();
    }
  }

  /** Ends the membership of a worker, e.g. because it sent nonsense; it may join again. */
  evict(member: Member, reason: string): void {
    if (!this.#isIn(member)) return;
    this.#remove(member);
    member.link.destroy();
    this.#handlers.onLost(member, reason);
  }

  /** Ends the memberships of who came with a key that is no longer good, and tells them so. */
  expel(identity: string, reason: string): void {
    for (const member of this.members()) {
      if (member.link.identity !== identity || !this.#isIn(member)) continue;
      member.link.send({ kind: 'refused', reason, isDenied: true });
      this.#remove(member);
      member.link.close();
      this.#handlers.onLost(member, reason);
    }
  }

  /** Never lets `workerId` in again, and says why. */
  ban(workerId: string, reason: string): void {
    this.#admission.ban(workerId, reason);
  }

  /**
   * Marks a member as stalled: called by the owner when it makes no progress, by the roster when it
   * is silent.
   */
  stall(member: Member, kind: StallKind, silentMs: number, reason: string): void {
    member.stall(kind, this.#options.clock.now());
    this.#handlers.onStalled(member, { silentMs, reason });
  }

  #isIn(member: Member): boolean {
    return this.#members.get(member.workerId) === member;
  }

  #remove(member: Member): void {
    this.#members.delete(member.workerId);
    this.#goneBytes += member.link.bytesMoved;
  }

  #welcome(connection: Connection, hello: Hello): void {
    const { clock, newSession, job, jobFiles, reach, offer } = this.#options;
    const known = this.#options.known?.();
    const previous = this.#members.get(hello.workerId);
    if (previous !== undefined) this.evict(previous, 'the same worker connected again');
    const session = newSession();
    const rank = this.#chooseRank(hello);
    const member = new Member({ session, rank, hello, control: connection, nowMs: clock.now() });
    this.#members.set(member.workerId, member);
    this.#listen(member, connection, hello);
    connection.limits = CONTROL_LIMITS;
    const welcome = { kind: 'welcome', session, rank, job, reach } as const;
    const given = { ...(offer && { offer: { ...offer } }), ...(known !== undefined && { known }) };
    member.link.send({ ...welcome, ...given }, jobFiles);
  }

  /** The rank that it had before, or asks for, if nobody has it; else the next. */
  #chooseRank({ workerId, rank: wanted }: Hello): number {
    const isFree = (rank: number): boolean => this.members().every((m) => m.rank !== rank);
    const wishes = [this.#ranks.get(workerId), wanted].filter((rank) => typeof rank === 'number');
    const rank = wishes.find(isFree) ?? this.#nextRank;
    this.#nextRank = Math.max(this.#nextRank, rank + 1);
    this.#ranks.delete(workerId);
    this.#ranks.set(workerId, rank);
    const [oldest] = this.#ranks.keys();
    if (this.#ranks.size > MAX_RANKS && oldest !== undefined) this.#ranks.delete(oldest);
    return rank;
  }

  #attach(member: Member, connection: Connection, channel: LaterChannel, hello: Hello): void {
    member.link.attach(channel, connection);
    connection.limits = channel === 'data' ? this.#options.dataLimits : HEARTBEAT_LIMITS;
    this.#listen(member, connection, hello);
    this.#becomeReady(member);
  }

  #load(member: Member, ready: Ready): void {
    const { dataDigest, received } = ready;
    const expected = this.#options.job.dataDigest;
    if (dataDigest !== expected) {
      const reason =
        `the worker's data differ from the coordinator's: expected SHA-256 ${expected}, got ` +
        `${dataDigest}. Give both the same files.`;
      return this.#reject(member, reason);
    }
    this.#readiness.set(member, ready);
    if (received !== undefined) this.#handlers.onDataReceived(member, received);
    member.load(ready);
    this.#becomeReady(member);
  }

  /** Turns a member away that cannot take part. */
  #reject(member: Member, reason: string): void {
    const { link, rank } = member;
    link.send({ kind: 'refused', reason });
    this.#remove(member);
    link.close();
    this.#handlers.onRejected({ peer: link.peer, rank, reason });
  }

  #becomeReady(member: Member): void {
    if (member.becomeReady(this.#options.clock.now())) this.#handlers.onReady(member);
  }

  #listen(member: Member, connection: Connection, hello: Hello): void {
    connection.handlers = {
      onFrame: (header, payload) => this.#receive(member, connection, hello, header, payload),
      onClose: (error) => this.evict(member, error?.message ?? 'it closed its connection'),
      payloadTarget: (header, byteLength) => {
        const kind: unknown =
          typeof header === 'object' && header !== null && 'kind' in header
            ? header.kind
            : undefined;
        return this.#handlers.payloadTarget(member, kind, byteLength);
      },
    };
  }

  /** A message on a connection that began with `hello`. */
  #receive(
    member: Member,
    connection: Connection,
    hello: Hello,
    header: unknown,
    payload: Uint8Array,
  ): void {
    if (!this.#isIn(member)) return;
    const nowMs = this.#options.clock.now();
    const who = `worker ${member.rank} (${connection.peer})`;
    if (!member.mayTalk(nowMs))
      throw new ProtocolError(`${who}: says far more than it was asked for`);
    const message = parseToCoordinator(header, who);
    member.liveness.hear(nowMs);
    if (isSame(message, hello) || isSame(message, this.#readiness.get(member))) return;
    this.#checkPlace(message, hello.channel, member);
    if (message.kind === 'heartbeat') this.#beat(member, connection, message);
    else if (message.kind === 'ready') this.#load(member, message);
    else if (message.kind === 'failed') this.evict(member, message.reason);
    else this.#handlers.onMessage(member, message, payload);
    if (member.liveness.stall === 'silent') this.#revive(member);
  }

  #checkPlace({ kind }: ToCoordinator, channel: Hello['channel'], member: Member): void {
    const who = `worker ${member.rank}`;
    if (!SAYINGS[channel].has(kind))
      throw new ProtocolError(`${who}: said ${kind} on its ${channel} connection`);
    if (member.isLoaded ? kind === 'ready' : !BEFORE_READY.has(kind))
      throw new ProtocolError(`${who}: said ${kind} ${member.isLoaded ? 'twice' : 'before ready'}`);
  }

  #beat(member: Member, connection: Connection, beat: Heartbeat): void {
    const { liveness } = member;
    connection.send({ kind: 'heartbeat', progress: beat.progress });
    const jumpMs = this.#clockJumps.compare(member, beat);
    if (jumpMs !== undefined) this.#handlers.onClockJumped(member, jumpMs);
    const nowMs = this.#options.clock.now();
    const hasProgress = liveness.beat(beat, nowMs, member.link.counts());
    const isBack =
      liveness.stall === 'stuck' ? hasProgress : liveness.stall === 'deaf' && liveness.isReached;
    if (isBack) this.#revive(member);
  }

  #revive(member: Member): void {
    member.revive(this.#options.clock.now());
    this.#handlers.onRevived(member);
  }

  #tick(nowMs: number): void {
    for (const member of this.members()) this.#judge(member, nowMs);
    this.#handlers.onTick(nowMs);
  }

  #judge(member: Member, nowMs: number): void {
    const { phase, isLoaded, liveness, link } = member;
    if (liveness.watch(link.traffic(), nowMs)) this.#revive(member);
    const standing = { isLoading: phase === 'loading', isLoaded };
    const verdict = liveness.judge(standing, this.#options.timing, nowMs);
    if (verdict?.kind === 'evict') this.evict(member, verdict.reason);
    else if (verdict !== undefined)
      this.stall(member, verdict.stall, verdict.silentMs, verdict.reason);
  }
}

/** Whether `message` is word for word what was said before. */
function isSame(message: ToCoordinator, before: ToCoordinator | undefined): boolean {
  return before?.kind === message.kind && JSON.stringify(message) === JSON.stringify(before);
}
