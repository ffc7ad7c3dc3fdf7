/**
 * States that go from one worker to another, past the coordinator: it asks a donor to keep a copy for
 * whoever knows a secret, and tells that to the one that is to get it as soon as the donor has told
 * the digest. Both go on meanwhile. Where that fails, for whatever reason, the worker gets its state
 * from the coordinator, as it would without a door.
 */
import type { Clock } from '../../base/clock.ts';
import { doorsFor } from '../../membership/doors.ts';
import type { Member, MemberPhase } from '../../membership/member.ts';
import type { RunPlan } from '../../plan/run-plan.ts';
import type { CountedPart, Leaving, PassListener } from '../steps/pass-listener.ts';

/**
 * Who is to keep a state, or to get one, must get on with it within this, and as it takes a copy or
 * a digest, in one more for so many bytes.
 */
const PROGRESS_MS = 12_000;
const BYTES_PER_MS = 100_000;
/** A large state's digest is told while its donor goes on. Commits are kept for as many steps. */
const PASSED_STEPS = 12;

/** What hand-overs need to know. */
export interface HandOversOptions {
  readonly clock: Clock;
  readonly plan: Pick<RunPlan, 'stateBytes' | 'collective'>;
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
  /** Gives an unguessable word. */
  readonly newSecret: () => string;
}

/** A state that goes from one worker to another. */
export interface HandOver {
  readonly donor: Member;
  /** Updates in the state. */
  readonly step: number;
  readonly serial: number;
  readonly secret: string;
  /** The donor keeps it, and the other was told; before that the donor was asked. */
  isKept: boolean;
  /** It comes too late, whenever it comes. */
  isGivenUp: boolean;
  /** Since when. */
  sinceMs: number;
}

/** Every worker gives one state at a time. */
export class HandOvers implements PassListener {
  readonly #options: HandOversOptions;
  /** By the member that is to get the state. */
  readonly #underWay = new Map<Member, HandOver>();
  /** Members that a state did not reach: they get the next one from the coordinator. */
  readonly #unreached = new WeakSet<Member>();

  constructor(options: HandOversOptions) {
    this.#options = options;
  }

  /** Whether `member` gets a state from another worker, now or as soon as one is free to give it. */
  isMeantFor(member: Member): boolean {
    return this.stepFor(member) !== undefined || this.#donorsFor(member).length > 0;
  }

  /** Has a worker that is free give `member` the state after `step` updates, which all have. */
  begin(member: Member, step: number, serial: number): void {
    if (this.#underWay.has(member)) return;
    const { clock, newSecret } = this.#options;
    const givers = new Set([...this.#underWay.values()].map(({ donor }) => donor));
    const donor = this.#donorsFor(member).find((other) => !givers.has(other));
    if (donor === undefined) return;
    const secret = newSecret();
    const times = { isKept: false, isGivenUp: false, sinceMs: clock.now() };
    this.#underWay.set(member, { donor, step, serial, secret, ...times });
    donor.link.sendData({ kind: 'serveState', step, secret });
  }

  /** `donor` keeps what it was asked for; without a digest it cannot. */
  takeServing(donor: Member, secret: string, stateDigest: string | null): void {
    const found = [...this.#underWay].find(([, h]) => h.donor === donor && h.secret === secret);
    if (found === undefined) return;
    const [member, handOver] = found;
    if (handOver.isKept) return;
    const doors = doorsFor(member, donor);
    if (stateDigest === null || doors.length === 0) return this.#fail(member);
    const { clock, plan } = this.#options;
    const { step, serial } = handOver;
    handOver.isKept = true;
    handOver.sinceMs = clock.now();
    const byteLength = plan.stateBytes;
    const state = { step, serial, byteLength, stateDigest, secret, doors };
    member.link.sendData({ kind: 'fetchState', ...state });
  }

  /** `member` has the state of this serial number, which is given back; or has it not. */
  takeFetched(member: Member, serial: number, isThere: boolean): HandOver | undefined {
    const handOver = this.#underWay.get(member);
    if (handOver?.serial !== serial || !handOver.isKept) return undefined;
    this.#underWay.delete(member);
    if (!isThere) this.#unreached.add(member);
    return isThere && !handOver.isGivenUp ? handOver : undefined;
  }

  /** Updates in the state that `member` is to get from another worker, if one was found. */
  stepFor(member: Member): number | undefined {
    const { step, isGivenUp = true } = this.#underWay.get(member) ?? {};
    return isGivenUp ? undefined : step;
  }

  /** Whether a state is on its way to `member`, be it in vain. */
  isUnderWayTo(member: Member): boolean {
    return this.#underWay.has(member);
  }

  /** The state that is on its way to `member`, if one is, comes too late. */
  giveUp(member: Member): void {
    const handOver = this.#underWay.get(member);
    if (handOver !== undefined) handOver.isGivenUp = true;
  }

  /** `member` gets its next state from the coordinator. */
  distrust(member: Member): void {
    this.#unreached.add(member);
  }

  /** `member` has the state of the run, however it got it. */
  settle(member: Member): void {
    this.#unreached.delete(member);
  }

  /** Nothing that is under way counts any more. */
  clear(): void {
    this.#underWay.clear();
  }

  /** Gives up what does not get on. */
  expire(): void {
    const { clock, plan } = this.#options;
    const allowedMs = PROGRESS_MS + plan.stateBytes / BYTES_PER_MS;
    for (const [member, { donor, isKept, sinceMs }] of this.#underWay) {
      const { liveness } = isKept ? member : donor;
      // A donor that computes keeps its state when it has finished that.
      const isBusy = !isKept && liveness.isComputing;
      const idleMs = clock.now() - Math.max(sinceMs, liveness.progressMs);
      if (!isBusy && idleMs > allowedMs) this.#fail(member);
    }
  }

  /** Who computes a step so much later will not keep the state, or keeps it in vain. */
  counted({ member: donor, spec }: CountedPart): void {
    for (const [member, handOver] of this.#underWay)
      if (handOver.donor === donor && !handOver.isKept && spec.step > handOver.step + PASSED_STEPS)
        this.#fail(member);
  }

  /** Who keeps a state may still give it; who does not yet, will not. */
  left({ member }: Leaving): void {
    this.#underWay.delete(member);
    for (const [other, { donor, isKept }] of this.#underWay)
      if (donor === member && !isKept) this.#underWay.delete(other);
  }

  #fail(member: Member): void {
    this.#underWay.delete(member);
    this.#unreached.add(member);
  }

  /** Who has the state of the run and is reached by `member`. */
  #donorsFor(member: Member): Member[] {
    const { plan, membersIn } = this.#options;
    // A worker without a door has no way to others.
    if (plan.collective === 'star' || member.doors.length === 0 || this.#unreached.has(member))
      return [];
    return membersIn('active').filter(
      (other) => other !== member && doorsFor(member, other).length > 0,
    );
  }
}
