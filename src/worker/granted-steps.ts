/**
 * Steps that the coordinator has granted this worker, which is alone: it finds by itself what a
 * commit is, and what comes next. Nobody is asked, and nobody is waited for.
 */
import { invariant, ProtocolError } from '../base/errors.ts';
import { freshGrid, type GridStanding, judgeStep } from '../plan/commit-rule.ts';
import { isFiniteRecord } from '../plan/gradient-outliers.ts';
import { gridExponents } from '../plan/grid.ts';
import type { Commit, Grant, MicroBatchRecord, Plan } from '../protocol/messages.ts';

/** What follows from an attempt. */
export interface NextSteps {
  /** The step counts. */
  readonly commit?: Commit;
  /** What is computed next; nothing after the last step that is granted. */
  readonly plan?: Plan;
}

type Update = Grant['updates'][number];

/** A run of granted steps, of which one is under way. */
export class GrantedSteps {
  readonly #microBatch: number;
  #grid: GridStanding = freshGrid(undefined);
  #stepsPerEpoch = 1;
  /** The attempt under way, or to come when more is granted. */
  #pass = 0;
  #step = 0;
  /** Of the steps from `#step` on. */
  #updates: Update[] = [];
  #underWay: Plan | undefined;
  #lastFirstPass = -1;

  /** `microBatch` is how many samples a micro-batch has. */
  constructor(microBatch: number) {
    this.#microBatch = microBatch;
  }

  /** Takes a grant; gives the plan of its first step unless one is under way. */
  take({ step, updates, start }: Grant): Plan | undefined {
    if (start !== undefined) {
      // The same may come twice.
      if (start.pass <= this.#lastFirstPass) return undefined;
      this.#lastFirstPass = this.#pass = start.pass;
      this.#grid = freshGrid(start.maxima);
      this.#stepsPerEpoch = start.stepsPerEpoch;
      this.#step = step;
      this.#updates = [];
      this.#underWay = undefined;
    } else if (step !== this.#step + this.#updates.length) return undefined;
    this.#updates.push(...updates);
    return this.#underWay === undefined ? this.#begin() : undefined;
  }

  /** The state that the steps were granted for is void. */
  void(): void {
    this.#updates = [];
    this.#underWay = undefined;
    this.#step = -1;
  }

  /**
   * What follows from the records of a pass; undefined when it is none of these. After a number that
   * is not finite nothing follows: the coordinator ends the run.
   */
  settle(pass: number, records: readonly MicroBatchRecord[]): NextSteps | undefined {
    const plan = this.#underWay;
    if (plan === undefined || pass !== plan.pass) return undefined;
    if (records.length !== plan.leases.length)
      throw new ProtocolError(`pass ${pass}: expected all micro-batches at once`);
    this.#underWay = undefined;
    if (!records.every(isFiniteRecord)) return {};
    const { exponents, leases } = plan;
    const attempt = { exponents, microBatchCount: leases.length, records: inOrder(records) };
    const verdict = judgeStep(this.#grid, attempt, false);
    this.#grid = verdict.grid;
    this.#pass++;
    const commit = verdict.kind === 'commit' ? this.#commitOf(plan) : undefined;
    const next = this.#begin();
    return { ...(commit && { commit }), ...(next && { plan: next }) };
  }

  #commitOf({ pass, step, exponents }: Plan): Commit {
    const update = this.#updates.shift();
    invariant(update !== undefined, `step ${step} is granted`);
    this.#step = step + 1;
    return { kind: 'commit', pass, step, exponents, update };
  }

  #begin(): Plan | undefined {
    const [update] = this.#updates;
    if (update === undefined) return undefined;
    const microBatchCount = Math.ceil(update.sampleCount / this.#microBatch);
    const { maxima } = this.#grid;
    invariant(maxima !== undefined, 'a grant begins with a grid');
    this.#underWay = {
      kind: 'plan',
      pass: this.#pass,
      work: 'train',
      step: this.#step,
      epoch: Math.floor(this.#step / this.#stepsPerEpoch),
      stepInEpoch: this.#step % this.#stepsPerEpoch,
      leases: Array.from({ length: microBatchCount }, (_, microBatch) => microBatch),
      exponents: gridExponents(maxima, microBatchCount),
      reduction: 'alone',
    };
    return this.#underWay;
  }
}

function inOrder(records: readonly MicroBatchRecord[]): MicroBatchRecord[] {
  return [...records].sort((a, b) => a.microBatch - b.microBatch);
}
