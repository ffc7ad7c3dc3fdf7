/**
 * Hands out the micro-batches of a pass, moves them from busy workers to idle ones, and notices who
 * is stuck.
 */
import type { Clock } from '../base/clock.ts';
import type { Member } from '../membership/member.ts';
import { type Capacity, planLeases, withTrial } from '../plan/shares.ts';
import type { Plan } from '../protocol/messages.ts';
import type { BegunPass, CountedPart, PassListener } from './pass-listener.ts';
import type { Pass, PassSpec } from './pass.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { WorkerSpeed } from './worker-speed.ts';

/** A worker without progress is given this long, or four times what a micro-batch takes it. */
const STUCK_MS = 3_000;
/** Before its speed is known, a worker may take this long for its first micro-batch. */
const FIRST_MICRO_BATCH_MS = 60_000;

/** What the desk knows of one member. */
interface Account {
  readonly speed: WorkerSpeed;
  /** When it was last given work while it had none, or was last heard to have finished some. */
  givenMs: number;
  /** A `release` was sent for this pass and is not answered. */
  releaseAskedPass: number | undefined;
  /** The pass in which it last had nothing to give back. */
  nothingToReleasePass: number | undefined;
}

/** Who computes what; it alone knows how fast workers are. */
export class LeaseDesk implements PassListener {
  readonly #clock: Clock;
  /** How many times longer a micro-batch of an evaluation takes than one of training, about. */
  readonly #evaluateScale: number;
  readonly #isWholeWorker: boolean;
  readonly #accounts = new WeakMap<Member, Account>();
  #beganMs = 0;

  constructor(clock: Clock, { job, train, units }: Pick<RunPlan, 'job' | 'train' | 'units'>) {
    this.#clock = clock;
    this.#evaluateScale = job.evaluateMicroBatch / train.microBatch;
    this.#isWholeWorker = units.lanesPerPart === 'all';
  }

  /** Starts a pass: everyone gets the plan with its own leases. */
  begun({ pass, members, nowMs }: BegunPass): void {
    this.#beganMs = nowMs;
    const all = Array.from({ length: pass.spec.microBatchCount }, (_, microBatch) => microBatch);
    const shares = planLeases(all.length, this.#capacitiesOf(members, pass));
    const isTraining = pass.spec.work === 'train';
    const tried = isTraining ? this.#chooseTrial(members, shares, nowMs) : undefined;
    const counts = tried === undefined ? shares : withTrial(shares, members.indexOf(tried));
    for (const [member, leases] of divide(all, members, counts)) {
      this.#accountOf(member).givenMs = nowMs;
      pass.lease(member.workerId, leases);
      member.link.send(planMessage(pass.spec, leases));
    }
  }

  /** How long ago `member` was given the work that it has finished now. */
  turnaroundMs(member: Member, nowMs: number): number {
    return nowMs - this.#accountOf(member).givenMs;
  }

  /** Learns how fast a member is; what it still has counts as given now. */
  counted({ member, spec, contribution, nowMs }: CountedPart): void {
    member.liveness.restartPatience(nowMs);
    if (spec.work !== 'train') return;
    const account = this.#accountOf(member);
    for (const { computeMs } of contribution.records) account.speed.learn(computeMs);
    account.givenMs = nowMs;
  }

  /**
   * Whoever gets no work because it was slow when it had some could never show that it no longer
   * is. So it is tried with one micro-batch now and then. One at a time.
   */
  #chooseTrial(
    members: readonly Member[],
    counts: readonly number[],
    nowMs: number,
  ): Member | undefined {
    let chosen: { readonly member: Member; readonly speed: WorkerSpeed } | undefined;
    for (const [index, member] of members.entries()) {
      const { speed } = this.#accountOf(member);
      if ((counts[index] ?? 0) > 0) {
        speed.work(nowMs);
        continue;
      }
      speed.rest();
      if (!speed.isTrialDue(nowMs)) continue;
      if (chosen === undefined || speed.idlePasses > chosen.speed.idlePasses)
        chosen = { member, speed };
    }
    chosen?.speed.beginTrial(nowMs);
    return chosen?.member;
  }

