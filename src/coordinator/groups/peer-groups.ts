/**
 * The groups in which workers add up their sums among themselves, one generation after the other.
 * The coordinator hears only of micro-batches then; the sums of a step stay with its workers until
 * all micro-batches are in and it says `reduce`.
 *
 * A generation never changes. When one of its members is lost, late or unreachable it is fenced:
 * nothing of it counts any more once a member has answered how far it came. Either some have the
 * total of the step that was being added up: then the step counts, and the others get the state. Or
 * nobody has: then the same pass goes on through the coordinator, which gets from every survivor the
 * sum of what it has computed.
 */
import type { Clock } from '../../base/clock.ts';
import type { BodyName } from '../../collectives/body-names.ts';
import { doorsFor } from '../../membership/doors.ts';
import type { Member } from '../../membership/member.ts';
import type { RunEvent } from '../../metrics/events.ts';
import { type Commit, MAX_GROUP, type ToCoordinator } from '../../protocol/messages.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import { noteBytesIn } from '../../plan/attempt-note.ts';
import type { Followers } from '../states/followers.ts';
import type { GrantedGroup } from './granting.ts';
import type { CountedPart, Leaving, PassListener } from '../steps/pass-listener.ts';
import type { Pass } from '../steps/pass.ts';
import type { LinkSpeed } from '../../plan/sum-cost.ts';
import { type FenceFacts, FencedGroup } from './fenced-group.ts';
import { GroupFailures, type Obstacle } from './group-failures.ts';
import { obstacleTo } from './obstacles.ts';
import type { Position } from './positions.ts';
import { inPlaces, type RingPlan, ringsAt, ringsOf } from './rings.ts';
import { SumTimes } from './sum-times.ts';
import { type SumWay, wayOf } from './sum-way.ts';

/** A group that does not stand by then is given up. */
const FORMING_MS = 15_000;
/** Who adds up must get on within this. */
const STUCK_MS = 2_000;

/** What groups need to know, and whom they tell. */
export interface PeerGroupsOptions {
  readonly clock: Clock;
  readonly plan: Pick<RunPlan, 'sumElements' | 'auditRate' | 'collective' | 'train' | 'job'>;
  readonly followers: Pick<Followers, 'advance' | 'forget' | 'leaveBehind'>;
  /** Gives an unguessable word. */
  readonly newSecret: () => string;
  readonly report: (event: RunEvent) => void;
}

/**
 * Where the present generation stands:
 *   none      there is no group
 *   forming   its members connect to each other
 *   standing  a pass can be added up in it, or is being computed
 *   adding    `pass` is complete and being added up: `waiting` have no total yet
 *   fenced    it is over, and its members answer how far they came
 */
type Standing =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'forming';
      readonly generation: number;
      readonly members: readonly Member[];
      readonly waiting: Set<Member>;
      /** As far as they were measured, each from the member before. */
      readonly links: Map<Member, LinkSpeed>;
      readonly sinceMs: number;
    }
  | { readonly kind: 'standing'; readonly generation: number; readonly members: readonly Member[] }
  | {
      readonly kind: 'adding';
      readonly generation: number;
      readonly members: readonly Member[];
      readonly pass: Pass;
      readonly waiting: Set<Member>;
      readonly sinceMs: number;
    }
  | { readonly kind: 'fenced'; readonly members: readonly Member[]; readonly group: FencedGroup };

/** What a member says of its place in a group. */
type Grouped = Pick<Extract<ToCoordinator, { kind: 'grouped' }>, 'generation' | 'problem' | 'link'>;

/** Forms, uses and fences the groups of a run. */
export class PeerGroups implements PassListener {
  readonly #options: PeerGroupsOptions;
  #state: Standing = { kind: 'none' };
  #generation = 0;
  /** Since when the present generation stands, if it does. */
  #stoodSinceMs = 0;
  readonly #failures = new GroupFailures();
  /** That of the present generation, if it stands and its way was measured. */
  #way: SumWay | undefined;
  readonly #sumTimes = new SumTimes();
  /** That in which a group was last thought of. */
  #step = 0;
  /** What the last event of the sums' way told. */
  #told = '';
  /**
   * Who was sent a fence in the middle of a group's pass, and has not answered: what it contributes
   * to that pass comes without a sum, and once more after the answer.
   */
  readonly #unanswered = new WeakMap<Member, number>();

  constructor(options: PeerGroupsOptions) {
    this.#options = options;
  }

  /** Whether some are adding up, or are asked whether they have. */
  get isAddingUp(): boolean {
    const state = this.#state;
    return state.kind === 'adding' || (state.kind === 'fenced' && state.group.pass !== undefined);
  }

  /** Whether nothing can be decided before all have answered. */
  get isFencing(): boolean {
    return this.#state.kind === 'fenced' && !this.#state.group.isAnswered;
  }

