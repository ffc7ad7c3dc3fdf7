/**
 * Who has which state. Active members get every commit as it comes. Everyone else who is ready is
 * brought up to date at its own pace: the state first, from an active member that it reaches or
 * else from the snapshot, then the commits since, one thing at a time, and takes leases once it has
 * caught up. Nobody waits for it; if it is slower than the run for longer than commits are kept, it
 * tries again later, and ever more rarely: as long as somebody follows, steps go through the
 * coordinator.
 */
import type { Clock } from '../../base/clock.ts';
import { remember } from '../../base/remember.ts';
import type { Member, MemberPhase } from '../../membership/member.ts';
import { Broadcast } from '../../transport/connection.ts';
import type { HandOvers } from './hand-overs.ts';
import type { Trajectory } from '../steps/trajectory.ts';
import type { Sums } from '../steps/sums.ts';

/** Commits that an active member may not have read yet; with more it is left behind. */
const MAX_UNREAD = 2;
/** Who is sent something must read some of it within this. */
const READING_MS = 10_000;
/** Who could not keep up rests for so many times as long as it tried, then for twice as many. */
const REST_SHARE = 2;
const MIN_REST_MS = 1_000;
/** No longer than this, unless that is as many times as long as it tried. */
const MAX_REST_MS = 600_000;
const MAX_REST_SHARE = 9;
/** Whose state comes later than commits are kept is given up after this. */
const OVERTAKEN_MS = 1_000;

/** What is known of a member's way to the newest state. */
interface Course {
  /** The step whose state it has once it has read what was sent; undefined: none that counts. */
  step: number | undefined;
  /** Who gave it the state; undefined if that is from here. */
  giver: Member | undefined;
  /** Messages of states and commits that are not all on their way. */
  unread: number;
  /** Since when it is brought up to date, and whether it was sent anything since then. */
  beganMs: number;
  isTried: boolean;
  /** It could not keep up: not before this; and how often that was so, one time after the other. */
  restsUntilMs: number;
  rests: number;
  /** States of an older era are void. */
  era: number;
}

/** What followers need to know, and whom they tell. */
export interface FollowersOptions {
  readonly clock: Clock;
  readonly sums: Sums;
  readonly handOvers: HandOvers;
  /** The run's present step and its newest snapshot. */
  readonly standing: () => Pick<Trajectory, 'step' | 'snapshot'>;
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  /** Whether a member may take leases, or still has old ones to finish. */
  readonly isFree: (member: Member) => boolean;
  /** A member is given the state of step `step`. */
  readonly onGiven: (member: Member, step: number) => void;
  /** `donor` has given a member a state of its own. */
  readonly onGivenBy: (member: Member, donor: Member) => void;
  /** A member has become active, with a state that `giver` has given it, or that is from here. */
  readonly onActive: (member: Member, giver: Member | undefined) => void;
  /** The others were faster than what `member` was sent: it rests for `restMs`. */
  readonly onOvertaken: (member: Member, triedMs: number, restMs: number) => void;
  /** A member has read what it was sent; something may have waited for that. */
  readonly onRead: () => void;
}

/** Brings members up to date, and keeps them so. */
export class Followers {
  readonly #options: FollowersOptions;
  readonly #courses = new WeakMap<Member, Course>();
  /** By worker id, the step at which it first took leases: nothing of it is in the state of that. */
  readonly #firstStep = new Map<string, number>();
  #serial = 0;
  /** Counts how often the run went back to an older state. */
  #era = 0;

  constructor(options: FollowersOptions) {
    this.#options = options;
  }

  /** Whether somebody is on its way to the newest state, and needs no snapshot to get there. */
  get isAnyOnCourse(): boolean {
    return this.#options.membersIn('syncing').some((m) => this.#courseOf(m).step !== undefined);
  }

  /** Whether somebody who is to be brought up to date needs a newer snapshot than there is. */
  get isSnapshotWanted(): boolean {
    const needy = this.#options.membersIn('syncing').some((m) => this.#needsSnapshot(m));
    return needy && !this.#isSnapshotUsable();
  }

  /** Whether somebody is to be taken in. */
  get isAnyoneWaiting(): boolean {
    return this.#options.membersIn('ready').some((member) => this.#mayBeTakenIn(member));
  }

