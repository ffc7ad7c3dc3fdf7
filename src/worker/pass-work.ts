/** The pass that this worker has a plan of: its leases, what came in about it, what goes out. */
import type { Clock } from '../base/clock.ts';
import type { Contribution, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { CoordinatorLink } from './coordinator-link.ts';
import { OwnShare } from './own-share.ts';

/** What the work of a pass needs. */
export interface PassWorkOptions {
  readonly clock: Clock;
  readonly link: CoordinatorLink;
  /** The engine, once it is ready and until the worker is over. */
  readonly engine: () => Engine | undefined;
  /** What updates took since this was last asked. */
  readonly updateMs: () => number;
  /** How long the coordinator was waited for since this was last asked. */
  readonly waitCoordinatorMs: () => number;
  /** A contribution is on its way: what waited for that can go on. */
  readonly onFlushed: () => void;
}

const NOTHING = new Uint8Array(0);

/** What adding up a pass took, from the own sum to the total. */
export type AddingTimes = Required<Pick<Contribution, 'addingMs' | 'waitPeersMs'>>;

/** A contribution, with the sum that goes out with it: none if it stays with the workers. */
export interface Outgoing {
  readonly contribution: Contribution;
  readonly sum: Uint8Array;
}

/** Leases of the newest plan, which waits for its state or is being computed. */
export class PassWork {
  readonly #options: PassWorkOptions;
  #plan: Plan | undefined;
  /** The plan as it came, to know a repetition of it. */
  #planText = '';
  #begunPass = -1;
  /** When the engine was last given micro-batches. */
  #begunMs = 0;
  /** Contributions whose bytes are not all on their way yet, and leases that wait for that. */
  #unflushed = 0;
  #waitingLeases: number[] = [];
  /** What adding up the last pass took; told once. */
  #adding: AddingTimes | undefined;
  /** Audits of the plan that is not begun yet. */
  #waitingAudits: number[] = [];
  /** Of a pass whose sums stay with the workers. */
  readonly #share = new OwnShare(() => this.#options.engine()?.totalsTarget());

  constructor(options: PassWorkOptions) {
    this.#options = options;
  }

  /** Takes a plan in place of the one before; the same again changes nothing. */
  take(plan: Plan): void {
    const text = JSON.stringify(plan);
    if (plan.pass === this.#begunPass && text === this.#planText) return;
    this.#planText = text;
    // The same pass again: the coordinator has taken this worker back in, and its old leases are
    // void.
    if (plan.pass === this.#begunPass) this.void();
    this.#plan = plan;
    this.#waitingAudits = [];
    this.#share.clear();
  }

  /** The pass of the newest plan, if its sums stay with the workers. */
  get groupPass(): number | undefined {
    return this.#plan?.reduction === 'group' ? this.#plan.pass : undefined;
  }

  /** Whether what is computed now would overwrite a sum that is still on its way. */
  get isSending(): boolean {
    return this.#unflushed > 0;
  }

  /** Whether a sum of this worker lies where a total would be put. */
  get needsTotals(): boolean {
    return this.isSending || this.#share.isInSpare;
  }

  /** A group took so long to add up the pass. */
  noteAdding(adding: AddingTimes): void {
    this.#adding = adding;
  }

  /** How long the coordinator was waited for, to be told once; nothing if it was not. */
  takeWaited(): Pick<Contribution, 'waitCoordinatorMs'> {
    const waitCoordinatorMs = this.#options.waitCoordinatorMs();
    return waitCoordinatorMs > 0 ? { waitCoordinatorMs } : {};
  }

  /** Whether there is nothing left to do of a step of the training. */
  get isDone(): boolean {
    const plan = this.#plan;
    return plan === undefined || (plan.work === 'train' && plan.leases.length === 0);
  }

  /** This worker's sum of the pass, `byteLength` bytes; it stays unchanged until the next plan. */
  ownSum(byteLength: number): Uint8Array {
    return this.#share.sum(byteLength);
  }

  /** The sums of the pass go through the coordinator after all, which gets what there is. */
  leaveGroup(): void {
    if (this.#plan?.reduction !== 'group') return;
    const { pass } = this.#plan;
    this.#plan = { ...this.#plan, reduction: 'star' };
    const { records } = this.#share;
    if (this.#begunPass !== pass) return;
    if (records.length === 0) return this.#goOn();
    const contribution: Contribution = {
      kind: 'contribution',
      pass,
      records: [...records],
      busyMs: 0,
    };
    this.#send(contribution, this.#share.sum(0));
  }

  /** The plan is void: another will come. */
  drop(): void {
    this.#plan = undefined;
    this.void();
  }

  /** What was begun is void: the engine has another state. */
  void(): void {
    this.#begunPass = -1;
  }

  /** Begins the plan if it is one for the state after `step` updates; true when it has. */
  beginIfDue(engine: Engine, step: number | undefined): boolean {
    const plan = this.#plan;
    if (plan === undefined || plan.step !== step || plan.pass === this.#begunPass) return false;
    if (this.isSending) return false;
    this.#begunPass = plan.pass;
    this.#waitingLeases = [];
    this.#begunMs = this.#options.clock.now();
    // To the engine it is all the same who adds up its sum.
    engine.begin(plan.reduction === 'group' ? { ...plan, reduction: 'star' } : plan);
    const audits = this.#waitingAudits.splice(0);
    if (audits.length > 0) this.audit(plan.pass, audits);
    return true;
  }

  /**
   * More micro-batches of the pass; those that it has and is not done with are left out, and those
   * that are in a sum which stays here: a lease may come twice.
   */
  extend(pass: number, given: readonly number[]): void {
    if (this.#plan?.pass !== pass) return;
    const { leases, reduction } = this.#plan;
    const summed = reduction === 'group' ? this.#share.records : [];
    const isHere = (m: number): boolean =>
      leases.includes(m) || summed.some(({ microBatch }) => microBatch === m);
    const microBatches = given.filter((microBatch) => !isHere(microBatch));
    this.#plan = { ...this.#plan, leases: [...leases, ...microBatches] };
    if (this.#begunPass !== pass || microBatches.length === 0) return;
    // Computing more would overwrite the sum that is still on its way, or is being added up.
    const isUsed = reduction === 'group' && this.#share.isGiven;
    if (this.#unflushed > 0 || isUsed) this.#waitingLeases.push(...microBatches);
    else this.#extendNow(microBatches);
  }

  /** Gives back up to `count` micro-batches that are not started. */
  release(pass: number, count: number): void {
    const plan = this.#plan;
    const given = plan?.pass === pass ? this.#takeBack(plan, count) : [];
    if (plan?.pass === pass) {
      const leases = plan.leases.filter((microBatch) => !given.includes(microBatch));
      this.#plan = { ...plan, leases };
    }
    this.#options.link.send({ kind: 'released', pass, microBatches: [...given] });
  }

  /**
   * Computes what another worker has computed too; before the pass has begun the request waits for
   * it.
   */
  audit(pass: number, microBatches: readonly number[]): void {
    if (this.#plan?.pass !== pass) return;
    if (this.#begunPass !== pass) {
      this.#waitingAudits.push(...microBatches);
      return;
    }
    const { engine, link } = this.#options;
    engine()?.audit(microBatches, (records) => {
      if (this.#begunPass === pass) link.send({ kind: 'audited', pass, records: [...records] });
    });
  }

  /** The engine is done with all that it was given: what goes out, if it is of this pass. */
  finish(
    pass: number,
    records: readonly MicroBatchRecord[],
    sum: Uint8Array,
  ): Outgoing | undefined {
    const plan = this.#plan;
    if (this.#begunPass !== pass || plan?.pass !== pass) return undefined;
    const staysHere = plan.reduction === 'group';
    // Nobody could take a micro-batch out of a sum again that should not be in it: others compute it.
    if (staysHere && !records.every(({ microBatch }) => plan.leases.includes(microBatch)))
      return undefined;
    // They may be leased again: a sum of which a part was counted already counts for nothing.
    const done = new Set(records.map(({ microBatch }) => microBatch));
    this.#plan = { ...plan, leases: plan.leases.filter((microBatch) => !done.has(microBatch)) };
    if (staysHere) this.#share.add(records, sum);
    const busyMs = this.#options.clock.now() - this.#begunMs;
    const updateMs = this.#options.updateMs();
    const adding = this.#adding;
    this.#adding = undefined;
    const contribution: Contribution = {
      kind: 'contribution',
      pass,
      records: [...records],
      busyMs,
      updateMs,
      ...adding,
      ...this.takeWaited(),
    };
    return { contribution, sum: staysHere ? NOTHING : sum };
  }

  /** Sends a contribution; its sum stays unchanged until the engine gets more. */
  contribute({ contribution, sum }: Outgoing): void {
    const { link } = this.#options;
    if (sum.length > 0) return this.#send(contribution, sum);
    // Without a sum nothing is overwritten by what is computed next.
    link.sendData(contribution);
    if (!this.#share.isGiven) this.#goOn();
  }

  #send(contribution: Contribution, sum: Uint8Array): void {
    this.#unflushed++;
    this.#options.link.sendData(contribution, sum, () => this.#handleFlush());
  }

  #takeBack({ pass, leases }: Plan, count: number): readonly number[] {
    const isBegun = this.#begunPass === pass;
    return isBegun ? (this.#options.engine()?.release(count) ?? []) : leases.slice(-count);
  }

  #extendNow(microBatches: readonly number[]): void {
    const { clock, engine } = this.#options;
    this.#begunMs = clock.now();
    this.#share.secure();
    engine()?.extend(microBatches);
  }

  /**
   * The last sum is not needed any more: the engine gets the leases that waited for that, and looks
   * for any that came when its lanes had just looked for the last time.
   */
  #goOn(): void {
    const isAnyLeft = this.#plan?.pass === this.#begunPass && this.#plan.leases.length > 0;
    if (isAnyLeft) this.#extendNow(this.#waitingLeases.splice(0));
  }

  #handleFlush(): void {
    this.#unflushed--;
    if (this.#unflushed > 0) return;
    this.#goOn();
    this.#options.onFlushed();
  }
}
