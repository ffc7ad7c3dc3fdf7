/**
 * Where the run stands: step, grid, ledger, and the snapshot to which it can go back. All of it
 * follows from the run plan and from sums that have no order; nothing here knows who computed what.
 */
import { type LockstepError, NonFiniteError } from '../base/errors.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../data/batches.ts';
import type { Ledger } from '../metrics/events.ts';
import {
  gridExponents,
  type GridMaxima,
  mergeMaxima,
  nextMaxima,
  overflowsGrid,
} from '../plan/grid.ts';
import { isEvaluatedAfter, type PlanBytes, type RunPlan, scalarsOf } from '../plan/run-plan.ts';
import type { Commit, MicroBatchRecord } from '../protocol/messages.ts';
import { makeInitialState } from '../state/initial-state.ts';
import type { Pass, PassSpec } from './pass.ts';

/** Where a run stood, without the state itself. */
export interface Mark {
  readonly step: number;
  readonly maxima: GridMaxima | undefined;
  readonly ledger: Ledger;
}

/** A state that survives the workers, with all that the run needs to go on from it. */
export interface Snapshot extends Mark {
  /** The state after `step` updates, unpadded float32. */
  readonly bytes: Uint8Array;
}

/** What a complete pass means for the run. */
export type Outcome =
  | {
      readonly kind: 'commit';
      readonly commit: Commit;
      readonly records: readonly MicroBatchRecord[];
    }
  | { readonly kind: 'redo'; readonly reason: 'calibration' | 'overflow' }
  | { readonly kind: 'evaluated'; readonly records: readonly MicroBatchRecord[] }
  | { readonly kind: 'failed'; readonly error: LockstepError };

const NO_SAMPLES: Ledger = { expected: 0, counted: 0, dropped: 0, duplicated: 0 };

/** Step, grid, ledger and snapshot of a run; they change at commits and rollbacks only. */
export class Trajectory {
  readonly #plan: RunPlan;
  readonly #given: PlanBytes['given'];
  readonly #stepsPerEpoch: number;
  #step = 0;
  #evaluatedStep = -1;
  /** Undefined until the first attempt of the first step has measured them. */
  #maxima: GridMaxima | undefined;
  /**
   * The same when the step began: passes that are computed again widen the grid, and may be void
   * later.
   */
  #committedMaxima: GridMaxima | undefined;
  #ledger: Ledger = NO_SAMPLES;
  #snapshot: Snapshot;

  constructor(plan: RunPlan, { given }: Pick<PlanBytes, 'given'>) {
    this.#plan = plan;
    this.#given = given;
    this.#stepsPerEpoch = stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch);
    this.#snapshot = initialSnapshot(plan, given);
  }

