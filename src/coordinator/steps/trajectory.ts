/**
 * Where the run stands: step, grid, ledger, and the snapshot to which it can go back. All of it
 * follows from the run plan and from sums that have no order; nothing here knows who computed what.
 */
import { DivergedError, type LockstepError, NonFiniteError } from '../../base/errors.ts';
import { microBatchesOfStep, stepsPerEpoch } from '../../data/batches.ts';
import type { Ledger } from '../../metrics/events.ts';
import {
  freshGrid,
  type GridStanding,
  judgeStep,
  type RedoReason,
  type StepVerdict,
} from '../../plan/commit-rule.ts';
import { type LossCourse, nextCourse, NO_LOSSES } from '../../plan/divergence.ts';
import { summandsOf } from '../../plan/closing.ts';
import { gridExponents, type GridMaxima } from '../../plan/grid.ts';
import { isEvaluatedAfter, type PlanBytes, type RunPlan, scalarsOf } from '../../plan/run-plan.ts';
import type { Commit, MicroBatchRecord } from '../../protocol/messages.ts';
import { makeInitialState } from '../../state/initial-state.ts';
import { type Pass, type PassSpec, samplesOf } from './pass.ts';

/** SHA-256 of weights, and of weights and optimizer state. */
export interface Digests {
  readonly weightsDigest: string;
  readonly stateDigest: string;
}

/** Where a run stood, without the state itself. */
export interface Mark {
  readonly step: number;
  readonly maxima: GridMaxima | undefined;
  readonly ledger: Ledger;
  readonly losses: LossCourse;
  /** The last step after which the model was evaluated; -1 before. */
  readonly evaluatedStep: number;
}

/** A state that survives the workers, with all that the run needs to go on from it. */
export interface Snapshot extends Mark {
  /** The state after `step` updates, unpadded float32. */
  readonly bytes: Uint8Array;
  /** Its digests, as who gave it has told them; absent of a state that was made here. */
  readonly digests?: Digests | undefined;
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

/** What is added to a step of gradients that were due in an earlier one. */
export interface LatePart {
  readonly records: readonly MicroBatchRecord[];
  readonly sampleCount: number;
  /** Samples that they count for in the divisor of the step. */
  readonly countsAs: number;
}

const NO_SAMPLES: Ledger = { expected: 0, counted: 0, dropped: 0, duplicated: 0 };

/** Step, grid, ledger and snapshot of a run; they change at commits and rollbacks only. */
export class Trajectory {
  readonly #plan: RunPlan;
  readonly #given: PlanBytes['given'];
  readonly #stepsPerEpoch: number;
  #step: number;
  #evaluatedStep: number;
  #grid: GridStanding;
  #ledger: Ledger;
  #losses: LossCourse;
  #snapshot: Snapshot;

