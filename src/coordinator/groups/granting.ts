/**
 * Steps that workers commit by themselves: whoever is alone, or a group that adds up among itself, is
 * granted many at once, and the coordinator hears of them behind the work. What was granted is done
 * to its end, unless a worker is gone: only there can anything else begin.
 *
 * A pass of a group counts once all its members are known to have the total, which the contribution
 * to the next pass tells.
 */
import type { Clock } from '../../base/clock.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../../data/batches.ts';
import type { Member, MemberPhase } from '../../membership/member.ts';
import { MAX_TOLD_BYTES, noteBytesIn } from '../../plan/attempt-note.ts';
import { isPausedAfter, type RunPlan, scalarsOf } from '../../plan/run-plan.ts';
import { type Contribution, type Grant, MAX_GRANTED_STEPS } from '../../protocol/messages.ts';
import type { Followers } from '../states/followers.ts';
import type { Pass } from '../steps/pass.ts';
import type { StateKeeper } from '../states/state-keeper.ts';
import type { StepTimes } from '../steps/step-times.ts';
import type { Sums } from '../steps/sums.ts';
import type { Trajectory } from '../steps/trajectory.ts';

/** What is granted takes about so long; work is shared out anew in what is granted next. */
const WINDOW_MS = 200;
/** A group that adds up must get on within this. */
const STUCK_MS = 2_000;
/** As far as steps can be timed. */
const SHORTEST_STEP_MS = 0.1;
/** Contributions of one member that may wait for others: each step may be attempted again. */
const MAX_EARLY = 4 * MAX_GRANTED_STEPS;
/** A header of a mebibyte has room for the maxima of so many tensors. */
const MAX_TENSORS = 10_000;

/** What granting needs to know, and whom it tells. */
export interface GrantingOptions {
  readonly plan: RunPlan;
  readonly clock: Clock;
  readonly trajectory: Trajectory;
  readonly times: StepTimes;
  readonly states: StateKeeper;
  readonly followers: Followers;
  readonly sums: Sums;
  /** Whether there is something else to do that cannot be done in the midst of granted steps. */
  readonly isAwaited: () => boolean;
  /** Micro-batches of a whole step that each of `members` should compute from `step` on. */
  readonly sharesOf: (members: readonly Member[], step: number) => readonly number[];
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
}

/** The group that is granted steps, in the order of its ring. */
export interface GrantedGroup {
  readonly generation: number;
  readonly members: readonly Member[];
  /** Micro-batches of a whole step that each computes at first. */
  readonly shares: readonly number[];
}

/** How steps are shared out from `step` on. */
interface SharedFrom {
  readonly step: number;
  readonly shares: readonly number[];
}

/** What is granted, and to whom. */
interface Held {
  readonly members: readonly Member[];
  /** Absent where one member is alone. */
  readonly group: GrantedGroup | undefined;
  /** The step after the last that is granted, and how many were granted with that. */
  until: number;
  count: number;
  /** Of steps that are not heard of yet, in their order; empty where one member is alone. */
  shared: readonly SharedFrom[];
  /** Since when, and since which step, steps are timed. */
  timed: { readonly sinceMs: number; readonly step: number };
  /** The last pass of which each member is known to have the total. */
  readonly added: Map<Member, number>;
  /** When a member was last heard. */
  heardMs: number;
  /** Contributions to passes that come later, by member, in their order. */
  readonly early: Map<Member, Contribution[]>;
  /** The last pass that counts; undefined as long as the members go on. */
  lastPass: number | undefined;
}

/** Grants steps to whoever can do without the coordinator. */
export class Granting {
  readonly #options: GrantingOptions;
  readonly #canGrant: boolean;
  #held: Held | undefined;
  /** The steps before the present one were granted, and are timed as a whole. */
  #isTimed = false;
  /** What a step takes, as last measured; undefined before. */
  #stepMs: number | undefined;

  constructor(options: GrantingOptions) {
    this.#options = options;
    const { auditRate, stopOnDivergence, units, job } = options.plan;
    this.#canGrant =
      auditRate === 0 &&
      !stopOnDivergence &&
      units.lanesPerPart === 'one' &&
      job.parameters.length <= MAX_TENSORS;
  }

  /** Those who compute the present step by themselves. */
  get members(): readonly Member[] {
    return this.#held?.members ?? [];
  }

  /** Who computes the present step by itself, alone. */
  get holder(): Member | undefined {
    return this.#held?.group === undefined ? this.#held?.members[0] : undefined;
  }

  /** The group that computes the present step by itself. */
  get group(): GrantedGroup | undefined {
    return this.#held?.group;
  }

  /** Whether the holder is away, and others could go on without it. */
  get isOverdue(): boolean {
    return this.holder?.phase === 'stalled' && this.#options.membersIn('ready').length > 0;
  }

