/** Hands out the micro-batches of a pass, moves them from busy workers to idle ones, and notices who is stuck. */
import type { Clock } from '../base/clock.ts';
import { type Capacity, planLeases } from '../plan/shares.ts';
import type { Plan, ToWorker } from '../protocol/messages.ts';
import type { Member } from './member.ts';
import type { Pass, PassSpec } from './pass.ts';
import type { RunPlan } from './run-plan.ts';

/** A worker without progress is given this long, or four times what a micro-batch takes it. */
const STUCK_MS = 3_000;
/** Before its speed is known, a worker may take this long for its first micro-batch. */
const FIRST_MICRO_BATCH_MS = 60_000;

export class LeaseDesk {
  readonly #clock: Clock;
  /** How many times longer a micro-batch of an evaluation takes than one of training, about. */
  readonly #evaluateScale: number;
  /** Whether training takes all lanes of a worker for one lease: a shard of a round is not divided. */
  readonly #takesAllLanes: boolean;
  #beganMs = 0;

  constructor(clock: Clock, { job, train }: Pick<RunPlan, 'job' | 'train'>) {
    this.#clock = clock;
    this.#evaluateScale = job.evaluateMicroBatch / train.microBatch;
    this.#takesAllLanes = job.rounds !== undefined;
  }

  /** When the pass under way began. */
  get beganMs(): number {
    return this.#beganMs;
  }

  /** Starts a pass: everyone gets the plan with its own leases. */
  begin(pass: Pass, members: readonly Member[]): void {
    this.#beganMs = this.#clock.now();
    const all = Array.from({ length: pass.spec.microBatchCount }, (_, microBatch) => microBatch);
    for (const [member, leases] of shareOut(all, this.#capacitiesOf(members, pass))) {
      member.givenMs = this.#beganMs;
      pass.lease(member.workerId, leases);
      tell(member, planMessage(pass.spec, leases));
    }
  }

  /** Makes a member that comes in the middle of a pass ready to help with it. */
  admit(pass: Pass, member: Member): void {
    tell(member, planMessage(pass.spec, []));
  }

  /** Leases micro-batches that lost their worker to those who will be done first. */
  reissue(pass: Pass, microBatches: readonly number[], members: readonly Member[]): void {
    const idle = members.filter((member) => pass.unfinishedOf(member.workerId).length === 0);
    const takers = this.#capacitiesOf(idle.length > 0 ? idle : members, pass);
    for (const [member, given] of shareOut(microBatches, takers)) {
      if (given.length === 0) continue;
      member.progressMs = this.#clock.now();
      if (pass.unfinishedOf(member.workerId).length === 0) member.givenMs = member.progressMs;
      pass.lease(member.workerId, given);
      tell(member, { kind: 'lease', pass: pass.spec.id, microBatches: [...given] });
    }
  }

  /** If `idle` has nothing to do, asks the worker that will be busy longest for micro-batches it has not started. */
  stealFor(idle: Member, pass: Pass, members: readonly Member[]): void {
    if (pass.unfinishedOf(idle.workerId).length > 0) return;
    const { id } = pass.spec;
    const elapsedMs = this.#clock.now() - this.#beganMs;
    let victim: Member | undefined;
    let most = 0;
    for (const member of members) {
      if (member.releaseAskedPass === id || member.nothingToReleasePass === id) continue;
      const started = (elapsedMs / this.#microBatchMs(member, pass) + 1) * this.#lanesOf(member, pass);
      const notStarted = Math.floor(pass.unfinishedOf(member.workerId).length - started);
      if (notStarted > most) [victim, most] = [member, notStarted];
    }
    if (victim === undefined) return;
    victim.releaseAskedPass = id;
    tell(victim, { kind: 'release', pass: id, count: Math.ceil(most / 2) });
  }

  /** The answer to a request for leases: others get what was given back. */
  takeReleased(from: Member, pass: Pass, microBatches: readonly number[], members: readonly Member[]): void {
    from.releaseAskedPass = undefined;
    if (microBatches.length === 0) from.nothingToReleasePass = pass.spec.id;
    this.reissue(pass, pass.revoke(from.workerId, microBatches), members);
  }

  /** How long `member` has made no progress with its leases, or with an audit that it owes, if that is too long. */
  stuckMs(member: Member, pass: Pass, owesAudit: boolean): number | undefined {
    if (!owesAudit && pass.unfinishedOf(member.workerId).length === 0) return undefined;
    const patience = member.microBatchMs === undefined ? 1 : 4;
    const allowedMs = Math.max(STUCK_MS, patience * this.#microBatchMs(member, pass));
    const idleMs = this.#clock.now() - Math.max(member.progressMs, this.#beganMs);
    return idleMs > allowedMs ? idleMs : undefined;
  }

  #capacitiesOf(members: readonly Member[], pass: Pass): [Member, Capacity][] {
    return members.map((member) => {
      const { microBatchMs } = member;
      return [member, { lanes: this.#lanesOf(member, pass), microBatchMs }];
    });
  }

  /** How many leases a member works on at once. */
  #lanesOf({ hello }: Member, pass: Pass): number {
    return this.#takesAllLanes && pass.spec.work === 'train' ? 1 : hello.lanes;
  }

  #microBatchMs(member: Member, pass: Pass): number {
    return (
      (member.microBatchMs ?? FIRST_MICRO_BATCH_MS) *
      (pass.spec.work === 'evaluate' ? this.#evaluateScale : 1)
    );
  }
}

/** Divides micro-batches in order, so that all members finish as close together as can be. */
function shareOut(
  microBatches: readonly number[],
  takers: readonly (readonly [Member, Capacity])[],
): [Member, readonly number[]][] {
  const capacities = takers.map(([, capacity]) => capacity);
  const counts = planLeases(microBatches.length, capacities);
  let next = 0;
  return takers.map(([member], index) => {
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
