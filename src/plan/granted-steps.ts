/**
 * Steps that the coordinator has granted a worker, alone or with its group: it finds by itself what a
 * commit is, and what comes next. Nobody is asked, and the coordinator is not waited for.
 */
import { invariant, ProtocolError } from '../base/errors.ts';
import type { Commit, Grant, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { AttemptNote } from './attempt-note.ts';
import { freshGrid, type GridStanding, judgeStep } from './commit-rule.ts';
import { isFiniteRecord } from './gradient-outliers.ts';
import { gridExponents, type GridMaxima } from './grid.ts';
import { divideInOrder } from './shares.ts';

/** What follows from an attempt. */
export interface NextSteps {
  /** The step counts. */
  readonly commit?: Commit;
  /** Then: largest |gradient element| expected in the next step, per tensor. */
  readonly maxima?: GridMaxima;
  /** A number is not finite: nothing of this attempt counts, and nothing follows. */
  readonly failed?: Plan;
  /** What is computed next; nothing after the last step that is granted. */
  readonly plan?: Plan;
}

/** What all who had a part in an attempt have seen. */
export interface AttemptResult {
  readonly microBatches: number;
  readonly isFinite: boolean;
  /** Of each micro-batch, or of each worker. */
  readonly records: readonly { readonly maxima: GridMaxima }[];
}

/** The result of an attempt that one worker has computed alone. */
export function resultOf(records: readonly MicroBatchRecord[]): AttemptResult {
  return {
    microBatches: records.length,
    isFinite: records.every(isFiniteRecord),
    records: records.map(({ maxima }) => ({ maxima: maxima.map((value) => value ?? 0) })),
  };
}

/** The result of an attempt of a group, from what each of its workers tells. */
export function resultOfAll(notes: readonly AttemptNote[]): AttemptResult {
  return {
    microBatches: notes.reduce((sum, { losses }) => sum + losses.length, 0),
    isFinite: notes.every((note) => note.isFinite),
    records: notes,
  };
}

type Update = Grant['updates'][number];
type Group = NonNullable<NonNullable<Grant['start']>['group']>;

/** A step that is granted, and who computes how much of it. */
interface GrantedStep {
  readonly update: Update;
  readonly shares: readonly number[];
}

/** Of a worker that is alone. */
const ALL: readonly number[] = [1];

/** An attempt that is being computed. */
interface Attempt {
  readonly plan: Plan;
  /** Of all workers. */
  readonly microBatchCount: number;
}

/** A run of granted steps, of which one is under way. */
export class GrantedSteps {
  readonly #microBatch: number;
  #grid: GridStanding = freshGrid(undefined);
  #stepsPerEpoch = 1;
  /** Absent while this worker is alone. */
  #group: (Pick<Group, 'generation'> & { readonly index: number }) | undefined;
  /** How steps are shared out that are granted now. */
  #shares = ALL;
  /** The attempt under way, or to come when more is granted. */
  #pass = 0;
  /** -1 where nothing is granted that could go on. */
  #step = -1;
  /** The steps from `#step` on. */
  #steps: GrantedStep[] = [];
  /** How many steps are half of the last grant. */
  #half = 0;
  #underWay: Attempt | undefined;
  #lastFirstPass = -1;

  /** `microBatch` is how many samples a micro-batch has. */
  constructor(microBatch: number) {
    this.#microBatch = microBatch;
  }

  /** The group that steps are granted to; undefined while this worker is alone. */
  get generation(): number | undefined {
    return this.#group?.generation;
  }

  /** The first attempt of the newest run of granted steps; -1 before there is one. */
  get firstPass(): number {
    return this.#lastFirstPass;
  }

  /** Whether an attempt is being computed, or added up. */
  get isUnderWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** Whether half of the last grant is left: more comes once the coordinator hears of that. */
  get isHalfDone(): boolean {
    return this.#steps.length === this.#half;
  }

  /** The generation that adds up the attempt `pass`; undefined if it is not, or not under way. */
  generationOf(pass: number): number | undefined {
    return this.#underWay?.plan.pass === pass ? this.#group?.generation : undefined;
  }

  /**
   * Takes a grant; gives the plan of its first step unless one is under way, and undefined if it
   * does not go on where the last one ends, or came before. `place` is where this worker stands in
   * the group that the grant names.
   */
  take(
    { step, updates, shares, start }: Grant,
    place: number,
  ): Pick<NextSteps, 'plan'> | undefined {
    if (start !== undefined) {
      if (start.pass <= this.#lastFirstPass) return undefined;
      this.#lastFirstPass = this.#pass = start.pass;
      this.#grid = freshGrid(start.maxima);
      this.#stepsPerEpoch = start.stepsPerEpoch;
      this.#group = start.group && { generation: start.group.generation, index: place };
      this.#shares = start.group?.shares ?? ALL;
      this.#step = step;
      this.#steps = [];
      this.#underWay = undefined;
    } else if (step !== this.#step + this.#steps.length) return undefined;
    if (this.#group !== undefined) this.#shares = shares ?? this.#shares;
    for (const update of updates) this.#steps.push({ update, shares: this.#shares });
    this.#half = Math.floor(updates.length / 2);
    const plan = this.#underWay === undefined ? this.#begin() : undefined;
    return plan === undefined ? {} : { plan };
  }

  /** A group is over: what was granted to it is void. */
  leave(generation: number): void {
    if (this.#group?.generation === generation) this.void();
  }

  /** The state that the steps were granted for is void. */
  void(): void {
    this.#steps = [];
    this.#underWay = undefined;
    this.#step = -1;
  }

  /**
   * What follows from an attempt; undefined when it is none of these. After a number that is not
   * finite the coordinator sees to it.
   */
  settle(pass: number, { microBatches, isFinite, records }: AttemptResult): NextSteps | undefined {
    const attempt = this.#underWay;
    if (attempt === undefined || pass !== attempt.plan.pass) return undefined;
    const { plan, microBatchCount } = attempt;
    if (microBatches !== microBatchCount)
      throw new ProtocolError(
        `pass ${pass}: expected all ${microBatchCount} micro-batches at once, got ${microBatches}`,
      );
    this.#underWay = undefined;
    if (!isFinite) {
      this.void();
      return { failed: plan };
    }
    const { exponents } = plan;
    const verdict = judgeStep(this.#grid, { exponents, microBatchCount, records }, false);
    this.#grid = verdict.grid;
    this.#pass++;
    const commit = verdict.kind === 'commit' ? this.#commitOf(plan) : undefined;
    const next = this.#begin();
    const { maxima } = verdict.grid;
    return { ...(commit && { commit, ...(maxima && { maxima }) }), ...(next && { plan: next }) };
  }

  #commitOf({ pass, step, exponents }: Plan): Commit {
    const update = this.#steps.shift()?.update;
    invariant(update !== undefined, `step ${step} is granted`);
    this.#step = step + 1;
    return { kind: 'commit', pass, step, exponents, update };
  }

  #begin(): Plan | undefined {
    const [next] = this.#steps;
    if (next === undefined) return undefined;
    const { update, shares } = next;
    const microBatchCount = Math.ceil(update.sampleCount / this.#microBatch);
    const { maxima } = this.#grid;
    invariant(maxima !== undefined, 'a grant begins with a grid');
    const plan: Plan = {
      kind: 'plan',
      pass: this.#pass,
      work: 'train',
      step: this.#step,
      epoch: Math.floor(this.#step / this.#stepsPerEpoch),
      stepInEpoch: this.#step % this.#stepsPerEpoch,
      leases: divideInOrder(shares, microBatchCount)[this.#group?.index ?? 0] ?? [],
      exponents: gridExponents(maxima, microBatchCount),
      reduction: this.#group === undefined ? 'alone' : 'group',
    };
    this.#underWay = { plan, microBatchCount };
    return plan;
  }
}