  /** The generation in which these members, who are to compute `shares`, may be granted steps. */
  grantable(shares: ReadonlyMap<Member, number>): GrantedGroup | undefined {
    const state = this.#state;
    if (state.kind !== 'standing') return undefined;
    const { generation, members } = state;
    const inOrder = members.map((member) => shares.get(member) ?? 0);
    const canTell = noteBytesIn(this.#options.plan, members.length) > 0;
    return canTell && inOrder.every((share) => share > 0)
      ? { generation, members, shares: inOrder }
      : undefined;
  }

  /** Whether `member` is in the present generation. */
  has(member: Member): boolean {
    const state = this.#state;
    return state.kind !== 'none' && state.kind !== 'fenced' && state.members.includes(member);
  }

  /** Whether what `member` contributes belongs to a group that is over. */
  isUnanswered(member: Member): boolean {
    return this.#unanswered.has(member);
  }

  /** How the sums of a pass of `members`, which nobody else follows, travel. */
  reductionOf(members: readonly Member[], hasFollowers: boolean, step: number): 'group' | 'star' {
    if (hasFollowers || !this.#isWanted(members)) return 'star';
    this.#step = step;
    const obstacle = this.#obstacle(members);
    if (obstacle !== undefined) {
      this.#tellStar(members, obstacle);
      return 'star';
    }
    const state = this.#state;
    const isSame = state.kind !== 'none' && state.members.length === members.length;
    if (isSame && members.every((m) => state.members.includes(m)))
      return state.kind === 'standing' ? this.#use(state.members, step) : 'star';
    if (state.kind !== 'none') this.disband();
    this.#form(members);
    return 'star';
  }

  /** A member says that it stands, or that there is a problem; why the group ends, if it does. */
  hear(member: Member, { generation, problem, link }: Grouped): string | undefined {
    const state = this.#state;
    if (state.kind === 'none' || state.kind === 'fenced') return undefined;
    if (state.generation !== generation || !state.members.includes(member)) return undefined;
    if (problem !== undefined) {
      const other = state.members[problem.place];
      const reason = `rank ${member.rank} and rank ${other?.rank}: ${problem.reason}`;
      this.#fail(state.members, { reason });
      if (state.kind === 'forming') this.#tellStar(state.members, { reason });
      return reason;
    }
    if (state.kind !== 'forming') return undefined;
    state.waiting.delete(member);
    if (link !== undefined) state.links.set(member, link);
    return state.waiting.size > 0 ? undefined : this.#stand(generation, state.members, state.links);
  }

  /** All members are connected; why there is no group all the same, if the coordinator is faster. */
  #stand(
    generation: number,
    members: readonly Member[],
    links: ReadonlyMap<Member, LinkSpeed>,
  ): string | undefined {
    const { clock, plan } = this.#options;
    const bytes = 4 * plan.sumElements;
    this.#sumTimes.learn(members, links);
    const starMs = this.#sumTimes.starMsOf(members);
    const isFree = plan.collective === 'auto';
    const body = this.#bodyFor(members);
    this.#way = wayOf(body, { members, bytes, links, starMs, isFree });
    if (this.#way?.collective === 'star') {
      this.#fail(members, this.#way);
      this.#tellStar(members, this.#way);
      return this.#way.reason;
    }
    this.#state = { kind: 'standing', generation, members };
    this.#stoodSinceMs = clock.now();
    return undefined;
  }

  /** Milliseconds that adding up should take `members`, if that is known. */
  predictMs(members: readonly Member[]): number | undefined {
    const { collective, sumElements } = this.#options.plan;
    return this.#sumTimes.predictMs(inPlaces(members), 4 * sumElements, collective);
  }

  /** Milliseconds that sums to the coordinator took the slowest of `members`, if that is known. */
  reachMs(members: readonly Member[]): number | undefined {
    return this.#sumTimes.reachMsOf(members);
  }

  /** Sums through the coordinator tell how fast that is. */
  counted(part: CountedPart): void {
    this.#sumTimes.counted(part);
  }

  /**
   * Has the complete `pass` added up, which leads to `commit`; true once all members have its total.
   */
  addUp(pass: Pass, commit: Commit): boolean {
    const state = this.#state;
    if (state.kind === 'adding') return state.waiting.size === 0;
    // It was added up by some before the group was fenced.
    if (state.kind === 'fenced') return state.group.pass === pass;
    if (state.kind !== 'standing') return false;
    const { generation, members } = state;
    const sinceMs = this.#options.clock.now();
    this.#state = { kind: 'adding', generation, members, pass, waiting: new Set(members), sinceMs };
    for (const { link } of members) link.sendData({ ...commit, kind: 'reduce' });
    return false;
  }

  /** A member has the total of a pass. */
  takeReduced(member: Member, pass: number): void {
    const state = this.#state;
    if (state.kind === 'fenced') state.group.takeReduced(member, pass);
    else if (state.kind === 'adding' && state.pass.spec.id === pass) state.waiting.delete(member);
  }

  /** The present members do not get on with each other: they are not tried again for a while. */
  distrust(reason: string): void {
    if (this.#state.kind === 'standing') this.#fail(this.#state.members, { reason });
  }

  /** The commit of the pass that was added up counts: whoever has no total needs the state. */
  settle(step: number): void {
    const { followers } = this.#options;
    const state = this.#state;
    if (state.kind === 'none' || state.kind === 'forming') return;
    const holders = state.kind === 'fenced' ? state.group.holders : new Set(state.members);
    for (const member of state.members) {
      if (holders.has(member)) followers.advance(member, step);
      else this.#leaveBehind(member);
    }
    this.#state =
      state.kind === 'adding'
        ? { kind: 'standing', generation: state.generation, members: state.members }
        : { kind: 'none' };
  }

  /**
   * Ends the present generation in the middle of `pass`. Its members are asked how far they came.
   */
  fence(pass: Pass): void {
    const state = this.#state;
    if (state.kind !== 'standing' && state.kind !== 'adding') return;
    const { members, generation } = state;
    this.#sendFence(members, generation);
    for (const member of members) this.#unanswered.set(member, generation);
    const adding = state.kind === 'adding' && {
      pass,
      holders: members.filter((member) => !state.waiting.has(member)),
    };
    this.#endFenced({ members, ...adding });
  }

  /**
   * Ends the present generation in the middle of granted steps, the last of which the coordinator
   * has heard of in pass `heard`. Its members are asked how far they came.
   */
  fenceGranted(heard: number): void {
    const state = this.#state;
    if (state.kind !== 'standing') return;
    const { members, generation } = state;
    for (const { link } of members) link.send({ kind: 'fence', generation, heard });
    this.#endFenced({ members, heard });
  }

  #endFenced(facts: Omit<FenceFacts, 'sinceMs'>): void {
    const { plan, clock } = this.#options;
    const group = new FencedGroup(plan, { ...facts, sinceMs: clock.now() });
    this.#state = { kind: 'fenced', members: facts.members, group };
  }

  /** How far members came with granted steps, once all have answered; only told once. */
  takePositions(): ReadonlyMap<Member, Position> | undefined {
    const state = this.#state;
    if (state.kind !== 'fenced' || !state.group.wasGranted || !state.group.isAnswered)
      return undefined;
    this.#state = { kind: 'none' };
    return state.group.positions;
  }

  /** A member answers a fence; false if what it tells of granted steps cannot be. */
  takeFenced(member: Member, generation: number, pass: number | null, notes: Uint8Array): boolean {
    if (this.#unanswered.get(member) === generation) this.#unanswered.delete(member);
    return this.#state.kind !== 'fenced' || this.#state.group.take(member, pass, notes);
  }

  /**
   * What was being added up when the group was fenced, once all have answered and some have it;
   * undefined if nobody has: it goes on through the coordinator.
   */
  takeOutcome(): Pass | undefined {
    const state = this.#state;
    if (state.kind !== 'fenced' || state.group.wasGranted || !state.group.isAnswered)
      return undefined;
    const { pass, holders } = state.group;
    const isThere = [...holders].some(({ phase }) => phase === 'active');
    if (isThere && pass !== undefined) return pass;
    // Whoever has the total and is away has a state that is not the run's any more.
    for (const member of holders) this.#options.followers.forget(member);
    this.#state = { kind: 'none' };
    return undefined;
  }

  /** There is no group any more, between two passes. */
  disband(): void {
    const state = this.#state;
    if (state.kind !== 'none' && state.kind !== 'fenced')
      this.#sendFence(state.members, state.generation);
    this.#state = { kind: 'none' };
  }

  /** The pass under way is void. Of those who were adding it up nobody knows how far they came. */
  abandoned(): void {
    const state = this.#state;
    if (this.isAddingUp && state.kind !== 'none')
      for (const member of state.members) this.#leaveBehind(member);
    this.disband();
  }

  /** Nobody waits for a member that is away: what it has is not known. */
  left({ member }: Leaving): void {
    const state = this.#state;
    if (state.kind !== 'fenced') return;
    if (state.group.pass !== undefined) this.#options.followers.forget(member);
    state.group.leave(member);
  }

  /** Why the present group does not get on, if it does not. */
  problem(): string | undefined {
    const state = this.#state;
    const nowMs = this.#options.clock.now();
    if (state.kind === 'forming' && nowMs - state.sinceMs > FORMING_MS) {
      const ranks = [...state.waiting].map(({ rank }) => rank).join();
      const reason = `rank ${ranks}: not connected to the others after ${FORMING_MS / 1000} s`;
      this.#fail(state.members, { reason });
      return reason;
    }
    if (state.kind !== 'adding') return undefined;
    const lastMs = Math.max(...[...state.waiting].map((m) => m.liveness.progressMs), state.sinceMs);
    if (nowMs - lastMs <= STUCK_MS) return undefined;
    const ranks = [...state.waiting].map(({ rank }) => rank).join();
    const reason = `rank ${ranks}: no progress with adding up for ${STUCK_MS / 1000} s`;
    this.#fail(state.members, { reason });
    return reason;
  }

  /** Members that owe an answer to a fence, and say nothing. */
  overdue(): readonly Member[] {
    const state = this.#state;
    return state.kind === 'fenced' ? state.group.overdue(this.#options.clock.now()) : [];
  }

  /** Tells how sums travel from now on, unless that was told. */
  #tell(event: Extract<RunEvent, { kind: 'collective-chosen' }>): void {
    const { collective, ranks } = event;
    const text = JSON.stringify({ collective, ranks });
    if (text === this.#told) return;
    this.#told = text;
    this.#options.report(event);
  }

  #tellStar(members: readonly Member[], { reason, predictedMs }: Obstacle): void {
    const ranks = members.map(({ rank }) => rank).sort((a, b) => a - b);
    const why = { ...(predictedMs !== undefined && { predictedMs }), reason };
    this.#tell({ kind: 'collective-chosen', step: this.#step, collective: 'star', ranks, ...why });
  }

  #use(members: readonly Member[], step: number): 'group' {
    const ranks = members.map(({ rank }) => rank);
    const collective = this.#bodyFor(members);
    this.#tell({ kind: 'collective-chosen', step, collective, ranks, ...this.#way });
    return 'group';
  }

  #bodyFor(members: readonly Member[]): BodyName {
    const { collective } = this.#options.plan;
    if (collective !== 'auto' && collective !== 'star') return collective;
    const hosts = new Set(members.map(({ hello }) => hello.host));
    if (hosts.size === 1) return 'shm';
    return hosts.size < members.length ? 'hosts' : 'ring';
  }

