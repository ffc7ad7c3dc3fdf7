/**
 * The state of the run, which lives on the workers: hands it to newcomers, fetches it from one of
 * them into the snapshot, and knows whose state is the newest.
 */
import type { Clock } from '../base/clock.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import { Broadcast } from '../transport/connection.ts';
import type { Leaving, PassListener } from './pass-listener.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import type { Trajectory } from './trajectory.ts';

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
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  /** A member has become active; it may help in the pass that is under way. */
  readonly onActive: (member: Member) => void;
  /** The newest state is lost with all that had it; the run goes on from the snapshot. */
  readonly onRolledBack: (rollback: Rollback) => void;
}

/** What a member that owes an answer has sent so far. */
interface Answer {
  readonly bytes: number;
  /** When its bytes last grew, or it owed nothing. */
  readonly ms: number;
}

/** Knows who has which state, and sees to it that members get the newest. */
export class StateKeeper implements PassListener {
  readonly #options: StateKeeperOptions;
  /** The member that was asked for the state at the present step. */
  #donor: Member | undefined;
  #keptMs: number;
  /** The step whose state a stalled member holds, once it has read what was sent to it. */
  #heldStep = new WeakMap<Member, number>();
  readonly #answers = new WeakMap<Member, Answer>();
  /**
   * By worker id, the step at which it first had the state: nothing of it is in any state up to
   * there.
   */
  readonly #firstStep = new Map<string, number>();
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
   * Gives the state to members that have none. A newcomer is active at once if the snapshot is of
   * this step; else an active member is asked for the state, and the commit of the coming pass
   * waits for it.
   */
  serve(): void {
    const { plan, clock, trajectory, membersIn } = this.#options;
    const newcomers = membersIn('ready');
    if (membersIn('active').length === 0 && newcomers.length > 0) this.#rollBack();
    const { isKept } = trajectory;
    if (isKept) this.#activate(newcomers);
    else for (const member of newcomers) member.awaitState();
    const isOld = clock.now() - this.#keptMs > plan.snapshotMs;
    if (this.#donor === undefined && !isKept && (newcomers.length > 0 || isOld)) this.fetch();
  }

  /** Asks an active member for its state. */
  fetch(): void {
    const { trajectory, membersIn } = this.#options;
    this.#donor = membersIn('active')[0];
    this.#donor?.link.sendData({ kind: 'sendState', step: trajectory.step });
  }

  /**
   * Whether `payload`, the state that `member` sent, is what it was asked for; then it is the
   * snapshot.
   */
  take(member: Member, step: number, payload: Uint8Array): boolean {
    const { clock, trajectory, membersIn } = this.#options;
    if (member !== this.#donor || step !== trajectory.step) return false;
    this.#donor = undefined;
    trajectory.keep(payload);
    this.#keptMs = clock.now();
    this.#activate(membersIn('syncing'));
    return true;
  }

  /** Nobody owes a state any more, and nobody gets one before the next `serve`. */
  abandoned(): void {
    this.#donor = undefined;
    for (const member of this.#options.membersIn('syncing')) member.stopAwaitingState();
  }

  /** Whether `member` is the one that owes the state. */
  isDonor(member: Member): boolean {
    return this.#donor === member;
  }

  /** Whoever leaves will not send what it owes; a stalled member still has the state it had. */
  left(leaving: Leaving): void {
    const { member } = leaving;
    if (this.#donor === member) this.#donor = undefined;
    if (leaving.how !== 'stalled') return;
    if (leaving.wasActive) this.#heldStep.set(member, leaving.step);
    else this.#heldStep.delete(member);
  }

  /** Whether a stalled member still holds the newest state. */
  isNewest(member: Member): boolean {
    return this.#heldStep.get(member) === this.#options.trajectory.step;
  }

  /**
   * Everyone gets a state in which there is nothing of `workerIds`, if the present one may have
   * something. Tells from which step to which the run went back, if it did.
   */
  undo(workerIds: readonly string[]): Rollback | undefined {
    const { trajectory, membersIn } = this.#options;
    const fromStep = trajectory.step;
    const trustedStep = Math.min(
      ...workerIds.map((workerId) => this.#firstStep.get(workerId) ?? 0),
    );
    trajectory.undo(trustedStep);
    if (trustedStep >= fromStep) return undefined;
    this.#sendSnapshot(membersIn('active'));
    this.#heldStep = new WeakMap();
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
      const isWaiting = (member === this.#donor || owesDigest) && bytes === before?.bytes;
      const ms = isWaiting ? before.ms : nowMs;
      this.#answers.set(member, { bytes, ms });
      const silentMs = nowMs - ms;
      return silentMs > allowedMs ? [{ member, silentMs }] : [];
    });
  }

  #rollBack(): void {
    const { trajectory, onRolledBack } = this.#options;
    const { step, isKept, snapshot } = trajectory;
    if (!isKept) onRolledBack({ fromStep: step, toStep: snapshot.step });
    trajectory.rollBack();
  }

  /** Gives the snapshot, which is of this step, to all of `members`. */
  #activate(members: readonly Member[]): void {
    const { trajectory, onActive } = this.#options;
    this.#sendSnapshot(members);
    for (const member of members) {
      member.activate();
      if (!this.#firstStep.has(member.workerId))
        this.#firstStep.set(member.workerId, trajectory.step);
      onActive(member);
    }
  }

  #sendSnapshot(members: readonly Member[]): void {
    const { step, bytes } = this.#options.trajectory.snapshot;
    const payload = new Broadcast(bytes);
    for (const { liveness, link } of members) {
      liveness.restartPatience(this.#options.clock.now());
      link.sendData({ kind: 'state', step }, payload);
    }
  }
}
