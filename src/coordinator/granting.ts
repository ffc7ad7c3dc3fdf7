/**
 * Steps for a worker that is alone: it is granted many at once, computes and commits them by itself,
 * and the coordinator hears of them behind it. What was granted is done to its end, unless the
 * worker is gone: only there can anything else begin.
 */
import type { Clock } from '../base/clock.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../data/batches.ts';
import type { Member, MemberPhase } from '../membership/member.ts';
import { isEvaluatedAfter, type RunPlan, scalarsOf } from '../plan/run-plan.ts';
import { type Grant, MAX_GRANTED_STEPS } from '../protocol/messages.ts';
import type { Followers } from './followers.ts';
import type { StateKeeper } from './state-keeper.ts';
import type { StepTimes } from './step-times.ts';
import type { Sums } from './sums.ts';
import type { Trajectory } from './trajectory.ts';

/** What is granted takes about so long. */
const WINDOW_MS = 200;
/** As far as steps can be timed. */
const SHORTEST_STEP_MS = 0.1;
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
  readonly membersIn: (phase: MemberPhase) => readonly Member[];
}

/** What is granted, and to whom. */
interface Held {
  readonly member: Member;
  /** The step after the last that is granted. */
  until: number;
  /** Since when, and since which step, steps are timed. */
  timed: { readonly sinceMs: number; readonly step: number };
}

/** Grants steps to whoever is alone. */
export class Granting {
  readonly #options: GrantingOptions;
  readonly #canGrant: boolean;
  #held: Held | undefined;
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

  /** Who computes the present step by itself. */
  get holder(): Member | undefined {
    const held = this.#held;
    return held !== undefined && this.#options.trajectory.step < held.until
      ? held.member
      : undefined;
  }

  /** Whether the holder is away, and others could go on without it. */
  get isOverdue(): boolean {
    return this.holder?.phase === 'stalled' && this.#options.membersIn('ready').length > 0;
  }

  /**
   * Grants `member`, who has the present state, the steps from the present one on, if they are short;
   * true if it did. `pass` is that of the first attempt.
   */
  begin(member: Member, pass: number): boolean {
    const { plan, clock, trajectory, times } = this.#options;
    const { step, maxima } = trajectory.mark();
    // What was granted before is timed as a whole: steps of it may be heard of all at once.
    if (this.#held === undefined) this.#stepMs = times.lastStep.stepMs || undefined;
    this.#held = undefined;
    if (!this.#canGrant || maxima === undefined) return false;
    const updates = this.#updatesFrom(step);
    // One step is a plan and a commit.
    if (updates.length < 2) return false;
    const { sampleCount, globalBatch } = plan.train;
    const perEpoch = stepsPerEpoch(sampleCount, globalBatch);
    const start = { pass, maxima: [...maxima], stepsPerEpoch: perEpoch };
    const timed = { sinceMs: clock.now(), step };
    this.#held = { member, until: step + updates.length, timed };
    send(member, { kind: 'grant', step, updates, start });
    return true;
  }

  /**
   * The holder has committed a step by itself. It is granted more before it has done the last, unless
   * the run is ending, or something waits for that.
   */
  follow(isEnding: boolean): void {
    const { clock, trajectory, states, followers, sums, membersIn } = this.#options;
    const held = this.#held;
    if (held === undefined) return;
    const { step } = trajectory;
    sums.forgetAll();
    followers.advance(held.member, step);
    const elapsedMs = clock.now() - held.timed.sinceMs;
    if (elapsedMs > WINDOW_MS / 4) {
      this.#stepMs = elapsedMs / (step - held.timed.step);
      held.timed = { sinceMs: clock.now(), step };
    }
    const isWanted = isEnding || states.isOld || membersIn('ready').length > 0;
    if (isWanted || held.until - step > this.#windowSteps() / 2) return;
    if (isEvaluatedAfter(this.#options.plan, held.until)) return;
    const updates = this.#updatesFrom(held.until);
    if (updates.length > 0) send(held.member, { kind: 'grant', step: held.until, updates });
    held.until += updates.length;
  }

  /** The holder, who was away, is there again. */
  resume(): void {
    const { holder } = this;
    if (holder !== undefined && holder.phase === 'ready') this.#options.followers.resume(holder);
  }

  /**
   * Nothing counts any more of what was granted, and nobody knows how far its holder has come. True
   * if there was anything.
   */
  revoke(): boolean {
    const { holder } = this;
    this.end();
    if (holder !== undefined) this.#options.followers.forget(holder);
    return holder !== undefined;
  }

  /** The holder computes no more of what was granted, and has the present state. */
  end(): void {
    this.#held = undefined;
  }

  #windowSteps(): number {
    const stepMs = Math.max(SHORTEST_STEP_MS, this.#stepMs ?? WINDOW_MS);
    return Math.min(MAX_GRANTED_STEPS, Math.floor(WINDOW_MS / stepMs));
  }

  /** The numbers of the steps of a window, which ends where the model is evaluated. */
  #updatesFrom(first: number): Grant['updates'] {
    const { plan } = this.#options;
    const { train, totalSteps } = plan;
    const perEpoch = stepsPerEpoch(train.sampleCount, train.globalBatch);
    const last = Math.min(totalSteps, first + this.#windowSteps());
    const updates: Grant['updates'] = [];
    for (let step = first; step < last; step++) {
      if (step > first && isEvaluatedAfter(plan, step)) break;
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
