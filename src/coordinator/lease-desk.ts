/**
 * Hands out the micro-batches of a pass, moves them from busy workers to idle ones, and notices who
 * is stuck.
 */
import type { Clock } from '../base/clock.ts';
import { type Capacity, planLeases, withTrial } from '../plan/shares.ts';
import type { Plan, ToWorker } from '../protocol/messages.ts';
import type { Member } from './member.ts';
import type { Pass, PassSpec } from './pass.ts';
import type { RunPlan } from '../plan/run-plan.ts';

/** A worker without progress is given this long, or four times what a micro-batch takes it. */
const STUCK_MS = 3_000;
/** Before its speed is known, a worker may take this long for its first micro-batch. */
const FIRST_MICRO_BATCH_MS = 60_000;

/** Times what a micro-batch takes it, after which a worker without work is tried at the latest. */
const TRIAL_PAUSE = 100;

export class LeaseDesk {
  readonly #clock: Clock;
  /** How many times longer a micro-batch of an evaluation takes than one of training, about. */
  readonly #evaluateScale: number;
  readonly #isWholeWorker: boolean;
  #beganMs = 0;

  constructor(clock: Clock, { job, train, units }: Pick<RunPlan, 'job' | 'train' | 'units'>) {
    this.#clock = clock;
    this.#evaluateScale = job.evaluateMicroBatch / train.microBatch;
    this.#isWholeWorker = units.lanesPerPart === 'all';
  }

  /** When the pass under way began. */
  get beganMs(): number {
    return this.#beganMs;
  }

  /** Starts a pass: everyone gets the plan with its own leases. */
  begin(pass: Pass, members: readonly Member[]): void {
    this.#beganMs = this.#clock.now();
    const all = Array.from({ length: pass.spec.microBatchCount }, (_, microBatch) => microBatch);
    const shares = planLeases(all.length, this.#capacitiesOf(members, pass));
    const tried = pass.spec.work === 'train' ? this.#chooseTrial(members, shares) : undefined;
    const counts = tried === undefined ? shares : withTrial(shares, members.indexOf(tried));
    for (const [member, leases] of divide(all, members, counts)) {
      member.givenMs = this.#beganMs;
      pass.lease(member.workerId, leases);
      tell(member, planMessage(pass.spec, leases));
    }
  }

  /**
   * Whoever gets no work because it was slow when it had some could never show that it no longer
   * is. So it is tried with one micro-batch, soon, and again whenever it has waited for twice as
   * many passes, or for a time of which the trial is one part in a hundred. One at a time.
   */
  #chooseTrial(members: readonly Member[], counts: readonly number[]): Member | undefined {
    const nowMs = this.#clock.now();
    let chosen: Member | undefined;
    for (const [index, member] of members.entries()) {
      const hasWork = (counts[index] ?? 0) > 0;
      if (hasWork) {
        noteWork(member, nowMs, 0);
        continue;
      }
      member.idlePasses++;
      if (!isTrialDue(member, nowMs)) continue;
      if (chosen === undefined || member.idlePasses > chosen.idlePasses) chosen = member;
    }
    if (chosen !== undefined) noteWork(chosen, nowMs, chosen.trialCount + 1);
    return chosen;
  }

  /** Makes a member that comes in the middle of a pass ready to help with it. */
  admit(pass: Pass, member: Member): void {
    tell(member, planMessage(pass.spec, []));
  }

