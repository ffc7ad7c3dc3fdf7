/** Compares what is computed again with what was recorded, as it comes. */
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import { factOf, type RecordedCourse, type RecordedFact } from './recorded-course.ts';

/** What was recorded otherwise than it is computed. */
export interface Difference extends Pick<RecordedFact, 'step' | 'what'> {
  /** Undefined where nothing is recorded. */
  readonly recorded: string | undefined;
  readonly computed: string;
}

/** Where a comparison ends. */
export interface ComparisonEnd {
  /** The last step that is compared. */
  readonly to: number;
  /** The state after it is wanted, too. */
  readonly wantsState: boolean;
}

/** Which step, evaluation or state it is, in words. */
export function placeOf({ what, step }: Pick<RecordedFact, 'step' | 'what'>): string {
  if (what === 'state') return `the state after step ${step}`;
  return what === 'step' ? `step ${step}` : `the evaluation after step ${step}`;
}

/** The steps of a stretch, compared one after the other. */
export class Comparison implements EventSink {
  readonly #course: RecordedCourse;
  readonly #to: number;
  readonly #onEnd: () => void;
  readonly #compared = {
    step: new Set<number>(),
    evaluation: new Set<number>(),
    state: new Set<number>(),
  };
  #difference: Difference | undefined;
  #totalSteps = Infinity;
  #wantsStep = true;
  #wantsState: boolean;

  /**
   * `onEnd` is told once all up to step `to` was compared, unless the run ends there anyway, or
   * something differs.
   */
  constructor(course: RecordedCourse, { to, wantsState }: ComparisonEnd, onEnd: () => void) {
    this.#course = course;
    this.#to = to;
    this.#wantsState = wantsState;
    this.#onEnd = onEnd;
  }

  /** The first thing that differs. */
  get difference(): Difference | undefined {
    return this.#difference;
  }

  /** How many steps, evaluations and states were the same. */
  get counts(): Readonly<Record<RecordedFact['what'], number>> {
    const { step, evaluation, state } = this.#compared;
    return { step: step.size, evaluation: evaluation.size, state: state.size };
  }

  onEvent(event: RunEvent): void {
    if (event.kind === 'run-started') this.#totalSteps = event.steps;
    // A state that cannot be written down does not come.
    if (event.kind === 'file-failed') this.#wantsState = false;
    const fact = factOf(event);
    if (this.#difference !== undefined) return;
    if (fact !== undefined) this.#compare(fact);
    if (fact !== undefined && fact.step >= this.#to) {
      if (fact.what === 'step') this.#wantsStep = false;
      if (fact.what === 'state') this.#wantsState = false;
    }
    const isDone = !this.#wantsStep && !this.#wantsState && this.#to < this.#totalSteps;
    if (isDone || this.#difference !== undefined) this.#onEnd();
  }

  #compare({ step, what, value }: RecordedFact): void {
    if (step > this.#to) return;
    const recorded = this.#course.valuesOf({ step, what });
    // Of states and evaluations there may be more than were recorded: the run was stopped there.
    if (recorded.length === 0 && what !== 'step') return;
    const odd = recorded.find((one) => one !== value);
    if (recorded.length > 0 && odd === undefined) this.#compared[what].add(step);
    else this.#difference = { step, what, recorded: odd, computed: value };
  }
}
