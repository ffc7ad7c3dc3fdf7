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

  /**
   * `onEnd` is told once step `to` was compared, unless the run ends there anyway, or something
   * differs.
   */
  constructor(course: RecordedCourse, to: number, onEnd: () => void) {
    this.#course = course;
    this.#to = to;
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
    const fact = factOf(event);
    if (fact === undefined || this.#difference !== undefined) return;
    this.#compare(fact);
    const isLast = fact.what === 'step' && fact.step >= this.#to && this.#to < this.#totalSteps;
    if (isLast || this.#difference !== undefined) this.#onEnd();
  }

  #compare({ step, what, value }: RecordedFact): void {
    if (step > this.#to) return;
    const recorded = this.#course.valueOf({ step, what });
    // Of states and evaluations there may be more than were recorded: the run was stopped there.
    if (recorded === undefined && what !== 'step') return;
    if (recorded === value) this.#compared[what].add(step);
    else this.#difference = { step, what, recorded, computed: value };
  }
}