  /** Leases micro-batches that lost their worker to those who will be done first. */
  reissue(pass: Pass, microBatches: readonly number[], members: readonly Member[]): void {
    const idle = members.filter((member) => pass.unfinishedOf(member.workerId).length === 0);
    const takers = idle.length > 0 ? idle : members;
    const counts = planLeases(microBatches.length, this.#capacitiesOf(takers, pass));
    for (const [member, given] of divide(microBatches, takers, counts)) {
      if (given.length === 0) continue;
      member.progressMs = this.#clock.now();
      if (pass.unfinishedOf(member.workerId).length === 0) member.givenMs = member.progressMs;
      pass.lease(member.workerId, given);
      tell(member, { kind: 'lease', pass: pass.spec.id, microBatches: [...given] });
    }
  }

  /**
   * If `idle` has nothing to do, asks the worker that will be busy longest for micro-batches it has
   * not started.
   */
  stealFor(idle: Member, pass: Pass, members: readonly Member[]): void {
    if (pass.unfinishedOf(idle.workerId).length > 0) return;
    const { id } = pass.spec;
    const elapsedMs = this.#clock.now() - this.#beganMs;
    let victim: Member | undefined;
    let most = 0;
    for (const member of members) {
      if (member.releaseAskedPass === id || member.nothingToReleasePass === id) continue;
      const started = this.#isOfShards(pass)
        ? 1 // Those that are done have been contributed.
        : (elapsedMs / this.#microBatchMs(member, pass) + 1) * member.hello.lanes;
      const notStarted = Math.floor(pass.unfinishedOf(member.workerId).length - started);
      if (notStarted > most) [victim, most] = [member, notStarted];
    }
    if (victim === undefined) return;
    victim.releaseAskedPass = id;
    tell(victim, { kind: 'release', pass: id, count: Math.ceil(most / 2) });
  }

  /** The answer to a request for leases: others get what was given back. */
  takeReleased(
    from: Member,
    pass: Pass,
    microBatches: readonly number[],
    members: readonly Member[],
  ): void {
    from.releaseAskedPass = undefined;
    if (microBatches.length === 0) from.nothingToReleasePass = pass.spec.id;
    this.reissue(pass, pass.revoke(from.workerId, microBatches), members);
  }

  /**
   * How long `member` has made no progress with its leases, or with an audit that it owes, if that
   * is too long.
   */
  stuckMs(member: Member, pass: Pass, owesAudit: boolean): number | undefined {
    if (!owesAudit && pass.unfinishedOf(member.workerId).length === 0) return undefined;
    const patience = member.microBatchMs === undefined ? 1 : 4;
    const allowedMs = Math.max(STUCK_MS, patience * this.#microBatchMs(member, pass));
    const idleMs = this.#clock.now() - Math.max(member.progressMs, this.#beganMs);
    return idleMs > allowedMs ? idleMs : undefined;
  }

  #capacitiesOf(members: readonly Member[], pass: Pass): Capacity[] {
    return members.map(({ hello, microBatchMs }) => {
      return { lanes: this.#isOfShards(pass) ? 1 : hello.lanes, microBatchMs };
    });
  }

  /** A worker trains on one shard at a time, with all its lanes. */
  #isOfShards(pass: Pass): boolean {
    return this.#isWholeWorker && pass.spec.work === 'train';
  }

  #microBatchMs(member: Member, pass: Pass): number {
    return (
      (member.microBatchMs ?? FIRST_MICRO_BATCH_MS) *
      (pass.spec.work === 'evaluate' ? this.#evaluateScale : 1)
    );
  }
}

function noteWork(member: Member, nowMs: number, trialCount: number): void {
  member.idlePasses = 0;
  member.workedMs = nowMs;
  member.trialCount = trialCount;
}

function isTrialDue(
  { idlePasses, trialCount, workedMs, microBatchMs = 0 }: Member,
  nowMs: number,
): boolean {
  return idlePasses >= 2 ** trialCount || nowMs - workedMs >= TRIAL_PAUSE * microBatchMs;
}

/** Divides micro-batches in order. */
function divide(
  microBatches: readonly number[],
  members: readonly Member[],
  counts: readonly number[],
): [Member, readonly number[]][] {
  let next = 0;
  return members.map((member, index) => {
    const start = next;
    next += counts[index] ?? 0;
    return [member, microBatches.slice(start, next)];
  });
}

function planMessage(spec: PassSpec, leases: readonly number[]): Plan {
  const { id, work, step, epoch, stepInEpoch, exponents, reduction } = spec;
  const size = { epoch, stepInEpoch, leases: [...leases], exponents: [...exponents] };
  return { kind: 'plan', pass: id, work, step, ...size, reduction };
}

function tell(member: Member, message: ToWorker): void {
  member.control.send(message);
}
