/**
 * The state of the run, which lives on the workers: fetches it from one of them into the snapshot,
 * and goes back to that when nobody has a newer one.
 *
 * Before a state becomes the snapshot, and at every evaluation, all replicas say which state they
 * have. Steps go on meanwhile; but up to the snapshot everybody's work is of the right state.
 */
import type { Clock } from '../../base/clock.ts';
import type { Member, MemberPhase } from '../../membership/member.ts';
import { MAX_PIECE_BYTES } from '../../protocol/peer-messages.ts';
import type { Followers } from './followers.ts';
import type { BegunPass, CountedPart, Leaving, PassListener } from '../steps/pass-listener.ts';
import { isWrittenSince, type RunPlan } from '../../plan/run-plan.ts';
import type { Replicas, Split } from './replicas.ts';
import type { Digests, Mark, Snapshot, Trajectory } from '../steps/trajectory.ts';

/**
 * Who is asked for its state, or a digest of it, must send some bytes within this, and as it gets
 * one more for so many.
 */
const ANSWER_MS = 10_000;
const ANSWER_BYTES_PER_MS = 100_000;
/** What a worker computes waits behind its state: of the time so much goes into that at most. */
const SENDING_SHARE = 1 / 50;
/** States that were evaluated are fetched so often at most. */
const EVALUATED_MS = 1_000;

/** A run that goes on from an older state. */
export interface Rollback {
  readonly fromStep: number;
  readonly toStep: number;
}

/** What the keeper needs to know, and whom it tells. */
export interface StateKeeperOptions {
  readonly plan: Pick<RunPlan, 'stateBytes' | 'snapshotMs' | 'checkpoints'>;
  readonly clock: Clock;
  readonly trajectory: Trajectory;
  readonly followers: Followers;
  readonly replicas: Replicas;
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  /** The newest state is lost with all that had it; the run goes on from the snapshot. */
  readonly onRolledBack: (rollback: Rollback) => void;
  /** A member was asked for the state after the present step. */
  readonly onAsked?: ((step: number) => void) | undefined;
  /** A member's state has become the snapshot. */
  readonly onKept?: ((snapshot: Snapshot) => void) | undefined;
}

/**
 * A member that was asked for its state, where the run stood then, and what it has sent. It is the
 * snapshot once all replicas are known to have had the same, the donor's digest included, which
 * follows its state: what came before that may be an older answer, of steps that were undone.
 */
interface Donor {
  readonly member: Member;
  readonly mark: Mark;
  /** What has come of its state so far, and since when. */
  coming?: { readonly state: Uint8Array; received: number; readonly sinceMs: number };
  /** All of it. */
  state?: Uint8Array;
}

/** What a member that owes an answer has sent so far. */
interface Answer {
  readonly bytes: number;
  /** When its bytes last grew, or it owed nothing. */
  readonly ms: number;
}

/** Sees to it that there is a snapshot, and that members get the newest state. */
export class StateKeeper implements PassListener {
  readonly #options: StateKeeperOptions;
  #donor: Donor | undefined;
  #keptMs: number;
  #isRenewed = false;
  /** How long the last state was on its way. */
  #sendingMs = 0;
  readonly #answers = new WeakMap<Member, Answer>();
  /** Members that went on computing when they should have sent their state. */
  readonly #reluctant = new WeakSet<Member>();

  constructor(options: StateKeeperOptions) {
    this.#options = options;
    this.#keptMs = options.clock.now();
  }

  /** Whether a member was asked for its state, which is not the snapshot yet. */
  get isFetching(): boolean {
    return this.#donor !== undefined;
  }

  /** The model is evaluated if all replicas have the same. */
  begun({ pass, members }: BegunPass): void {
    if (pass.spec.work === 'evaluate' && members.length > 1) this.askForDigests(members);
  }

  /** A newer snapshot is due now. */
  renew(): void {
    this.#isRenewed = true;
  }

  /** Whether a newer snapshot is due. */
  get isOld(): boolean {
    return !this.#options.trajectory.isKept && this.#isDue();
  }

