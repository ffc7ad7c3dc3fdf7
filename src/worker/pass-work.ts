/** The pass that this worker has a plan of: its leases, what came in about it, what goes out. */
import type { Clock } from '../base/clock.ts';
import type { Contribution, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { Engine } from '../runtime/engine.ts';
import type { CoordinatorLink } from './coordinator-link.ts';

/** What the work of a pass needs. */
export interface PassWorkOptions {
  readonly clock: Clock;
  readonly link: CoordinatorLink;
  /** The engine, once it is ready and until the worker is over. */
  readonly engine: () => Engine | undefined;
  /** A contribution is on its way: what waited for that can go on. */
  readonly onFlushed: () => void;
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
  /** Audits of the plan that is not begun yet. */
  #waitingAudits: number[] = [];

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
  }

  /** What was begun is void: the engine has another state. */
  void(): void {
    this.#begunPass = -1;
  }

  /** Begins the plan if it is one for the state after `step` updates; true when it has. */
  beginIfDue(engine: Engine, step: number | undefined): boolean {
    const plan = this.#plan;
    if (plan === undefined || plan.step !== step || plan.pass === this.#begunPass) return false;
    // What is computed now would overwrite a sum that is still on its way.
    if (this.#unflushed > 0) return false;
    this.#begunPass = plan.pass;
    this.#waitingLeases = [];
    this.#begunMs = this.#options.clock.now();
    engine.begin(plan);
    const audits = this.#waitingAudits.splice(0);
    if (audits.length > 0) this.audit(plan.pass, audits);
    return true;
  }

  /** More micro-batches of the pass; those that it has and is not done with are left out. */
  extend(pass: number, given: readonly number[]): void {
    if (this.#plan?.pass !== pass) return;
    const { leases } = this.#plan;
    const microBatches = given.filter((microBatch) => !leases.includes(microBatch));
    this.#plan = { ...this.#plan, leases: [...this.#plan.leases, ...microBatches] };
    if (this.#begunPass !== pass) return;
    // Computing more would overwrite the sum that is still on its way.
    if (this.#unflushed > 0) this.#waitingLeases.push(...microBatches);
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
  finish(pass: number, records: readonly MicroBatchRecord[]): Contribution | undefined {
    const plan = this.#plan;
    if (this.#begunPass !== pass || plan?.pass !== pass) return undefined;
    // They may be leased again: a sum of which a part was counted already counts for nothing.
    const done = new Set(records.map(({ microBatch }) => microBatch));
    this.#plan = { ...plan, leases: plan.leases.filter((microBatch) => !done.has(microBatch)) };
    const busyMs = this.#options.clock.now() - this.#begunMs;
    return { kind: 'contribution', pass, records: [...records], busyMs };
  }

  /** Sends a contribution; `sum` stays unchanged until the engine gets more. */
  contribute(contribution: Contribution, sum: Uint8Array): void {
    const { link } = this.#options;
    // Without a sum nothing is overwritten by what is computed next.
    if (sum.length === 0) return link.sendData(contribution);
    this.#unflushed++;
    link.sendData(contribution, sum, () => this.#handleFlush());
  }

  #takeBack({ pass, leases }: Plan, count: number): readonly number[] {
    const isBegun = this.#begunPass === pass;
    return isBegun ? (this.#options.engine()?.release(count) ?? []) : leases.slice(-count);
  }

  #extendNow(microBatches: readonly number[]): void {
    const { clock, engine } = this.#options;
    if (microBatches.length === 0) return;
    this.#begunMs = clock.now();
    engine()?.extend(microBatches);
  }

  #handleFlush(): void {
    this.#unflushed--;
    if (this.#unflushed > 0) return;
    this.#extendNow(this.#waitingLeases.splice(0));
    this.#options.onFlushed();
  }
}
