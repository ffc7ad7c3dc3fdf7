/**
 * The state of the run, which lives on the workers: fetches it from one of them into the snapshot,
 * goes back to that when nobody has a newer one, and holds their digests against each other.
 */
import type { Clock } from '../base/clock.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import type { Followers } from './followers.ts';
import type { CountedPart, Leaving, PassListener } from './pass-listener.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import type { Mark, Trajectory } from './trajectory.ts';

/**
 * Who is asked for its state, or a digest of it, must send some bytes within this, and as it gets
 * one more for so many.
 */
const ANSWER_MS = 10_000;
const ANSWER_BYTES_PER_MS = 100_000;

/** A replica's own digests of its state. */
export interface Digests {
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** A run that goes on from an older state. */
export interface Rollback {
  readonly fromStep: number;
  readonly toStep: number;
}

/** What the keeper needs to know, and whom it tells. */
export interface StateKeeperOptions {
  readonly plan: Pick<RunPlan, 'stateBytes' | 'snapshotMs'>;
  readonly clock: Clock;
  readonly trajectory: Trajectory;
  readonly followers: Followers;
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  /** The newest state is lost with all that had it; the run goes on from the snapshot. */
  readonly onRolledBack: (rollback: Rollback) => void;
}

/** A member that was asked for its state, and where the run stood then. */
interface Donor {
  readonly member: Member;
  readonly mark: Mark;
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
  readonly #answers = new WeakMap<Member, Answer>();
  /** Members that went on computing when they should have sent their state. */
  readonly #reluctant = new WeakSet<Member>();
  /** By rank, of the present step. */
  readonly #digests = new Map<number, Digests>();

  constructor(options: StateKeeperOptions) {
    this.#options = options;
    this.#keptMs = options.clock.now();
  }

  /** Whether a member owes its state. */
  get isFetching(): boolean {
    return this.#donor !== undefined;
  }

  /**
   * Takes in who is ready, and asks an active member for its state if somebody needs it, or the
   * snapshot is old. Nobody waits for that: the run goes on meanwhile.
   */
  serve(): void {
    const { plan, clock, trajectory, followers, membersIn } = this.#options;
    followers.takeIn();
    const isAnyUpToDate = membersIn('active').length > 0 || followers.isAnyOnCourse;
    if (!isAnyUpToDate && membersIn('syncing').length > 0) this.#rollBack();
    const isOld = !trajectory.isKept && clock.now() - this.#keptMs > plan.snapshotMs;
    // A donor that is late answers when it has finished what it computes.
    if (this.#donor?.member.phase !== 'active') this.#donor = undefined;
    if (this.#donor === undefined && (followers.isSnapshotWanted || isOld)) this.fetch();
  }

  /** Asks an active member for its state. */
  fetch(): void {
    const { trajectory, membersIn } = this.#options;
    const active = membersIn('active');
    const member = active.find((m) => !this.#reluctant.has(m)) ?? active[0];
    this.#donor = member === undefined ? undefined : { member, mark: trajectory.mark() };
    member?.link.sendData({ kind: 'sendState', step: trajectory.step });
  }

  /**
   * Whether `payload`, the state that `member` sent, is what it was asked for; then it is the
   * snapshot.
   */
  take(member: Member, step: number, payload: Uint8Array): boolean {
    const { clock, trajectory, followers } = this.#options;
    const donor = this.#donor;
    if (donor?.member !== member || donor.mark.step !== step) return false;
    this.#donor = undefined;
    trajectory.keep(donor.mark, payload);
    this.#keptMs = clock.now();
    followers.feed();
    followers.giveUpOvertaken();
    return true;
  }

  /** Who computes a later step has passed the state that it owes. */
  counted({ member, spec }: CountedPart): void {
    if (!this.isDonor(member) || spec.step <= (this.#donor?.mark.step ?? Infinity)) return;
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
  }

  /**
   * Everyone gets a state in which there is nothing of `workerIds`, if the present one may have
   * something. Tells from which step to which the run went back, if it did.
   */
  undo(workerIds: readonly string[]): Rollback | undefined {
    const { trajectory, followers } = this.#options;
    const fromStep = trajectory.step;
    const trustedStep = Math.min(...workerIds.map((workerId) => followers.firstStepOf(workerId)));
    trajectory.undo(trustedStep);
    if (trustedStep >= fromStep) return undefined;
    this.#donor = undefined;
    followers.restart();
    this.#digests.clear();
    return { fromStep, toStep: trajectory.step };
  }

  /** Asks everyone who has the state of the present step for its digest. */
  askForDigests(holders: readonly Member[]): void {
    const { step } = this.#options.trajectory;
    for (const { link } of holders) link.sendData({ kind: 'sendDigest', step });
  }

  /** Keeps what a member reports, if it is of the present step. */
  takeDigest({ rank }: Member, step: number, digests: Digests): void {
    if (step === this.#options.trajectory.step) this.#digests.set(rank, digests);
  }

  /** What a member has reported of the present step. */
  digestsOf({ rank }: Member): Digests | undefined {
    return this.#digests.get(rank);
  }

  /**
   * How long each active member that owes its state, or with `wantsDigests` a digest, has sent
   * nothing, if that is too long.
   */
  overdue(
    wantsDigests: boolean,
  ): readonly { readonly member: Member; readonly silentMs: number }[] {
    const { plan, clock, membersIn } = this.#options;
    const nowMs = clock.now();
    const allowedMs = ANSWER_MS + plan.stateBytes / ANSWER_BYTES_PER_MS;
    return membersIn('active').flatMap((member) => {
      const owesDigest = wantsDigests && !this.#digests.has(member.rank);
      const bytes = member.link.dataBytesReceived;
      const before = this.#answers.get(member);
      const owes = (this.isDonor(member) || owesDigest) && !member.liveness.isComputing;
      const isWaiting = owes && bytes === before?.bytes;
      const ms = isWaiting ? before.ms : nowMs;
      this.#answers.set(member, { bytes, ms });
      const silentMs = nowMs - ms;
      return silentMs > allowedMs ? [{ member, silentMs }] : [];
    });
  }

  #rollBack(): void {
    const { trajectory, followers, onRolledBack } = this.#options;
    const { step, isKept, snapshot } = trajectory;
    if (!isKept) onRolledBack({ fromStep: step, toStep: snapshot.step });
    trajectory.rollBack();
    followers.restart();
  }
}
