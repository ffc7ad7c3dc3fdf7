/**
 * Hands out the micro-batches of a pass, moves them from busy workers to idle ones, and notices who
 * is stuck.
 */
import type { Clock } from '../base/clock.ts';
import { microBatchesOfStep } from '../data/batches.ts';
import { remember } from '../base/remember.ts';
import { LONGEST_MICRO_BATCH_MS } from '../membership/liveness.ts';
import type { Member } from '../membership/member.ts';
import { type Capacity, divideInOrder, planLeases, withTrial } from '../plan/shares.ts';
import type { MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { BegunPass, CountedPart, PassListener } from './steps/pass-listener.ts';
import type { Pass, PassSpec } from './steps/pass.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { Balance, type Party } from './balance.ts';
import type { Rebalanced } from '../metrics/events.ts';
import { type Backlog, backlogOf, doneInMs, worthTaking } from '../plan/stealing.ts';
import { WorkerSpeed } from '../plan/worker-speed.ts';

/** A worker without progress is given this long, or four times what a micro-batch takes. */
const STUCK_MS = 3_000;
/** As long as nobody has computed or tried one, a micro-batch may take this long. */
const FIRST_MICRO_BATCH_MS = 60_000;
/** Others compute what a worker holds after this, or after four times what the pass takes them. */
const LATE_MS = 2_000;
const PATIENCE = 4;
/** How much of what a worker's steps took before counts. */
const STEP_MEMORY = 0.8;

/** What the desk knows of one member. */
interface Account {
  readonly speed: WorkerSpeed;
  /** When it was last given work while it had none, or was last heard to have finished some. */
  givenMs: number;
  /** A `release` was sent for this pass and is not answered. */
  releaseAskedPass: number | undefined;
  /** The pass in which it last had nothing to give back. */
  nothingToReleasePass: number | undefined;
  /** What its part of a step takes it, on average; undefined before the first. */
  stepMs: number | undefined;
  /** It is late, and its own counter stood here then: it gets no leases before it moves. */
  lateProgress: number | undefined;
}

/** Who computes what; it alone knows how fast workers are. */
export class LeaseDesk implements PassListener {
  readonly #clock: Clock;
  /** How many times longer a micro-batch of an evaluation takes than one of training, about. */
  readonly #evaluateScale: number;
  readonly #isWholeWorker: boolean;
  /** A worker is lent something that takes it as long as so many steps; undefined: it is not. */
  readonly #lentSteps: number | undefined;
  readonly #balance: Balance;
  readonly #accounts = new WeakMap<Member, Account>();
  /** By worker id: who joins again is as fast as before. */
  readonly #speeds = new Map<string, WorkerSpeed>();
  /** Who got something in the pass under way that others would have done sooner. */
  readonly #lentTo = new Set<Member>();
  #beganMs = 0;
  #isGroupsOwn = false;
  /** What the pass under way is expected to take, or has taken those who are done with it. */
  #paceMs = 0;

  /** `report` hears whenever work is shared out otherwise than before. */
  constructor(
    clock: Clock,
    {
      job,
      train,
      units,
      balance,
      closing,
    }: Pick<RunPlan, 'job' | 'train' | 'units' | 'balance' | 'closing'>,
    report?: (event: Rebalanced) => void,
  ) {
    this.#clock = clock;
    const { microBatchCount } = microBatchesOfStep(train, 0);
    this.#balance = new Balance(balance ?? { policy: 'adaptive' }, microBatchCount, report);
    this.#evaluateScale = job.evaluateMicroBatch / train.microBatch;
    this.#isWholeWorker = units.lanesPerPart === 'all';
    this.#lentSteps = closing?.kind === 'staleness' ? closing.maxStaleness / 2 : undefined;
  }

  /** Starts a pass: everyone gets the plan with its own leases, unless it knows of them. */
  begun({ pass, members, isGranted, shares: granted, nowMs }: BegunPass): void {
    this.#beganMs = nowMs;
    this.#lentTo.clear();
    this.#isGroupsOwn = granted !== undefined;
    if (granted !== undefined) return this.#leaseGranted(pass, members, granted, nowMs);
    const all = Array.from({ length: pass.spec.microBatchCount }, (_, microBatch) => microBatch);
    const isTraining = pass.spec.work === 'train';
    const byRight = isTraining
      ? this.sharesOf(members, all.length, pass.spec.step)
      : planLeases(all.length, this.#capacitiesOf(members, false));
    const shares = isTraining ? this.#lend(byRight, members, pass) : byRight;
    const mayTry = isTraining && !this.#balance.isByRule;
    const tried = mayTry ? this.#chooseTrial(members, shares, nowMs) : undefined;
    const counts = tried === undefined ? shares : withTrial(shares, members.indexOf(tried));
    this.#paceMs = this.#expectedMs(members, shares, pass);
    for (const [i, [member, leases]] of divide(all, members, counts).entries()) {
      const account = this.#accountOf(member);
      account.givenMs = nowMs;
      account.lateProgress = undefined;
      if (leases.length > (byRight[i] ?? 0)) this.#lentTo.add(member);
      pass.lease(member.workerId, leases);
      if (!isGranted) member.link.send(planMessage(pass.spec, leases));
    }
  }

  /**
   * Nobody waits for a slow worker where its gradients may come later: whoever is too slow to get
   * anything by right gets one micro-batch, if it is done with that in good time.
   */
  #lend(shares: number[], members: readonly Member[], pass: Pass): number[] {
    if (this.#lentSteps === undefined || this.#balance.isByRule) return shares;
    const mostMs = this.#lentSteps * this.#expectedMs(members, shares, pass);
    let lent = shares;
    for (const [i, member] of members.entries()) {
      const ms = this.expectedMs(member, 1, pass);
      if (lent[i] === 0 && ms !== undefined && ms <= mostMs && Math.max(...lent) > 1)
        lent = withTrial(lent, i);
    }
    return lent;
  }

  /** Whether `member` got something in the pass under way that others would have done sooner. */
  isLent(member: Member): boolean {
    return this.#lentTo.has(member);
  }

  /** What `count` micro-batches of `pass` will take `member` in all; undefined: not known yet. */
  expectedMs(member: Member, count: number, pass: Pass): number | undefined {
    const { microBatchMs, linkMs } = this.#accountOf(member).speed;
    const ms = this.#durationMs(member, microBatchMs, count, pass);
    return ms === undefined ? undefined : linkMs + ms;
  }

  /** What its lanes take for `count` micro-batches of `pass`, if one of training takes so long. */
  #durationMs(
    { hello }: Member,
    microBatchMs: number | undefined,
    count: number,
    pass: Pass,
  ): number | undefined {
    if (microBatchMs === undefined) return undefined;
    const lanes = this.#isOfShards(pass) ? 1 : Math.max(1, hello.lanes);
    const scale = pass.spec.work === 'evaluate' ? this.#evaluateScale : 1;
    return Math.ceil(count / lanes) * scale * microBatchMs;
  }

  /** Whether one of `members` was asked to give back some of `pass`, and has not answered. */
  isAsking(pass: Pass, members: readonly Member[]): boolean {
    return members.some((member) => this.#accountOf(member).releaseAskedPass === pass.spec.id);
  }

  /** Micro-batches of `step`, of so many, that each of `members` should compute. */
  sharesOf(members: readonly Member[], microBatchCount: number, step: number): number[] {
    const capacities = this.capacitiesOf(members);
    const parties = members.map((member, i): Party => {
      const capacity = capacities[i] ?? { lanes: 1, microBatchMs: undefined };
      const { cpu, memory } = member.liveness.use;
      const stepTime = this.#accountOf(member).stepMs;
      const node = { score: member.score, stepTime, utilisation: cpu, memoryUse: memory };
      return { rank: member.rank, capacity, node };
    });
    return this.#balance.share(step, microBatchCount, parties);
  }

  /** What is known of the speeds of `members` in training. */
  capacitiesOf(members: readonly Member[]): Capacity[] {
    return this.#capacitiesOf(members, this.#isWholeWorker);
  }

  #leaseGranted(
    pass: Pass,
    members: readonly Member[],
    shares: readonly number[],
    nowMs: number,
  ): void {
    const parts = divideInOrder(shares, pass.spec.microBatchCount);
    this.#paceMs = this.#expectedMs(members, shares, pass);
    for (const [i, member] of members.entries()) {
      const account = this.#accountOf(member);
      account.givenMs = nowMs;
      account.lateProgress = undefined;
      pass.lease(member.workerId, parts[i] ?? []);
    }
  }

  /** What everybody holds counts as given now. */
  reopened(nowMs: number): void {
    this.#beganMs = nowMs;
  }

  /** How long ago `member` was given the work that it has finished now. */
  turnaroundMs(member: Member, nowMs: number): number {
    return nowMs - Math.max(this.#beganMs, this.#accountOf(member).givenMs);
  }

  /** Learns how fast a member is; what it still has counts as given now. */
  counted({ member, spec, contribution, turnaroundMs, nowMs }: CountedPart): void {
    this.#paceMs = Math.max(this.#paceMs, nowMs - this.#beganMs);
    if (spec.work !== 'train') return;
    const account = this.#accountOf(member);
    // A granted pass of a group begins here when it is heard of.
    if (!this.#isGroupsOwn)
      account.speed.learnLink(Math.max(0, turnaroundMs - contribution.busyMs));
    account.givenMs = nowMs;
    const { busyMs } = contribution;
    account.stepMs =
      account.stepMs === undefined
        ? busyMs
        : STEP_MEMORY * account.stepMs + (1 - STEP_MEMORY) * busyMs;
  }

  /** A member has finished something, of whatever pass: it is not late any more. */
  hear(member: Member, records: readonly MicroBatchRecord[], isTraining: boolean): void {
    member.liveness.restartPatience(this.#clock.now());
    const account = this.#accountOf(member);
    account.lateProgress = undefined;
    if (isTraining) for (const { computeMs } of records) account.speed.learn(computeMs);
  }

  /** Whether a member may take leases: it has none from before that it is still busy with. */
  isFree(member: Member): boolean {
    const { lateProgress } = this.#accountOf(member);
    return lateProgress === undefined || lateProgress !== member.liveness.progress;
  }

  /**
   * Members that hold leases for much longer than the pass takes others, of whom some have nothing
   * to do: these are to compute the same. Whatever is there first counts.
   */
  late(pass: Pass, members: readonly Member[]): Member[] {
    const isIdle = (m: Member): boolean => pass.unfinishedOf(m.workerId).length === 0;
    // As long as nobody has finished, or tried, anything, nobody knows what is late.
    if (this.#paceMs === 0 || !members.some(isIdle)) return [];
    const allowedMs = Math.max(LATE_MS, PATIENCE * this.#paceMs);
    const nowMs = this.#clock.now();
    const late = members.filter(
      (m) => !isIdle(m) && nowMs - Math.max(this.#beganMs, this.#accountOf(m).givenMs) > allowedMs,
    );
    for (const member of late) this.#accountOf(member).lateProgress = member.liveness.progress;
    return late;
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

  /**
   * Makes a member that comes in the middle of a pass ready to help with it. One that still holds
   * leases goes on with them.
   */
  admit(pass: Pass, member: Member, members: readonly Member[]): void {
    this.#accountOf(member).givenMs = this.#clock.now();
    if (pass.unfinishedOf(member.workerId).length > 0) return;
    member.link.send(planMessage(pass.spec, []));
    this.stealFor(member, pass, members);
  }

  /** Leases micro-batches that need another worker to those who will be done first. */
  reissue(pass: Pass, microBatches: readonly number[], members: readonly Member[]): void {
    const idle = members.filter((member) => pass.unfinishedOf(member.workerId).length === 0);
    const takers = idle.length > 0 ? idle : members;
    const counts = planLeases(
      microBatches.length,
      this.#capacitiesOf(takers, this.#isOfShards(pass)),
    );
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
   * not started, and that `idle` would finish sooner.
   */
  stealFor(idle: Member, pass: Pass, members: readonly Member[]): void {
    if (pass.unfinishedOf(idle.workerId).length > 0) return;
    if (this.#balance.isByRule && pass.spec.work === 'train') return;
    const { id } = pass.spec;
    const [{ lanes, linkMs = 0 } = { lanes: 1 }] = this.#capacitiesOf(
      [idle],
      this.#isOfShards(pass),
    );
    const taker = { lanes, linkMs, microBatchMs: this.#microBatchMs(idle, pass) };
    let victim: Member | undefined;
    let latestMs = 0;
    let most = 0;
    for (const member of members) {
      const { releaseAskedPass, nothingToReleasePass } = this.#accountOf(member);
      if (releaseAskedPass === id || nothingToReleasePass === id) continue;
      const backlog = this.#backlogOf(member, pass);
      const [count, doneMs] = [worthTaking(backlog, taker), doneInMs(backlog)];
      if (count > 0 && doneMs > latestMs) [victim, latestMs, most] = [member, doneMs, count];
    }
    if (victim === undefined) return;
    this.#accountOf(victim).releaseAskedPass = id;
    victim.link.send({ kind: 'release', pass: id, count: most });
  }

  #backlogOf(member: Member, pass: Pass): Backlog {
    const unfinished = pass.unfinishedOf(member.workerId).length;
    const elapsedMs = this.turnaroundMs(member, this.#clock.now());
    const microBatchMs = this.#microBatchMs(member, pass) ?? Math.max(1, elapsedMs);
    // Those that are done have been contributed.
    if (this.#isOfShards(pass))
      return { lanes: 1, microBatchMs, notStarted: Math.max(0, unfinished - 1), freeInMs: 1 };
    const lanes = Math.max(1, member.hello.lanes);
    return backlogOf({ lanes, microBatchMs, unfinished, elapsedMs });
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
    pass.revoke(from.workerId, microBatches);
    this.reissue(pass, pass.uncoveredBy(members.map(({ workerId }) => workerId)), members);
  }

  /**
   * How long `member` has made no progress with what it owes (leases, an audit, or old work that it
   * is late with), if that is too long. Whoever computes has time as long as others do, too, up to
   * what no micro-batch takes.
   */
  stuckMs(
    member: Member,
    pass: Pass,
    facts: { owesOther: boolean; isAnyIdle: boolean },
  ): number | undefined {
    const owesLeases = pass.unfinishedOf(member.workerId).length > 0;
    if (!owesLeases && !facts.owesOther && this.isFree(member)) return undefined;
    const idleMs =
      this.#clock.now() - Math.max(member.liveness.progressMs, this.#accountOf(member).givenMs);
    if (idleMs > LONGEST_MICRO_BATCH_MS) return idleMs;
    if (member.liveness.isComputing && !facts.isAnyIdle) return undefined;
    const knownMs = this.#microBatchMs(member, pass);
    if (knownMs === undefined && member.liveness.isComputing) return undefined;
    const allowedMs = Math.max(
      STUCK_MS,
      knownMs === undefined ? FIRST_MICRO_BATCH_MS : PATIENCE * knownMs,
    );
    return idleMs > allowedMs ? idleMs : undefined;
  }

  #capacitiesOf(members: readonly Member[], isOfShards: boolean): Capacity[] {
    return members.map((member) => {
      const { microBatchMs, linkMs } = this.#accountOf(member).speed;
      return { lanes: isOfShards ? 1 : member.hello.lanes, microBatchMs, linkMs };
    });
  }

  /**
   * When the last of those who have shares of right will be done, as far as speeds are known; if
   * none is, as if all were as fast as the one whose trial was the shortest.
   */
  #expectedMs(members: readonly Member[], shares: readonly number[], pass: Pass): number {
    const lastMs = (msOf: (member: Member, share: number) => number | undefined): number => {
      const times = members.map((member, i) => {
        const share = shares[i] ?? 0;
        return share === 0 ? 0 : (msOf(member, share) ?? 0);
      });
      return Math.max(0, ...times);
    };
    const [trialMs] = inOrder(members.map((member) => member.trialMs));
    return (
      lastMs((member, share) => this.expectedMs(member, share, pass)) ||
      lastMs((member, share) => this.#durationMs(member, trialMs, share, pass))
    );
  }

  /** A worker trains on one shard at a time, with all its lanes. */
  #isOfShards(pass: Pass): boolean {
    return this.#isWholeWorker && pass.spec.work === 'train';
  }

  /**
   * What a micro-batch takes it; as long as that is not known what it takes others, or took it when
   * it tried one: whichever is longer.
   */
  #microBatchMs(member: Member, pass: Pass): number | undefined {
    const own = this.#accountOf(member).speed.microBatchMs;
    const ofOthers = [...this.#speeds.values()].map(({ microBatchMs }) => microBatchMs);
    const known = own ?? inOrder([member.trialMs, ...ofOthers]).at(-1);
    return known === undefined || pass.spec.work === 'train' ? known : known * this.#evaluateScale;
  }

  #accountOf(member: Member): Account {
    const known = this.#accounts.get(member);
    if (known !== undefined) return known;
    const account: Account = {
      speed: this.#speedOf(member),
      givenMs: member.welcomedMs,
      releaseAskedPass: undefined,
      nothingToReleasePass: undefined,
      stepMs: undefined,
      lateProgress: undefined,
    };
    this.#accounts.set(member, account);
    return account;
  }

  #speedOf({ workerId, welcomedMs }: Member): WorkerSpeed {
    const speed = this.#speeds.get(workerId) ?? new WorkerSpeed(welcomedMs);
    return remember(this.#speeds, workerId, speed);
  }
}

/** The times that are known, the shortest first. */
function inOrder(times: readonly (number | undefined)[]): number[] {
  return times.filter((ms) => ms !== undefined).sort((a, b) => a - b);
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