  /**
   * Takes in who is ready, and asks an active member for its state if somebody needs it, or the
   * snapshot is old. Nobody waits for that: the run goes on meanwhile.
   */
  serve(): void {
    const { followers, replicas, membersIn } = this.#options;
    followers.takeIn();
    const isAnyUpToDate = membersIn('active').length > 0 || followers.isAnyOnCourse;
    if (!isAnyUpToDate && membersIn('syncing').length > 0) this.#rollBack();
    // A donor that is late answers when it has finished what it computes.
    if (this.#donor?.member.phase !== 'active') this.#donor = undefined;
    const isWanted = followers.isSnapshotWanted || this.isOld;
    if (this.#donor === undefined && isWanted && !replicas.isComparing) this.fetch();
  }

  /** Asks an active member for its state, and all for digests of theirs. */
  fetch(): void {
    const { plan, trajectory, replicas, membersIn, onAsked } = this.#options;
    const holders = membersIn('active');
    const member = holders.find((m) => !this.#reluctant.has(m)) ?? holders[0];
    this.#donor = member === undefined ? undefined : { member, mark: trajectory.mark() };
    if (member === undefined) return;
    const { step } = trajectory;
    onAsked?.(step);
    // It says so much more than what it is sent explains.
    member.link.expect(Math.ceil(plan.stateBytes / MAX_PIECE_BYTES));
    member.link.sendData({ kind: 'sendState', step });
    replicas.askAnew([member, ...holders.filter((holder) => holder !== member)], step);
  }

  /** Memory for the next part of a state from `member`, if it is the one that was asked. */
  targetFor(member: Member, byteLength: number): Uint8Array | undefined {
    const donor = this.#donor;
    if (donor?.member !== member) return undefined;
    const { state, received } = this.#comingFrom(donor);
    const target = state.subarray(received, received + byteLength);
    return target.length === byteLength ? target : undefined;
  }

  /** Takes `part`, of the state that `member` sends, if it is what comes next of what was asked for. */
  take(member: Member, step: number, offset: number, part: Uint8Array): void {
    const donor = this.#donor;
    if (donor?.member !== member || donor.mark.step !== step) return;
    const coming = this.#comingFrom(donor);
    // The same may come twice, or be of an older answer.
    if (offset !== coming.received || donor.state !== undefined) return;
    if (part.buffer !== coming.state.buffer) coming.state.set(part, offset);
    coming.received += part.length;
    if (coming.received < coming.state.length) return;
    donor.state = coming.state;
    this.#sendingMs = this.#options.clock.now() - coming.sinceMs;
  }

  /**
   * Compares the replicas, once nobody owes a digest. If all had the same state, what was fetched
   * is the snapshot.
   */
  compare(): Split | undefined {
    const { clock, trajectory, followers, replicas, onKept } = this.#options;
    if (replicas.isComparing) return undefined;
    const split = replicas.compare();
    const { member, mark, state } = this.#donor ?? {};
    if (split !== undefined || member === undefined || mark === undefined || state === undefined)
      return split;
    this.#donor = undefined;
    trajectory.keep(mark, state, replicas.digestsOf(member, mark.step));
    this.#keptMs = clock.now();
    this.#isRenewed = false;
    onKept?.(trajectory.snapshot);
    followers.feed();
    followers.giveUpOvertaken();
    return undefined;
  }

  /** Who computes a later step has passed the state that it owes. */
  counted({ member, spec }: CountedPart): void {
    const { mark, coming } = this.#donor ?? {};
    const isDue = this.isDonor(member) && coming === undefined && mark !== undefined;
    if (!isDue || spec.step <= mark.step) return;
    this.#donor = undefined;
    this.#reluctant.add(member);
  }

  /** Whether `member` is the one that owes the state. */
  isDonor(member: Member): boolean {
    return this.#donor?.member === member;
  }

  /** Whoever leaves will not send what it owes. */
  left({ member }: Leaving): void {
    if (this.isDonor(member)) this.#donor = undefined;
    this.#options.replicas.forget(member);
  }

  /** The step up to which there is nothing of `workerIds` in any state. */
  trustedStep(workerIds: readonly string[]): number {
    return Math.min(...workerIds.map((id) => this.#options.followers.firstStepOf(id)));
  }

  /**
   * Everyone gets a state in which there is nothing of the steps after `trustedStep`, if there is
   * any. Tells from which step to which the run went back, if it did.
   */
  undo(trustedStep: number): Rollback | undefined {
    const { trajectory } = this.#options;
    const fromStep = trajectory.step;
    trajectory.undo(trustedStep);
    if (trustedStep >= fromStep) return undefined;
    this.#restart();
    return { fromStep, toStep: trajectory.step };
  }

  /** The same, also if the present state is trusted: not everyone has it. */
  giveAnew(trustedStep: number): Rollback | undefined {
    const { trajectory } = this.#options;
    const fromStep = trajectory.step;
    trajectory.goBack(trustedStep);
    this.#restart();
    return trajectory.step < fromStep ? { fromStep, toStep: trajectory.step } : undefined;
  }

  /**
   * Asks those who have the state of the present step for its digest, unless they were asked, or
   * answers about an older one are awaited.
   */
  askForDigests(holders: readonly Member[]): void {
    this.#options.replicas.askOthers(holders, this.#options.trajectory.step);
  }

  /** Keeps what a member reports, if it is what it was asked for. */
  takeDigest(member: Member, ask: number, digests: Digests): void {
    this.#options.replicas.hear(member, ask, digests);
  }

  /** What a member has reported of the present step. */
  digestsOf(member: Member): Digests | undefined {
    return this.#options.replicas.digestsOf(member, this.#options.trajectory.step);
  }

  /**
   * How long each active member that owes its state, or a digest of it, has sent nothing, if that
   * is too long. Whoever computes answers when it has finished that.
   */
  overdue(): readonly { readonly member: Member; readonly silentMs: number }[] {
    const { plan, clock, replicas, membersIn } = this.#options;
    const nowMs = clock.now();
    const allowedMs = ANSWER_MS + plan.stateBytes / ANSWER_BYTES_PER_MS;
    return membersIn('active').flatMap((member) => {
      const owesState = this.isDonor(member) && this.#donor?.state === undefined;
      const owes = (owesState || replicas.isAwaited(member)) && !member.liveness.isComputing;
      const bytes = member.link.dataBytesReceived;
      const before = this.#answers.get(member);
      const isWaiting = owes && bytes === before?.bytes;
      const ms = isWaiting ? before.ms : nowMs;
      this.#answers.set(member, { bytes, ms });
      const silentMs = nowMs - ms;
      return silentMs > allowedMs ? [{ member, silentMs }] : [];
    });
  }

  /**
   * Whether the snapshot is old: on a slow link it is taken less often. If states are written down,
   * one that was evaluated may be the best, and is wanted soon.
   */
  #isDue(): boolean {
    const { plan, clock, trajectory } = this.#options;
    if (this.#isRenewed) return true;
    const { checkpoints } = plan;
    const wantedMs =
      checkpoints !== undefined && trajectory.isEvaluated
        ? Math.min(EVALUATED_MS, plan.snapshotMs)
        : plan.snapshotMs;
    const pauseMs = Math.max(wantedMs, this.#sendingMs / SENDING_SHARE);
    if (clock.now() - this.#keptMs > pauseMs) return true;
    return isWrittenSince(plan, trajectory.snapshot.step, trajectory.step);
  }

  #comingFrom(donor: Donor): NonNullable<Donor['coming']> {
    const { plan, clock } = this.#options;
    donor.coming ??= { state: new Uint8Array(plan.stateBytes), received: 0, sinceMs: clock.now() };
    return donor.coming;
  }

  #restart(): void {
    this.#donor = undefined;
    this.#options.replicas.clear();
    this.#options.followers.restart();
  }

  #rollBack(): void {
    const { trajectory, onRolledBack } = this.#options;
    const { step, isKept, snapshot } = trajectory;
    if (!isKept) onRolledBack({ fromStep: step, toStep: snapshot.step });
    trajectory.rollBack();
    this.#restart();
  }
}