  /**
   * Grants members, who have the present state, the steps from the present one on, if they are
   * short; true if it did. `pass` is that of the first attempt.
   */
  begin(to: Member | GrantedGroup, pass: number): boolean {
    const { plan, clock, trajectory, times } = this.#options;
    const { step, maxima } = trajectory.mark();
    // Steps that were granted may be heard of all at once.
    if (!this.#isTimed) this.#stepMs = times.lastStep.stepMs || undefined;
    this.end();
    // Who commits by itself begins with the grid of the last step that counted.
    if (!this.#canGrant || maxima === undefined || trajectory.isRedone) return false;
    const group = 'members' in to ? to : undefined;
    // Norms of a step would come before the step is heard of.
    if (group !== undefined && plan.job.tracksNorms) return false;
    const members = 'members' in to ? to.members : [to];
    const updates = this.#updatesFrom(step, members.length);
    // One step is a plan and a commit.
    if (updates.length < 2) return false;
    const { sampleCount, globalBatch } = plan.train;
    const perEpoch = stepsPerEpoch(sampleCount, globalBatch);
    const ofGroup = group && { group: { generation: group.generation, shares: [...group.shares] } };
    const start = { pass, maxima: [...maxima], stepsPerEpoch: perEpoch, ...ofGroup };
    const nowMs = clock.now();
    this.#held = {
      members,
      group,
      until: step + updates.length,
      count: updates.length,
      shared: group === undefined ? [] : [{ step, shares: group.shares }],
      timed: { sinceMs: nowMs, step },
      added: new Map(),
      heardMs: nowMs,
      early: new Map(),
      lastPass: undefined,
    };
    this.#isTimed = true;
    for (const member of members) send(member, { kind: 'grant', step, updates, start });
    return true;
  }

  /** A member contributes to `pass`: it has all totals before. */
  hear(member: Member, pass: number): void {
    this.takeReduced(member, pass - 1);
  }

  /** A member has the total of `pass`. */
  takeReduced(member: Member, pass: number): void {
    const held = this.#held;
    if (held === undefined) return;
    held.heardMs = this.#options.clock.now();
    held.added.set(member, Math.max(held.added.get(member) ?? -1, pass));
  }

  /** Nothing more is granted, and all passes up to `pass` are known to be added up. */
  closeAt(pass: number): void {
    if (this.#held !== undefined) this.#held.lastPass = pass;
  }

  /** Whether all members are known to have the total of `pass`. */
  hasAdded(pass: number): boolean {
    const held = this.#held;
    if (held?.lastPass !== undefined) return pass <= held.lastPass;
    return (
      held?.group === undefined || held.members.every((m) => (held.added.get(m) ?? -1) >= pass)
    );
  }

  /** Micro-batches of a whole step that each member of the group computes of the one after `step`. */
  sharesAfter(step: number): readonly number[] {
    const begun = this.#held?.shared.filter((from) => from.step <= step) ?? [];
    return begun.at(-1)?.shares ?? [];
  }

  /** Whether `member` may speak of passes that have not begun here. */
  isAhead(member: Member): boolean {
    return this.#held?.group?.members.includes(member) === true;
  }

  /** Why the group does not get on with `pass`, if it does not. */
  problemWith(pass: Pass): string | undefined {
    const held = this.#held;
    if (held?.group === undefined || held.lastPass !== undefined) return undefined;
    if (!pass.isComplete || this.hasAdded(pass.spec.id)) return undefined;
    const waiting = held.members.filter((m) => (held.added.get(m) ?? -1) < pass.spec.id);
    const lastMs = Math.max(held.heardMs, ...waiting.map((m) => m.liveness.progressMs));
    if (this.#options.clock.now() - lastMs <= STUCK_MS) return undefined;
    const ranks = waiting.map(({ rank }) => rank).join();
    return `rank ${ranks}: no progress with adding up for ${STUCK_MS / 1000} s`;
  }

  /** Keeps a contribution to a pass that has not begun here; false if there are too many. */
  keep(member: Member, contribution: Contribution): boolean {
    const early = this.#held?.early.get(member) ?? [];
    early.push(contribution);
    this.#held?.early.set(member, early);
    return early.length <= MAX_EARLY;
  }

  /** A contribution to `pass` that came before that began. */
  takeEarly(
    pass: number | undefined,
  ): { readonly member: Member; readonly contribution: Contribution } | undefined {
    for (const [member, early] of this.#held?.early ?? []) {
      // The same may come twice: the second has no pass any more.
      while (early[0] !== undefined && early[0].pass < (pass ?? 0)) early.shift();
      const [contribution] = early;
      if (contribution === undefined || contribution.pass !== pass) continue;
      early.shift();
      return { member, contribution };
    }
    return undefined;
  }

  /**
   * A granted step is committed. More is granted before the last is done, unless the run is ending,
   * or something waits for that.
   */
  follow(isEnding: boolean): void {
    const { trajectory } = this.#options;
    const held = this.#held;
    if (held === undefined) return;
    this.#grantMore(held, isEnding);
    // When the run goes back to an older step, nothing of that is granted.
    if (trajectory.step === held.until) this.#held = undefined;
  }

  #grantMore(held: Held, isEnding: boolean): void {
    const { clock, trajectory, states, followers, sums, isAwaited } = this.#options;
    const { step } = trajectory;
    const nowMs = clock.now();
    // The last of those that have begun counts.
    while ((held.shared[1]?.step ?? Infinity) <= step) held.shared = held.shared.slice(1);
    sums.forgetAll();
    // Of a group that is over some may need the state.
    for (const member of held.members)
      if (held.lastPass === undefined || member.phase === 'active') followers.advance(member, step);
    const elapsedMs = nowMs - held.timed.sinceMs;
    if (elapsedMs > WINDOW_MS / 4) {
      this.#stepMs = elapsedMs / (step - held.timed.step);
      held.timed = { sinceMs: nowMs, step };
    }
    const isWanted = isEnding || states.isOld || followers.isAnyoneWaiting || isAwaited();
    if (held.lastPass !== undefined) return;
    // It is told when half of the last grant is done, though windows may be shorter by now.
    const most = Math.max(held.count, this.#windowSteps(held.members.length));
    if (isWanted || held.until - step > most / 2) return;
    if (isPausedAfter(this.#options.plan, held.until)) return;
    const updates = this.#updatesFrom(held.until, held.members.length);
    if (updates.length === 0) return;
    const shares = this.#newShares(held);
    // Who should have no work is not in a group.
    if (shares?.includes(0) === true) return;
    const grant: Grant = { kind: 'grant', step: held.until, updates, ...(shares && { shares }) };
    for (const member of held.members) send(member, grant);
    if (shares !== undefined) held.shared = [...held.shared, { step: held.until, shares }];
    held.until += updates.length;
    held.count = updates.length;
  }

  /** How what is granted next is shared out, if that is otherwise than what was granted last. */
  #newShares({ members, shared, until }: Held): number[] | undefined {
    const last = shared.at(-1)?.shares;
    if (last === undefined) return undefined;
    const shares = this.#options.sharesOf(members, until);
    return shares.every((share, i) => share === last[i]) ? undefined : [...shares];
  }

  /** The holder, who was away, is there again. */
  resume(): void {
    const { holder } = this;
    if (holder !== undefined && holder.phase === 'ready') this.#options.followers.resume(holder);
  }

  /**
   * Nothing counts any more of what was granted, and nobody knows how far its members have come. True
   * if there was anything.
   */
  revoke(): boolean {
    const { members } = this;
    const { followers } = this.#options;
    const isGroup = this.group !== undefined;
    this.end();
    for (const member of members) {
      followers.forget(member);
      if (isGroup && member.phase === 'active') followers.leaveBehind(member);
    }
    return members.length > 0;
  }

  /** No more is computed of what was granted, and who was granted it has the present state. */
  end(): void {
    this.#held = undefined;
    this.#isTimed = false;
  }

  #windowSteps(size: number): number {
    const stepMs = Math.max(SHORTEST_STEP_MS, this.#stepMs ?? WINDOW_MS);
    // Of twice as many steps, or attempts, the notes can be handed over.
    const bytes = size * noteBytesIn(this.#options.plan, size);
    const tellable = bytes === 0 ? Infinity : MAX_TOLD_BYTES / 2 / bytes;
    return Math.floor(Math.min(MAX_GRANTED_STEPS, tellable, WINDOW_MS / stepMs));
  }

  /** The numbers of the steps of a window, which ends where something else may be done. */
  #updatesFrom(first: number, size: number): Grant['updates'] {
    const { plan } = this.#options;
    const { train, totalSteps } = plan;
    const perEpoch = stepsPerEpoch(train.sampleCount, train.globalBatch);
    const last = Math.min(totalSteps, first + this.#windowSteps(size));
    const updates: Grant['updates'] = [];
    for (let step = first; step < last; step++) {
      if (step > first && isPausedAfter(plan, step)) break;
      const { sampleCount } = microBatchesOfStep(train, step % perEpoch);
      updates.push({ sampleCount, scalars: { ...scalarsOf(plan, step) } });
    }
    return updates;
  }
}

function send(member: Member, grant: Grant): void {
  member.link.expect(grant.updates.length);
  member.link.sendData(grant);
}
