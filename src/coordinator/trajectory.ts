/**
 * Where the run stands: step, grid, ledger, and the snapshot to which it can go back. All of it
 * follows from the run plan and from sums that have no order; nothing here knows who computed what.
 */
import { DivergedError, type LockstepError, NonFiniteError } from '../base/errors.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../data/batches.ts';
import type { Ledger } from '../metrics/events.ts';
import { freshGrid, type GridStanding, judgeStep, type RedoReason } from '../plan/commit-rule.ts';
import { type LossCourse, nextCourse, NO_LOSSES } from '../plan/divergence.ts';
import { gridExponents, type GridMaxima } from '../plan/grid.ts';
import { isEvaluatedAfter, type PlanBytes, type RunPlan, scalarsOf } from '../plan/run-plan.ts';
import type { Commit, MicroBatchRecord } from '../protocol/messages.ts';
import { makeInitialState } from '../state/initial-state.ts';
import type { Pass, PassSpec } from './pass.ts';

/** Where a run stood, without the state itself. */
export interface Mark {
  readonly step: number;
  readonly maxima: GridMaxima | undefined;
  readonly ledger: Ledger;
  readonly losses: LossCourse;
}

/** A state that survives the workers, with all that the run needs to go on from it. */
export interface Snapshot extends Mark {
  /** The state after `step` updates, unpadded float32. */
  readonly bytes: Uint8Array;
}

/** A loss that has gone far away from the first one. */
export interface Divergence {
  readonly lossMean: number;
  readonly firstLoss: number;
}

/** What a complete pass means for the run. */
export type Outcome =
  | {
      readonly kind: 'commit';
      readonly commit: Commit;
      readonly records: readonly MicroBatchRecord[];
      /** With this step the training has diverged. */
      readonly divergence?: Divergence;
    }
  | { readonly kind: 'redo'; readonly reason: RedoReason }
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
  #grid: GridStanding = freshGrid(undefined);
  #ledger: Ledger = NO_SAMPLES;
  #losses: LossCourse = NO_LOSSES;
  #snapshot: Snapshot;

  /** `state` is the initial one, if it has been made already. */
  constructor(plan: RunPlan, { given }: Pick<PlanBytes, 'given'>, state?: Uint8Array) {
    this.#plan = plan;
    this.#given = given;
    this.#stepsPerEpoch = stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch);
    this.#snapshot = initialSnapshot(state ?? makeInitialState(plan, given));
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

  /** Whether it is known how large gradients are; if not, the next pass measures them. */
  get isMeasured(): boolean {
    return this.#grid.maxima !== undefined;
  }

  /** Shards are all measured: a worker keeps what it trained on them, and only rounds it again. */
  get #measuresAll(): boolean {
    return this.#plan.units.lanesPerPart === 'all';
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
    const whole = microBatchesOfStep(train, stepInEpoch);
    const isWhole = this.isMeasured || this.#measuresAll;
    const size = isWhole ? whole : firstMicroBatchOf(train, whole);
    const maxima = this.#grid.maxima ?? job.parameters.map(() => 1);
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
    const { exponents, microBatchCount } = spec;
    const attempt = { exponents, microBatchCount, records };
    const verdict = judgeStep(this.#grid, attempt, this.#measuresAll);
    this.#grid = verdict.grid;
    if (verdict.kind === 'redo') return { kind: 'redo', reason: verdict.reason };
    this.#ledger = addLedgers(this.#ledger, pass.ledger());
    this.#step = spec.step + 1;
    const divergence = this.#follow(records, spec.sampleCount);
    const commit = this.#commitOf(spec);
    return { kind: 'commit', commit, records, ...(divergence !== undefined && { divergence }) };
  }

  /** Takes the loss of a step into account; tells if the training has diverged with it. */
  #follow(records: readonly MicroBatchRecord[], sampleCount: number): Divergence | undefined {
    const lossMean = records.reduce((sum, { lossSum }) => sum + (lossSum ?? 0), 0) / sampleCount;
    const before = this.#losses;
    this.#losses = nextCourse(before, lossMean);
    const { isDiverged, firstLoss = lossMean } = this.#losses;
    return isDiverged && !before.isDiverged ? { lossMean, firstLoss } : undefined;
  }

  #commitOf({ id, step, exponents, sampleCount }: PassSpec): Commit {
    const update = { sampleCount, scalars: { ...scalarsOf(this.#plan, step) } };
    return { kind: 'commit', pass: id, step, exponents: [...exponents], update };
  }

  /** Where the run stands now. */
  mark(): Mark {
    const maxima = this.#grid.committed;
    return { step: this.#step, maxima, ledger: this.#ledger, losses: this.#losses };
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
      this.#grid = freshGrid(this.#grid.committed);
      return;
    }
    this.goBack(step);
  }

  /** Goes back to the snapshot, or to the initial state when the snapshot is newer than `step`. */
  goBack(step: number): void {
    if (this.#snapshot.step > step)
      this.#snapshot = initialSnapshot(makeInitialState(this.#plan, this.#given));
    this.rollBack();
    this.#evaluatedStep = Math.min(this.#evaluatedStep, this.#step - 1);
  }

  /** Goes back to the snapshot; what follows will be the same again. */
  rollBack(): void {
    this.#step = this.#snapshot.step;
    this.#grid = freshGrid(this.#snapshot.maxima);
    this.#ledger = this.#snapshot.ledger;
    this.#losses = this.#snapshot.losses;
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

/** Why a run ends that is not to go on when it has diverged. */
export function divergenceError(step: number, { lossMean, firstLoss }: Divergence): DivergedError {
  const losses = `${lossMean.toPrecision(4)}, the first was ${firstLoss.toPrecision(4)}`;
  return new DivergedError(
    `step ${step}: the training has diverged: the loss is ${losses}. Lower --lr, clip gradients ` +
      'with --clip-norm, or leave out --stop-on-divergence to go on all the same.',
    { step, lossMean, firstLoss },
  );
}

function initialSnapshot(bytes: Uint8Array): Snapshot {
  return { step: 0, bytes, maxima: undefined, ledger: NO_SAMPLES, losses: NO_LOSSES };
}

/** What is computed to learn how large gradients are, before there is a grid. */
function firstMicroBatchOf(
  { microBatch }: RunPlan['train'],
  { sampleCount }: Pick<PassSpec, 'sampleCount'>,
): Pick<PassSpec, 'microBatchCount' | 'sampleCount'> {
  return { microBatchCount: 1, sampleCount: Math.min(microBatch, sampleCount) };
}

function addLedgers(a: Ledger, b: Ledger): Ledger {
  return {
    expected: a.expected + b.expected,
    counted: a.counted + b.counted,
    dropped: a.dropped + b.dropped,
    duplicated: a.duplicated + b.duplicated,
  };
}
