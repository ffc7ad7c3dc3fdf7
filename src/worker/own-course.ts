/**
 * The steps that this worker commits by itself, and what goes to the coordinator behind them.
 * Alone, or with a group that has memory in common, its engine goes through them without a word,
 * and what that tells is gone through again here, by the same rule. With another group, each step
 * is computed and added up as it comes.
 */
import {
  type AttemptResult,
  GrantedSteps,
  type NextSteps,
  resultOf,
  resultOfAll,
} from '../plan/granted-steps.ts';
import { accountOf } from '../plan/step-account.ts';
import type { Commit, Contribution, Grant, Plan } from '../protocol/messages.ts';
import type { AttemptNote } from '../plan/attempt-note.ts';
import type { Engine, EngineAttempt } from '../runtime/engine.ts';
import type { CoordinatorLink } from './coordinator-link.ts';
import type { OwnSteps } from './own-steps.ts';
import type { AddingTimes } from './pass-work.ts';
import type { LentSeat } from './peer-group.ts';
import type { Peers } from './peers.ts';

/** What the course of a worker needs. */
export interface OwnCourseOptions {
  /** Samples of a micro-batch. */
  readonly microBatch: number;
  readonly link: CoordinatorLink;
  readonly peers: Peers;
  /** Keeps account of every step that counts. */
  readonly ownSteps: OwnSteps;
  /** A step of the group counts; its total is there for as long as this runs. */
  readonly onCommit: (commit: Commit, total: Uint8Array) => void;
  /** The engine has committed a step by itself. */
  readonly onOwnCommit: (commit: Commit) => void;
  /** How long the coordinator was waited for, if that is not told. */
  readonly takeWaited: () => Pick<Contribution, 'waitCoordinatorMs'>;
  /** This comes next. */
  readonly onPlan: (plan: Plan) => void;
}

/** What an attempt comes to, with the losses of its micro-batches in their order. */
interface AttemptOutcome {
  readonly result: AttemptResult;
  readonly losses: AttemptNote['losses'];
}

/** Granted steps, one after another. */
export class OwnCourse {
  readonly #options: OwnCourseOptions;
  readonly #granted: GrantedSteps;
  /** Grants that the engine has not been given yet. */
  #waiting: Grant[] = [];
  /** Whether the engine goes through what is granted by itself. */
  #isEngines = false;
  /** Where the engine adds up with others, by group. */
  readonly #lent = new Map<number, LentSeat>();
  /** What adding up the last attempt took, unless that is told. */
  #adding: AddingTimes | undefined;
  /** Groups that are over, while the engine ends what it does for them. */
  readonly #leaving = new Set<number>();

  constructor(options: OwnCourseOptions) {
    this.#options = options;
    this.#granted = new GrantedSteps(options.microBatch);
  }

  /** Whether the engine ends what it does for a group that is over. */
  get isLeaving(): boolean {
    return this.#leaving.size > 0;
  }

  /** Whether something that was granted is being computed, or added up. */
  get isUnderWay(): boolean {
    return this.#granted.isUnderWay;
  }

  /**
   * Whether a plan is older than what was granted: it came by another connection, which was slower,
   * and others have done its work meanwhile.
   */
  hasOvertaken({ pass }: Plan): boolean {
    return pass < this.#granted.firstPass;
  }

  /** Takes a grant, unless it came before, or is for a group that is over. */
  take(grant: Grant): void {
    const { start } = grant;
    const generation = start === undefined ? this.#granted.generation : start.group?.generation;
    const place = generation === undefined ? 0 : this.#options.peers.placeIn(generation);
    if (place === undefined || this.#isOver(generation)) return;
    const taken = this.#granted.take(grant, place);
    if (taken === undefined) return;
    if (start !== undefined) this.#isEngines = generation === undefined || this.#sit(generation);
    if (this.#isEngines) this.#waiting.push(grant);
    else this.#begin(taken.plan);
  }

  #isOver(generation: number | undefined): boolean {
    return generation !== undefined && this.#leaving.has(generation);
  }

  /** Whether the engine can add up with a group by itself. */
  #sit(generation: number): boolean {
    const lent = this.#lent.get(generation) ?? this.#options.peers.lend(generation);
    if (lent !== undefined) this.#lent.set(generation, lent);
    return lent !== undefined;
  }