  /** Makes a member that comes in the middle of a pass ready to help with it. */
  admit(pass: Pass, member: Member): void {
    member.link.send(planMessage(pass.spec, []));
  }

  /** Leases micro-batches that lost their worker to those who will be done first. */
  reissue(pass: Pass, microBatches: readonly number[], members: readonly Member[]): void {
    const idle = members.filter((member) => pass.unfinishedOf(member.workerId).length === 0);
    const takers = idle.length > 0 ? idle : members;
    const counts = planLeases(microBatches.length, this.#capacitiesOf(takers, pass));
    for (const [member, given] of divide(microBatches, takers, counts)) {
      if (given.length === 0) continue;
      const nowMs = this.#clock.now();
      member.liveness.restartPatience(nowMs);
      if (pass.unfinishedOf(member.workerId).length === 0) this.#accountOf(member).givenMs = nowMs;
      pass.lease(member.workerId, given);
      member.link.send({ kind: 'lease', pass: pass.spec.id, microBatches: [...given] });
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
      const { releaseAskedPass, nothingToReleasePass } = this.#accountOf(member);
      if (releaseAskedPass === id || nothingToReleasePass === id) continue;
      const started = this.#isOfShards(pass)
        ? 1 // Those that are done have been contributed.
        : (elapsedMs / this.#microBatchMs(member, pass) + 1) * member.hello.lanes;
      const notStarted = Math.floor(pass.unfinishedOf(member.workerId).length - started);
      if (notStarted > most) [victim, most] = [member, notStarted];
    }
    if (victim === undefined) return;
    this.#accountOf(victim).releaseAskedPass = id;
    victim.link.send({ kind: 'release', pass: id, count: Math.ceil(most / 2) });
  }

  /** The answer to a request for leases: others get what was given back. */
  takeReleased(
    from: Member,
    pass: Pass,
    microBatches: readonly number[],
    members: readonly Member[],
  ): void {
    const account = this.#accountOf(from);
    account.releaseAskedPass = undefined;
    if (microBatches.length === 0) account.nothingToReleasePass = pass.spec.id;
    this.reissue(pass, pass.revoke(from.workerId, microBatches), members);
  }

  /**
   * How long `member` has made no progress with its leases, or with an audit that it owes, if that
   * is too long.
   */
  stuckMs(member: Member, pass: Pass, owesAudit: boolean): number | undefined {
    if (!owesAudit && pass.unfinishedOf(member.workerId).length === 0) return undefined;
    const patience = this.#accountOf(member).speed.microBatchMs === undefined ? 1 : 4;
    const allowedMs = Math.max(STUCK_MS, patience * this.#microBatchMs(member, pass));
    const idleMs = this.#clock.now() - Math.max(member.liveness.progressMs, this.#beganMs);
    return idleMs > allowedMs ? idleMs : undefined;
  }

  #capacitiesOf(members: readonly Member[], pass: Pass): Capacity[] {
    return members.map((member) => {
      const { microBatchMs } = this.#accountOf(member).speed;
      return { lanes: this.#isOfShards(pass) ? 1 : member.hello.lanes, microBatchMs };
    });
  }

  /** A worker trains on one shard at a time, with all its lanes. */
  #isOfShards(pass: Pass): boolean {
    return this.#isWholeWorker && pass.spec.work === 'train';
  }

  #microBatchMs(member: Member, pass: Pass): number {
    return (
      (this.#accountOf(member).speed.microBatchMs ?? FIRST_MICRO_BATCH_MS) *
      (pass.spec.work === 'evaluate' ? this.#evaluateScale : 1)
    );
  }

  #accountOf(member: Member): Account {
    const known = this.#accounts.get(member);
    if (known !== undefined) return known;
    const { welcomedMs } = member;
    const account: Account = {
      speed: new WorkerSpeed(welcomedMs),
      givenMs: welcomedMs,
      releaseAskedPass: undefined,
      nothingToReleasePass: undefined,
    };
    this.#accounts.set(member, account);
    return account;
  }
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