  /** Begins at `snapshot`, or at the initial state, which is made. */
  constructor(plan: RunPlan, { given }: Pick<PlanBytes, 'given'>, snapshot?: Snapshot) {
    this.#plan = plan;
    this.#given = given;
    this.#stepsPerEpoch = stepsPerEpoch(plan.train.sampleCount, plan.train.globalBatch);
    this.#snapshot = snapshot ?? initialSnapshot(makeInitialState(plan, given));
    const { step, maxima, ledger, losses, evaluatedStep } = this.#snapshot;
    [this.#step, this.#ledger, this.#losses] = [step, ledger, losses];
    this.#grid = freshGrid(maxima);
    this.#evaluatedStep = evaluatedStep;
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

  /** Whether there were attempts at the present step that did not count. */
  get isRedone(): boolean {
    return this.#grid.redoCount > 0;
  }

  /** Shards are all measured: a worker keeps what it trained on them, and only rounds it again. */
  get #measuresAll(): boolean {
    return this.#plan.units.lanesPerPart === 'all';
  }

  /** Whether the snapshot is of the present step. */
  get isKept(): boolean {
    return this.#snapshot.step === this.#step;
  }

  /** Whether the model of the present step was evaluated. */
  get isEvaluated(): boolean {
    return this.#evaluatedStep === this.#step;
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
    const exponents = gridExponents(maxima, summandsOf(this.#plan.closing, size.microBatchCount));
    return { id, work: 'train', step, epoch, stepInEpoch, ...size, exponents, reduction };
  }

  /** The commit that a complete training pass leads to; undefined if the pass does not count. */
  commitOf(pass: Pass): Commit | undefined {
    const { spec } = pass;
    const records = pass.records();
    const isFinite = this.#nonFiniteError(spec, records) === undefined;
    const counts = isFinite && this.#judge(spec, records).kind === 'commit';
    return counts ? this.#commitOf(spec, spec.sampleCount) : undefined;
  }

  /** Takes the result of a complete pass into account, with what is added of earlier steps. */
  settle(pass: Pass, late: readonly LatePart[] = []): Outcome {
    const records = pass.records();
    const error = this.#nonFiniteError(pass.spec, records);
    if (error !== undefined) return { kind: 'failed', error };
    if (pass.spec.work === 'train') return this.#settleTraining(pass, records, late);
    this.#evaluatedStep = pass.spec.step;
    return { kind: 'evaluated', records };
  }

  #settleTraining(
    pass: Pass,
    own: readonly MicroBatchRecord[],
    late: readonly LatePart[],
  ): Outcome {
    const { spec } = pass;
    const records = [...own, ...late.flatMap((part) => part.records)];
    const verdict = this.#judge(spec, records);
    this.#grid = verdict.grid;
    if (verdict.kind === 'redo') return { kind: 'redo', reason: verdict.reason };
    const ledger = pass.ledger();
    this.#ledger = [ledger, ...late.map(caughtUp)].reduce(addLedgers, this.#ledger);
    this.#step = spec.step + 1;
    const divergence = this.#follow(records);
    const lateSamples = late.reduce((sum, { countsAs }) => sum + countsAs, 0);
    const commit = this.#commitOf(spec, ledger.counted + lateSamples);
    return { kind: 'commit', commit, records, ...(divergence !== undefined && { divergence }) };
  }

  #judge(
    { exponents, microBatchCount }: PassSpec,
    records: readonly MicroBatchRecord[],
  ): StepVerdict {
    const attempt = {
      exponents,
      microBatchCount: summandsOf(this.#plan.closing, microBatchCount),
      records,
    };
    return judgeStep(this.#grid, attempt, this.#measuresAll);
  }

  /** Takes the loss of a step into account; tells if the training has diverged with it. */
  #follow(records: readonly MicroBatchRecord[]): Divergence | undefined {
    const lossMean = lossMeanOf(records);
    const before = this.#losses;
    this.#losses = nextCourse(before, lossMean);
    const { isDiverged, firstLoss = lossMean } = this.#losses;
    return isDiverged && !before.isDiverged ? { lossMean, firstLoss } : undefined;
  }

  #commitOf({ id, step, exponents }: PassSpec, sampleCount: number): Commit {
    const update = { sampleCount, scalars: { ...scalarsOf(this.#plan, step) } };
    return { kind: 'commit', pass: id, step, exponents: [...exponents], update };
  }

  /** Where the run will stand once a complete training pass counts, which is not settled yet. */
  markAfter(pass: Pass): Mark {
    const { spec } = pass;
    const records = pass.records();
    return {
      step: spec.step + 1,
      evaluatedStep: this.#evaluatedStep,
      maxima: this.#judge(spec, records).grid.committed,
      ledger: addLedgers(this.#ledger, pass.ledger()),
      losses: nextCourse(this.#losses, lossMeanOf(records)),
    };
  }

  /** The run goes on at `mark`, whose state workers have; the snapshot stays as it is. */
  goOnAt({ step, maxima, ledger, losses, evaluatedStep }: Mark): void {
    [this.#step, this.#ledger, this.#losses] = [step, ledger, losses];
    this.#grid = freshGrid(maxima);
    this.#evaluatedStep = evaluatedStep;
  }

  /** Where the run stands now. */
  mark(): Mark {
    const [step, evaluatedStep] = [this.#step, this.#evaluatedStep];
    const maxima = this.#grid.committed;
    return { step, maxima, ledger: this.#ledger, losses: this.#losses, evaluatedStep };
  }

  /** Keeps `bytes`, the state of the run when it stood at `mark`, with its digests. */
  keep(mark: Mark, bytes: Uint8Array, digests?: Digests): void {
    this.#snapshot = { ...mark, bytes, digests };
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

/** Where a run begins with its initial state. */
export function initialSnapshot(bytes: Uint8Array): Snapshot {
  const [ledger, losses] = [NO_SAMPLES, NO_LOSSES];
  return { step: 0, bytes, maxima: undefined, ledger, losses, evaluatedStep: -1 };
}

/** What is computed to learn how large gradients are, before there is a grid. */
function firstMicroBatchOf(
  { microBatch }: RunPlan['train'],
  { sampleCount }: Pick<PassSpec, 'sampleCount'>,
): Pick<PassSpec, 'microBatchCount' | 'sampleCount'> {
  return { microBatchCount: 1, sampleCount: Math.min(microBatch, sampleCount) };
}

function lossMeanOf(records: readonly MicroBatchRecord[]): number {
  return records.reduce((sum, record) => sum + (record.lossSum ?? 0), 0) / samplesOf(records);
}

/** Samples that were missing in the step that they are of, and are counted now. */
function caughtUp({ sampleCount }: LatePart): Ledger {
  return { expected: 0, counted: sampleCount, dropped: -sampleCount, duplicated: 0 };
}

/** What two parts of a run have counted together. */
export function addLedgers(a: Ledger, b: Ledger): Ledger {
  return {
    expected: a.expected + b.expected,
    counted: a.counted + b.counted,
    dropped: a.dropped + b.dropped,
    duplicated: a.duplicated + b.duplicated,
  };
}
