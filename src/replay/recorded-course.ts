/** What a run has recorded of its steps, to be compared with the same steps computed again. */
import type { RunEvent } from '../metrics/events.ts';

/** A step, an evaluation or a state, in numbers that must be the same each time. */
export interface RecordedFact {
  readonly step: number;
  readonly what: 'step' | 'evaluation' | 'state';
  /** The numbers as text, to the last digit. */
  readonly value: string;
}

/** What of an event must be the same each time; undefined for one that says how, not what. */
export function factOf(event: RunEvent): RecordedFact | undefined {
  switch (event.kind) {
    case 'step': {
      const { step, sampleCount, lossMean, accuracy, learningRate } = event;
      const value = textOf({ sampleCount, lossMean, accuracy, learningRate });
      return { step, what: 'step', value };
    }
    case 'evaluation': {
      const { step, split, sampleCount, lossMean, accuracy } = event;
      return {
        step,
        what: 'evaluation',
        value: textOf({ split, sampleCount, lossMean, accuracy }),
      };
    }
    case 'checkpoint-written':
      return { step: event.step, what: 'state', value: event.stateDigest };
    default:
      return undefined;
  }
}

/** The course of a run: of every step and what was told of it, the last that was told. */
export class RecordedCourse {
  readonly #values = new Map<string, string>();
  readonly #states = new Set<number>();
  readonly #checkpoints = new Map<number, string>();
  #firstStep = Infinity;
  #lastStep = 0;

  /** Takes what is recorded; what comes later counts, as after a rollback. */
  add(event: RunEvent): void {
    const fact = factOf(event);
    if (fact === undefined) return;
    this.#values.set(keyOf(fact), fact.value);
    if (fact.what === 'state') this.#states.add(fact.step);
    if (fact.what !== 'step') return;
    this.#firstStep = Math.min(this.#firstStep, fact.step);
    this.#lastStep = Math.max(this.#lastStep, fact.step);
  }

  /** Takes a checkpoint that is there: its state must be that of the run, too. */
  addCheckpoint(step: number, stateDigest: string): void {
    this.#checkpoints.set(step, stateDigest);
    this.#states.add(step);
    this.#lastStep = Math.max(this.#lastStep, step);
  }

  /** The step after which the record begins: that of its parent where the run is a variation. */
  get originStep(): number {
    return this.#firstStep === Infinity ? this.#lastStep : this.#firstStep - 1;
  }

  get lastStep(): number {
    return this.#lastStep;
  }

  /** The steps after which the state is recorded, in order. */
  get stateSteps(): readonly number[] {
    return [...this.#states].toSorted((a, b) => a - b);
  }

  /** What is recorded of it: of a state, by the record of the run and by its checkpoint. */
  valuesOf(fact: Pick<RecordedFact, 'step' | 'what'>): readonly string[] {
    const ofCheckpoint = fact.what === 'state' ? this.#checkpoints.get(fact.step) : undefined;
    return [this.#values.get(keyOf(fact)) ?? [], ofCheckpoint ?? []].flat();
  }
}

function keyOf({ step, what }: Pick<RecordedFact, 'step' | 'what'>): string {
  return `${what} ${step}`;
}

function textOf(facts: Readonly<Record<string, string | number | undefined>>): string {
  return Object.entries(facts)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]))
    .join(', ');
}