  /** Gives the engine what it does by itself, if the state is that after `step` updates. */
  beginIfDue(engine: Engine, step: number | undefined): boolean {
    const [grant] = this.#waiting;
    if (grant === undefined || (grant.start !== undefined && grant.step !== step)) return false;
    this.#waiting.shift();
    engine.follow(grant, this.#lent.get(grant.start?.group?.generation ?? -1)?.seat);
    return true;
  }

  /** The state that steps were granted for is void. */
  void(): void {
    this.#waiting = [];
    this.#granted.void();
  }

  /**
   * A group is over, and what was granted to it; calls back once the engine has ended, and told,
   * what it did for it.
   */
  leave(generation: number, engine: Engine | undefined, done: () => void): void {
    const lent = this.#lent.get(generation);
    if (this.#granted.generation === generation) this.#waiting = [];
    const end = (): void => {
      this.#leaving.delete(generation);
      this.#lent.delete(generation);
      lent?.giveBack();
      this.#granted.leave(generation);
      done();
    };
    if (engine === undefined || lent === undefined) return end();
    this.#leaving.add(generation);
    engine.halt(generation, end);
  }

  /**
   * Nothing that was granted is begun any more; calls back once the engine has ended, and told,
   * what it does with others. What it does alone it does to its end.
   */
  part(engine: Engine, done: () => void): void {
    this.#waiting = [];
    const { generation } = this.#granted;
    if (generation === undefined) done();
    else this.leave(generation, engine, done);
  }

  /** The engine tells what it has done by itself. */
  follow(attempts: readonly EngineAttempt[]): void {
    for (const [i, attempt] of attempts.entries()) {
      const { pass, ofGroup } = attempt;
      const outcome =
        ofGroup === undefined ? outcomeAlone(attempt) : this.#noted(pass, ofGroup.notes);
      const next = outcome && this.#granted.settle(pass, outcome.result);
      if (outcome === undefined || next === undefined) continue;
      this.#tell(attempt, i === attempts.length - 1);
      this.#note(next, outcome);
      this.#take(next, attempt);
    }
  }

  /** What a group's notes on an attempt come to; undefined if it is not of the present one. */
  #noted(pass: number, notes: Uint8Array): AttemptOutcome | undefined {
    const generation = this.#granted.generationOf(pass);
    if (generation === undefined) return undefined;
    const read = this.#options.peers.note(generation, pass, notes);
    return read && outcomeOf(read);
  }

  #note({ commit, maxima }: NextSteps, { losses }: AttemptOutcome): void {
    if (commit === undefined || maxima === undefined) return;
    const account = accountOf(commit.update.sampleCount, losses);
    this.#options.ownSteps.add(commit.step + 1, account, maxima);
  }

  #tell(attempt: EngineAttempt, isLast: boolean): void {
    const { pass, records, busyMs, elapsedMs, updateMs, ofGroup } = attempt;
    const { link } = this.#options;
    const times = { busyMs, updateMs, ...this.#options.takeWaited() };
    const told: Contribution = { kind: 'contribution', pass, records: [...records], ...times };
    if (ofGroup === undefined) return link.sendData({ ...told, elapsedMs });
    const { addingMs, waitPeersMs } = ofGroup;
    const adding = { addingMs, waitPeersMs };
    if (records.length > 0) link.sendData({ ...told, ...this.#adding });
    const isTold = isLast || records.length === 0;
    // Else the next contribution tells that it has the total.
    if (isTold) link.sendData({ kind: 'reduced', pass, ...adding });
    this.#adding = isTold ? undefined : adding;
  }

  #take({ commit, failed }: NextSteps, { norms, ofGroup }: EngineAttempt): void {
    const { link, onOwnCommit, onPlan } = this.#options;
    // It may be asked to compute the same again.
    if (failed !== undefined && ofGroup === undefined) onPlan({ ...failed, leases: [] });
    if (commit === undefined) return;
    onOwnCommit(commit);
    if (norms.length > 0)
      link.sendData({ kind: 'applied', step: commit.step + 1, norms: [...norms] });
  }

  /**
   * All of this worker's part in a pass is done, of which `contribution` tells if there was any.
   * False if no group was granted it; else the coordinator hears of it by the time when half of what
   * is granted is done, or all of it.
   */
  goOn(pass: number, contribution?: Contribution): boolean {
    const granted = this.#granted;
    if (granted.generationOf(pass) === undefined) return false;
    if (contribution !== undefined) this.#options.link.sendSoon(contribution);
    const records = contribution?.records ?? [];
    const inOrder = [...records].sort((a, b) => a.microBatch - b.microBatch);
    this.#options.peers.add(pass, inOrder, (total, notes, adding) => {
      const { link } = this.#options;
      const outcome = outcomeOf(notes);
      const next = granted.settle(pass, outcome.result);
      if (next !== undefined) this.#note(next, outcome);
      const isDue = next?.plan === undefined || granted.isHalfDone;
      // Else the next contribution tells that it has the total.
      if (isDue) link.sendData({ kind: 'reduced', pass, ...adding });
      else if (records.length === 0) link.sendSoon({ kind: 'reduced', pass, ...adding });
      this.#follow(next, total);
    });
    return true;
  }

  #follow(next: NextSteps | undefined, total: Uint8Array): void {
    if (next?.commit !== undefined) this.#options.onCommit(next.commit, total);
    this.#begin(next?.plan);
  }

  #begin(plan: Plan | undefined): void {
    if (plan === undefined) return;
    this.#options.onPlan(plan);
    // Without a part in it there is nothing to wait for.
    if (plan.reduction === 'group' && plan.leases.length === 0) this.goOn(plan.pass);
  }
}

function outcomeAlone({ records }: EngineAttempt): AttemptOutcome {
  const inOrder = [...records].sort((a, b) => a.microBatch - b.microBatch);
  const losses = inOrder.map(({ lossSum, correctSum }) => ({ lossSum: lossSum ?? 0, correctSum }));
  return { result: resultOf(records), losses };
}

/** Members of a group compute one part of a step after another, in the order of their places. */
function outcomeOf(notes: readonly AttemptNote[]): AttemptOutcome {
  return { result: resultOfAll(notes), losses: notes.flatMap(({ losses }) => losses) };
}