  /** Updates committed so far. */
  get step(): number {
    return this.#step;
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Whether the snapshot is of the present step. */
  get isKept(): boolean {
    return this.#snapshot.step === this.#step;
  }

  /** What comes next. */
  get work(): 'train' | 'evaluate' | 'nothing' {
    if (this.#evaluatedStep < this.#step && isEvaluatedAfter(this.#plan, this.#step))
      return 'evaluate';
    return this.#step < this.#plan.totalSteps ? 'train' : 'nothing';
  }

  /** The pass that comes next. */
  specOf(work: 'train' | 'evaluate', id: number, reduction: PassSpec['reduction']): PassSpec {
    const { train, evaluate, job } = this.#plan;
    const step = this.#step;
    if (work === 'evaluate' && evaluate !== undefined) {
      const epoch = Math.floor(Math.max(0, step - 1) / this.#stepsPerEpoch);
      return {
        id,
        work,
        step,
        epoch,
        stepInEpoch: 0,
        ...microBatchesOfStep(evaluate, 0),
        exponents: [],
        reduction,
      };
    }
    const epoch = Math.floor(step / this.#stepsPerEpoch);
    const stepInEpoch = step % this.#stepsPerEpoch;
    const size = microBatchesOfStep(train, stepInEpoch);
    const maxima = this.#maxima ?? job.parameters.map(() => 1);
    const exponents = gridExponents(maxima, size.microBatchCount);
    return { id, work: 'train', step, epoch, stepInEpoch, ...size, exponents, reduction };
  }

  /** Takes the result of a complete pass into account. */
  settle(pass: Pass): Outcome {
    const records = pass.records();
    const error = this.#nonFiniteError(pass.spec, records);
    if (error !== undefined) return { kind: 'failed', error };
    if (pass.spec.work === 'train') return this.#settleTraining(pass, records);
    this.#evaluatedStep = pass.spec.step;
    return { kind: 'evaluated', records };
  }

  #settleTraining(pass: Pass, records: readonly MicroBatchRecord[]): Outcome {
    const { spec } = pass;
    const before = this.#maxima;
    const observed = records
      .map((record) => record.maxima.map((value) => value ?? 0))
      .reduce(mergeMaxima);
    if (before === undefined) {
      this.#maxima = nextMaxima(observed, observed);
      return { kind: 'redo', reason: 'calibration' };
    }
    if (overflowsGrid(observed, spec.exponents, spec.microBatchCount)) {
      this.#maxima = mergeMaxima(observed, before);
      return { kind: 'redo', reason: 'overflow' };
    }
    this.#maxima = this.#committedMaxima = nextMaxima(before, observed);
    this.#ledger = addLedgers(this.#ledger, pass.ledger());
    this.#step = spec.step + 1;
    return { kind: 'commit', commit: this.#commitOf(spec), records };
  }

  #commitOf({ id, step, exponents, sampleCount }: PassSpec): Commit {
    const update = { sampleCount, scalars: { ...scalarsOf(this.#plan, step) } };
    return { kind: 'commit', pass: id, step, exponents: [...exponents], update };
  }

  /** Where the run stands now. */
  mark(): Mark {
    return { step: this.#step, maxima: this.#committedMaxima, ledger: this.#ledger };
  }

  /** Keeps `bytes`, the state of the run when it stood at `mark`. */
  keep(mark: Mark, bytes: Uint8Array): void {
    this.#snapshot = { ...mark, bytes };
  }

  /**
   * Goes back to a state in which nobody's work after `step` is: the present one, the snapshot, or
   * the initial state when the snapshot is newer. What was evaluated since then will be evaluated
   * again.
   */
  undo(step: number): void {
    if (step >= this.#step) {
      this.#maxima = this.#committedMaxima;
      return;
    }
    if (this.#snapshot.step > step) this.#snapshot = initialSnapshot(this.#plan, this.#given);
    this.rollBack();
    this.#evaluatedStep = Math.min(this.#evaluatedStep, this.#step - 1);
  }

  /** Goes back to the snapshot; what follows will be the same again. */
  rollBack(): void {
    this.#step = this.#snapshot.step;
    this.#maxima = this.#committedMaxima = this.#snapshot.maxima;
    this.#ledger = this.#snapshot.ledger;
  }

  #nonFiniteError(
    { work, step }: PassSpec,
    records: readonly MicroBatchRecord[],
  ): NonFiniteError | undefined {
    const record = records.find(({ lossSum, maxima }) => lossSum === null || maxima.includes(null));
    if (record === undefined) return undefined;
    const { microBatch, lossSum, maxima } = record;
    const tensor = this.#plan.job.parameters[maxima.indexOf(null)]?.name;
    const what = lossSum === null ? 'the loss' : `the gradient of ${tensor}`;
    const { step: unit, part } = this.#plan.units;
    const where =
      work === 'train'
        ? `${unit} ${step}, ${part}`
        : `evaluation after ${unit} ${step}, micro-batch`;
    const effect =
      work === 'train' ? `Nothing of this ${unit} was applied.` : 'The model has diverged.';
    return new NonFiniteError(
      `${where} ${microBatch}: ${what} is not finite. ${effect} Lower --lr, or clip gradients ` +
        'with --clip-norm.',
      { step, microBatch, tensor },
    );
  }
}

function initialSnapshot(plan: RunPlan, given: PlanBytes['given']): Snapshot {
  const bytes = makeInitialState(plan, given);
  return { step: 0, bytes, maxima: undefined, ledger: NO_SAMPLES };
}

function addLedgers(a: Ledger, b: Ledger): Ledger {
  return {
    expected: a.expected + b.expected,
    counted: a.counted + b.counted,
    dropped: a.dropped + b.dropped,
    duplicated: a.duplicated + b.duplicated,
  };
}
