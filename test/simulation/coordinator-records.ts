/**
 * What a simulated coordinator has written down when it dies: checkpoints now and then, the steps
 * that count, and its events. What no worker waited for may be lost with it.
 */
import type { DecidedStep, Returned } from '../../src/coordinator/coordinator-options.ts';
import { restoredStep } from '../../src/coordinator/restored-step.ts';
import type { Recollection } from '../../src/coordinator/states/returning.ts';
import {
  initialSnapshot,
  type Mark,
  type Snapshot,
} from '../../src/coordinator/steps/trajectory.ts';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { RunPlan } from '../../src/plan/run-plan.ts';
import { Choices } from './choices.ts';

/** The files of a simulated run. */
export class CoordinatorRecords {
  readonly #plan: RunPlan;
  readonly #events: RunEvent[];
  readonly #choices: Choices;
  #checkpoint: Snapshot | undefined;
  #decided: DecidedStep[] = [];
  #lives = 0;
  /** The last step that is known to be committed by workers. */
  #committed = 0;
  /** How the coordinators after the first went on. */
  readonly counts = { fromWorkers: 0, fromCheckpoint: 0, told: 0, restored: 0, lostSteps: 0 };

  constructor(plan: RunPlan, events: RunEvent[], seed: number) {
    this.#plan = plan;
    this.#events = events;
    this.#choices = new Choices(3_000_000 + seed);
  }

  keep(snapshot: Snapshot): void {
    if (this.#choices.chance(0.5)) this.#checkpoint = snapshot;
  }

  add(decided: DecidedStep): void {
    const { step } = decided.mark;
    this.#decided = this.#decided.filter(({ mark }) => mark.step < step);
    this.#decided.push(decided);
    if (decided.isKnown) this.#committed = step;
  }

  /** What a coordinator begins with: nothing the first time. */
  read(): { recollection?: Recollection; checkpoint?: Snapshot } {
    if (this.#lives++ === 0) return {};
    let lost = this.#choices.below(5);
    while (lost-- > 0 && this.#decided.at(-1)?.isKnown === true) this.#decided.pop();
    const checkpoint = this.#checkpoint;
    const known = Math.max(checkpoint?.step ?? 0, this.#decided.at(-1)?.mark.step ?? 0);
    const marks = new Map<number, Mark>([[0, initialSnapshot(new Uint8Array(0))]]);
    for (const { mark } of this.#decided) marks.set(mark.step, mark);
    if (checkpoint !== undefined) marks.set(checkpoint.step, checkpoint);
    const recollection = { known, markAt: (step: number) => marks.get(step) };
    return { recollection, ...(checkpoint && { checkpoint }) };
  }

  /** Makes the events those of the steps so far; gives the last step that was evaluated. */
  goOn({ step, point }: Returned): number {
    const { counts } = this;
    if (point === undefined) counts.fromCheckpoint++;
    else counts.fromWorkers++;
    counts.told += point?.told.length ?? 0;
    counts.lostSteps += Math.max(0, this.#committed - step);
    this.#committed = step;
    const evaluatedAtMost = point === undefined ? (this.#checkpoint?.evaluatedStep ?? -1) : step;
    const isPast = (event: RunEvent): boolean => {
      if (event.kind === 'step') return event.step <= step;
      return event.kind !== 'evaluation' || event.step <= evaluatedAtMost;
    };
    this.#events.splice(0, this.#events.length, ...this.#events.filter(isPast));
    const told = this.#events.flatMap((event) => (event.kind === 'step' ? event.step : []));
    const accounts = new Map(this.#decided.map(({ mark, account }) => [mark.step, account]));
    for (const [i, account] of (point?.told ?? []).entries())
      accounts.set(step - (point?.told.length ?? 0) + i + 1, account);
    this.#decided = this.#decided.filter(({ mark }) => mark.step <= step);
    for (let missing = Math.max(0, ...told) + 1; missing <= step; missing++) {
      const account = accounts.get(missing);
      if (account === undefined) throw new Error(`no account of step ${missing} of ${step}`);
      counts.restored++;
      this.#events.push(restoredStep(this.#plan, missing, account));
    }
    const evaluated = this.#events.flatMap((e) => (e.kind === 'evaluation' ? e.step : []));
    return point === undefined ? evaluatedAtMost : Math.max(-1, ...evaluated);
  }
}
