/**
 * The state of the run, which lives on the workers: hands it to newcomers, fetches it from one of
 * them into the snapshot, and knows whose state is the newest.
 *
 * Before a state becomes the snapshot, and at every evaluation, all replicas say which state they
 * have. So up to the snapshot everybody's work is of the right state.
 */
import type { Clock } from '../base/clock.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import { Broadcast } from '../transport/connection.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import type { BegunPass, CompletedPass, Leaving, PassListener } from './pass-listener.ts';
import { type Digests, Replicas, type Split } from './replicas.ts';
import type { Trajectory } from './trajectory.ts';

/**
 * Who is asked for its state, or a digest of it, must send some bytes within this, and as it gets
 * one more for so many.
 */
const ANSWER_MS = 10_000;
const ANSWER_BYTES_PER_MS = 100_000;

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
  /** The member that was asked for the state at the present step, until that is kept. */
  #donor: Member | undefined;
  /**
   * What the donor has sent last. It is the snapshot once all replicas are known to have the same,
   * the donor's digest included, which follows its state: what came before that may be an older
   * answer, of steps that were undone.
   */
  #fetched: Uint8Array | undefined;
  #keptMs: number;
  /** The step whose state a stalled member holds, once it has read what was sent to it. */
  #heldStep = new WeakMap<Member, number>();
  readonly #answers = new WeakMap<Member, Answer>();
  /**
   * By worker id, the step at which it first had the state: nothing of it is in any state up to
   * there.
   */
  readonly #firstStep = new Map<string, number>();
  readonly #replicas = new Replicas();

  constructor(options: StateKeeperOptions) {
    this.#options = options;
    this.#keptMs = options.clock.now();
  }

  /** Whether a member owes its state, or what was fetched cannot be kept yet. */
  get isFetching(): boolean {
    return this.#donor !== undefined;
  }

  /** Whether somebody owes a digest of its state. */
  get isComparing(): boolean {
    return this.#replicas.isComparing;
  }

  /** The model is evaluated if all replicas have the same. */
  begun({ pass, members }: BegunPass): void {
    if (pass.spec.work === 'evaluate' && members.length > 1) this.askForDigests(members);
  }

  /** What was said of the state before this step is of no use any more. */
  completed({ outcome }: CompletedPass): void {
    if (outcome.kind === 'commit') this.#replicas.clear();
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
    if (!this.isFetching && !isKept && (newcomers.length > 0 || isOld)) this.fetch();
  }

  /** Asks an active member for its state, and all for digests of theirs. */
  fetch(): void {
    const { trajectory, membersIn } = this.#options;
    const { step } = trajectory;
    const holders = membersIn('active');
    const [donor] = holders;
    if (donor === undefined) return;
    this.#donor = donor;
    donor.link.sendData({ kind: 'sendState', step });
    this.#replicas.ask(donor, step);
    this.#replicas.askOthers(holders, step);
  }

  /** Takes `payload`, the state that `member` sent, if it is what it was asked for. */
  take(member: Member, step: number, payload: Uint8Array): void {
    if (member === this.#donor && step === this.#options.trajectory.step) this.#fetched = payload;
  }

  /**
   * Compares the replicas, once nobody owes a digest. If all have the same state, what was fetched
   * is the snapshot.
   */
  compare(): Split | undefined {
    const { clock, trajectory, membersIn } = this.#options;
    const split = this.#replicas.compare(trajectory.step);
    const fetched = this.#fetched;
    if (split !== undefined || this.isComparing || fetched === undefined) return split;
    this.#donor = this.#fetched = undefined;
    trajectory.keep(fetched);
    this.#keptMs = clock.now();
    this.#activate(membersIn('syncing'));
    return undefined;
  }

  /** Nobody owes a state any more, and nobody gets one before the next `serve`. */
  abandoned(): void {
    this.#donor = this.#fetched = undefined;
    this.#replicas.clear();
    for (const member of this.#options.membersIn('syncing')) member.stopAwaitingState();
  }

  /** Whether `member` is the one that owes the state. */
  isDonor(member: Member): boolean {
    return this.#donor === member;
  }

  /** Whoever leaves will not send what it owes; a stalled member still has the state it had. */
  left(leaving: Leaving): void {
    const { member } = leaving;
    if (this.#donor === member) this.#donor = this.#fetched = undefined;
    this.#replicas.forget(member);
    if (leaving.how !== 'stalled') return;
    if (leaving.wasActive) this.#heldStep.set(member, leaving.step);
    else this.#heldStep.delete(member);
  }

  /** Whether a stalled member still holds the newest state. */
  isNewest(member: Member): boolean {
    return this.#heldStep.get(member) === this.#options.trajectory.step;
  }

  /** The step up to which there is nothing of `workerIds` in any state. */
  trustedStep(workerIds: readonly string[]): number {
    return Math.min(...workerIds.map((workerId) => this.#firstStep.get(workerId) ?? 0));
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
    this.#giveToAll();
    return { fromStep, toStep: trajectory.step };
  }

  /** The same, also if the present state is trusted: not everyone has it. */
  giveAnew(trustedStep: number): Rollback | undefined {
    const { trajectory } = this.#options;
    const fromStep = trajectory.step;
    trajectory.goBack(trustedStep);
    this.#giveToAll();
    return trajectory.step < fromStep ? { fromStep, toStep: trajectory.step } : undefined;
  }

  #giveToAll(): void {
    const holders = this.#options.membersIn('active');
    this.#sendSnapshot(holders);
    for (const member of holders) this.#replicas.given(member, this.#options.trajectory.step);
    this.#heldStep = new WeakMap();
    this.#replicas.clear();
  }

  /** Asks those who have the state of the present step for its digest, unless they were asked. */
  askForDigests(holders: readonly Member[]): void {
    this.#replicas.askOthers(holders, this.#options.trajectory.step);
  }

  /** Keeps what a member reports, if it is what it was asked for. */
  takeDigest(member: Member, ask: number, digests: Digests): void {
    this.#replicas.hear(member, ask, digests);
  }

  /** What a member has reported of the present step. */
  digestsOf(member: Member): Digests | undefined {
    return this.#replicas.digestsOf(member);
  }

  /**
   * How long each active member that owes its state, or a digest of it, has sent nothing, if that
   * is too long.
   */
  overdue(): readonly { readonly member: Member; readonly silentMs: number }[] {
    const { plan, clock, membersIn } = this.#options;
    const nowMs = clock.now();
    const allowedMs = ANSWER_MS + plan.stateBytes / ANSWER_BYTES_PER_MS;
    return membersIn('active').flatMap((member) => {
      const owesState = member === this.#donor && this.#fetched === undefined;
      const owes = owesState || this.#replicas.isAwaited(member);
      const bytes = member.link.dataBytesReceived;
      const before = this.#answers.get(member);
      const isWaiting = owes && bytes === before?.bytes;
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
      this.#replicas.given(member, trajectory.step);
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