  /** Takes in everyone who is ready and not resting. */
  takeIn(): void {
    const { membersIn } = this.#options;
    for (const member of membersIn('ready'))
      if (this.#mayBeTakenIn(member)) this.leaveBehind(member);
    for (const member of membersIn('syncing')) this.#askPeers(member);
    this.feed();
  }

  /** `member` says whether it has the state that another worker was to give it. */
  takeFetched(member: Member, serial: number, isThere: boolean): void {
    const { sums, handOvers, standing, onGivenBy } = this.#options;
    const handOver = handOvers.takeFetched(member, serial, isThere);
    if (handOver === undefined) return;
    const { step, donor } = handOver;
    if (!sums.reachesBack(step, standing().step)) return handOvers.distrust(member);
    const course = this.#courseOf(member);
    course.step = step;
    course.giver = donor;
    course.isTried = true;
    onGivenBy(member, donor);
    this.#feed(member);
  }

  /** Nobody waits for `member` any more: it is brought up to date at its own pace. */
  leaveBehind(member: Member): void {
    const course = this.#courseOf(member);
    course.beganMs = this.#options.clock.now();
    course.isTried = false;
    member.follow();
  }

  /** Sends everyone who is brought up to date what comes next, and makes active who has caught up. */
  feed(): void {
    for (const member of this.#options.membersIn('syncing')) this.#feed(member);
  }

  /** The commit of the step before the present one is there: active members get it. */
  publish(): void {
    const { membersIn, sums, standing } = this.#options;
    const committed = standing().step - 1;
    const active = membersIn('active');
    const hasRead = (member: Member): boolean => this.#courseOf(member).unread < MAX_UNREAD;
    // Who is alone has read all that its part in this step needed.
    const readers = active.length === 1 ? active : active.filter(hasRead);
    for (const member of active) if (!readers.includes(member)) this.leaveBehind(member);
    for (const member of readers) this.#note(member, committed + 1);
    sums.send(committed, readers, (member) => this.#read(member));
    this.feed();
  }

  /** `member` has committed the step before `step` by itself. */
  advance(member: Member, step: number): void {
    this.#courseOf(member).step = step;
  }

  /**
   * `member` has come with the present state. It may have had a part in it from the beginning, as
   * far as anybody knows.
   */
  comesWith(member: Member, step: number): void {
    this.advance(member, step);
    remember(this.#firstStep, member.workerId, 0);
  }

  /** `member`, who has the present state, takes leases again. */
  resume(member: Member): void {
    this.#activate(member);
  }

  /** It is not known which state `member` has: its group is over. Others may not reach it any more. */
  forget(member: Member): void {
    this.#courseOf(member).step = undefined;
    this.#options.handOvers.distrust(member);
  }

  /** `member` takes no part until then, unless nobody else does. */
  leaveOut(member: Member, untilMs: number): void {
    this.forget(member);
    this.#courseOf(member).restsUntilMs = untilMs;
    member.stopFollowing();
  }

  /** `member`, who was left out, may take part again. */
  recall(member: Member): void {
    this.#courseOf(member).restsUntilMs = 0;
  }

  /** Everyone's state is void: the run goes on from the snapshot, which active members get now. */
  restart(): void {
    const { membersIn, sums, handOvers } = this.#options;
    this.#era++;
    sums.forgetAll();
    handOvers.clear();
    this.#handOver(membersIn('active'));
    this.feed();
  }

  /** The newest snapshot is too old already for those who waited for it. */
  giveUpOvertaken(): void {
    if (this.#isSnapshotUsable()) return;
    for (const member of this.#options.membersIn('syncing')) {
      if (this.#needsSnapshot(member)) this.#rest(member, this.#courseOf(member));
    }
  }

  /** The step at which a worker first took leases; 0 if that is not known. */
  firstStepOf(workerId: string): number {
    return this.#firstStep.get(workerId) ?? 0;
  }

  /** How long each member that is brought up to date has read nothing, if that is too long. */
  overdue(): readonly { readonly member: Member; readonly silentMs: number }[] {
    const { clock, membersIn } = this.#options;
    const nowMs = clock.now();
    return membersIn('syncing')
      .filter((member) => this.#courseOf(member).unread > 0)
      .map((member) => ({ member, silentMs: nowMs - member.liveness.progressMs }))
      .filter(({ silentMs }) => silentMs > READING_MS);
  }

  #mayBeTakenIn(member: Member): boolean {
    const { clock, handOvers, membersIn } = this.#options;
    const { restsUntilMs, unread } = this.#courseOf(member);
    // Who still reads what is too old can be given nothing else.
    const isReading = unread > 0 || handOvers.isUnderWayTo(member);
    const rests = restsUntilMs > clock.now() || isReading;
    return this.#mayFollow(member) && (!rests || membersIn('active').length === 0);
  }

  /** Who is late finishes its old work first, unless everybody waits for it. */
  #mayFollow(member: Member): boolean {
    const { isFree, membersIn } = this.#options;
    return isFree(member) || membersIn('active').length === 0;
  }

  /** Has another worker give `member` the present state, which active members have, if it has none. */
  #askPeers(member: Member): void {
    const { handOvers, standing } = this.#options;
    const isWanted = this.#courseOf(member).step === undefined && this.#mayFollow(member);
    if (isWanted && standing().step > 0) handOvers.begin(member, standing().step, ++this.#serial);
  }

  /** Whether `member` is to get its state from here: the initial state is nowhere else. */
  #needsSnapshot(member: Member): boolean {
    const { handOvers, standing } = this.#options;
    const isFirst = standing().step === 0;
    return this.#courseOf(member).step === undefined && (isFirst || !handOvers.isMeantFor(member));
  }

  #feed(member: Member): void {
    const { sums, standing } = this.#options;
    const course = this.#courseOf(member);
    if (this.#isOvertaken(member, course)) return this.#rest(member, course);
    if (course.unread > 0 || !this.#mayFollow(member)) return;
    const { step } = standing();
    const canGoOn = course.step !== undefined && sums.reachesBack(course.step, step);
    // The commits that it needs next are not kept any more: a state must do.
    if (!canGoOn && course.isTried && course.step !== undefined) return this.#rest(member, course);
    if (!canGoOn) course.step = undefined;
    if (course.step === undefined) {
      if (this.#needsSnapshot(member) && this.#isSnapshotUsable()) this.#handOver([member]);
    } else if (course.step === step) this.#activate(member);
    else {
      const next = course.step;
      this.#note(member, next + 1);
      sums.send(next, [member], () => this.#read(member));
    }
  }

  /** Whether the others, who go on, are too far for what is on its way to `member`. */
  #isOvertaken(member: Member, { step, unread, beganMs }: Course): boolean {
    const { clock, sums, handOvers, standing, membersIn } = this.#options;
    const coming = unread > 0 ? step : handOvers.stepFor(member);
    if (coming === undefined || clock.now() - beganMs < OVERTAKEN_MS) return false;
    return !sums.reachesBack(coming, standing().step) && membersIn('active').length > 0;
  }

  #activate(member: Member): void {
    const { standing, handOvers, onActive } = this.#options;
    member.activate();
    this.#courseOf(member).rests = 0;
    handOvers.settle(member);
    if (!this.#firstStep.has(member.workerId))
      remember(this.#firstStep, member.workerId, standing().step);
    onActive(member, this.#courseOf(member).giver);
  }

  /** It was overtaken. */
  #rest(member: Member, course: Course): void {
    const { clock, handOvers, onOvertaken } = this.#options;
    const nowMs = clock.now();
    const triedMs = nowMs - course.beganMs;
    const wantedMs = Math.max(MIN_REST_MS, REST_SHARE * 2 ** course.rests++ * triedMs);
    const restMs = Math.min(wantedMs, Math.max(MAX_REST_MS, MAX_REST_SHARE * triedMs));
    course.step = undefined;
    course.restsUntilMs = nowMs + restMs;
    handOvers.giveUp(member);
    member.stopFollowing();
    onOvertaken(member, triedMs, restMs);
  }

  #handOver(members: readonly Member[]): void {
    const { snapshot } = this.#options.standing();
    const payload = new Broadcast(snapshot.bytes);
    for (const member of members) {
      const { step } = snapshot;
      this.#note(member, step);
      this.#courseOf(member).giver = undefined;
      this.#options.onGiven(member, step);
      member.liveness.restartPatience(this.#options.clock.now());
      const serial = ++this.#serial;
      member.link.sendData({ kind: 'state', step, serial }, payload, () => this.#read(member));
    }
  }

  /** `member` is being sent what brings it to `step`. */
  #note(member: Member, step: number): void {
    const course = this.#courseOf(member);
    course.step = step;
    course.isTried = true;
    course.unread++;
  }

  #read(member: Member): void {
    const course = this.#courseOf(member);
    course.unread = Math.max(0, course.unread - 1);
    if (member.phase === 'syncing') this.#feed(member);
    this.#options.onRead();
  }

  #isSnapshotUsable(): boolean {
    const { sums, standing } = this.#options;
    const { step, snapshot } = standing();
    return sums.reachesBack(snapshot.step, step);
  }

  #courseOf(member: Member): Course {
    const times = { beganMs: 0, restsUntilMs: 0, rests: 0 };
    const fresh = {
      step: undefined,
      giver: undefined,
      unread: 0,
      isTried: false,
      ...times,
      era: this.#era,
    };
    const course = this.#courses.get(member) ?? fresh;
    if (course.era !== this.#era) [course.era, course.step] = [this.#era, undefined];
    this.#courses.set(member, course);
    return course;
  }
}