  #isWanted(members: readonly Member[]): boolean {
    const { collective, auditRate } = this.#options.plan;
    if (collective === 'star' || auditRate > 0) return false;
    return members.length >= 2 && members.length <= MAX_GROUP;
  }

  /** Why these members do not form a group now. */
  #obstacle(members: readonly Member[]): Obstacle | undefined {
    const failure = this.#failures.obstacle(members, this.#options.clock.now());
    if (failure !== undefined) return failure;
    const placed = inPlaces(members);
    const reason = obstacleTo(this.#bodyFor(placed), placed, this.#ringsOf(placed));
    return reason === undefined ? undefined : { reason };
  }

  #form(members: readonly Member[]): void {
    const { clock, plan, newSecret } = this.#options;
    const generation = ++this.#generation;
    const placed = inPlaces(members);
    const secret = newSecret();
    const collective = this.#bodyFor(placed);
    const size = placed.length;
    const sumBytes = 4 * plan.sumElements;
    const noteBytes = noteBytesIn(plan, size);
    const facts = { generation, collective, secret, size, sumBytes, noteBytes };
    const all = this.#ringsOf(placed);
    for (const [index, member] of placed.entries()) {
      const rings = ringsAt(all, index).map(({ ring, previous }) => {
        const other = placed[previous];
        return { ...ring, doors: other === undefined ? [] : doorsFor(member, other) };
      });
      member.link.send({ kind: 'group', ...facts, index, rings });
    }
    const waiting = new Set(placed);
    const links = new Map<Member, LinkSpeed>();
    const sinceMs = clock.now();
    this.#state = { kind: 'forming', generation, members: placed, waiting, links, sinceMs };
  }

  #ringsOf(placed: readonly Member[]): RingPlan[] {
    return ringsOf(
      this.#bodyFor(placed),
      placed.map(({ hello }) => hello.host),
    );
  }

  #sendFence(members: readonly Member[], generation: number): void {
    for (const { link } of members) link.send({ kind: 'fence', generation });
  }

  #leaveBehind(member: Member): void {
    const { followers } = this.#options;
    followers.forget(member);
    if (member.phase === 'active') followers.leaveBehind(member);
  }

  /**
   * Of a group that stood it is told once a pass begins among the same members: where one is lost,
   * that says enough.
   */
  #fail(members: readonly Member[], obstacle: Obstacle): void {
    const nowMs = this.#options.clock.now();
    const stoodMs = this.#state.kind === 'forming' ? 0 : nowMs - this.#stoodSinceMs;
    this.#failures.note(members, obstacle, { stoodMs, nowMs });
  }
}
