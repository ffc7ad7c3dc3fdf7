/** One job: its rounds, its tasks, what came back. Knows nothing of nodes, connections or time. */
import { addAverage, type FileDelta } from './numeric/federated-average.ts';
import type { LettersDirectory } from './numeric/letters-directory.ts';
import { initialParameters, type NetworkShape, seedParameters } from './numeric/parameters.ts';
import type { Recipe } from './numeric/recipe.ts';
import { measureScaling, type Scaling, scaleRows } from './numeric/scaling.ts';
import { errorRate } from './numeric/train-file.ts';
import { type JobSpec, recipeOf, shapeOf } from './job-spec.ts';
import type { DoneEvent } from './messages.ts';
import type { Task, TaskResult } from './task.ts';

/** A job from its first round to its last: hands out tasks, counts results, averages. */
export class RunningJob {
  readonly spec: JobSpec;
  readonly shape: NetworkShape;
  readonly #data: LettersDirectory;
  readonly #recipe: Recipe;
  readonly #scaling: Scaling | null;
  readonly #errors: number[] = [];
  readonly #nextId: () => number;
  #parameters: Float64Array;
  #pending: Task[] = [];
  /** Results of the current round by file. */
  #results: (FileDelta | undefined)[] = [];
  #missing = 0;

  /**
   * Ready for its first round; `nextId` numbers tasks.
   *
   * Throws: ConfigError when the network would be too large.
   */
  constructor(spec: JobSpec, data: LettersDirectory, nextId: () => number) {
    this.spec = spec;
    this.#data = data;
    this.#nextId = nextId;
    this.shape = shapeOf(spec, data.validate.rows.features);
    this.#recipe = recipeOf(spec);
    const isSeed = spec.mode === 'seed';
    this.#scaling = isSeed ? null : measureScaling(data.train.map(({ rows }) => rows));
    this.#parameters = isSeed
      ? seedParameters(this.shape)
      : initialParameters(this.shape, spec.seed);
    this.#beginRound();
  }

  /** The current round, from 0; after the last one their number. */
  get round(): number {
    return this.#errors.length;
  }

  get isOver(): boolean {
    return this.round === this.spec.rounds;
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  /** The next task of the round that nobody has. */
  takePending(): Task | undefined {
    return this.#pending.shift();
  }

  /** Gives a task back that nobody computes any more: it is the next one to be taken. */
  putBack(task: Task): void {
    if (this.needs(task)) this.#pending.unshift(task);
  }

  /** Whether the task's result is still missing. */
  needs(task: Task): boolean {
    return task.round === this.round && !this.isOver && this.#results[task.file] === undefined;
  }

  /** Counts a result, each file once; false when it is not needed any more. */
  count(task: Task, { delta }: TaskResult): boolean {
    if (!this.needs(task)) return false;
    this.#results[task.file] = { delta, rowCount: task.rowCount };
    this.#pending = this.#pending.filter(({ id }) => id !== task.id);
    this.#missing--;
    return true;
  }

  /** Averages, once every file is in, begins the next round, and gives the error of this one. */
  endRoundIfComplete(): number | undefined {
    if (this.#missing > 0 || this.isOver) return undefined;
    const averaging = this.spec.mode === 'seed' ? 'files' : 'rows';
    const deltas = this.#results.filter((result) => result !== undefined);
    this.#parameters = addAverage(this.#parameters, deltas, averaging);
    const { rows } = this.#data.validate;
    const scaled = this.#scaling === null ? rows : scaleRows(rows, this.#scaling);
    const error = errorRate(scaled, this.shape, this.#recipe.activation, this.#parameters);
    this.#errors.push(error);
    if (!this.isOver) this.#beginRound();
    return error;
  }

  /** What the client is given in the end. */
  outcome(): { readonly done: DoneEvent; readonly parameters: Float64Array } {
    const done: DoneEvent = {
      kind: 'done',
      errors: this.#errors,
      shape: this.shape,
      activation: this.#recipe.activation,
      scaling:
        this.#scaling === null
          ? null
          : { shift: [...this.#scaling.shift], factor: [...this.#scaling.factor] },
    };
    return { done, parameters: this.#parameters };
  }

  #beginRound(): void {
    const { train } = this.#data;
    this.#results = train.map(() => undefined);
    this.#missing = train.length;
    this.#pending = train.map((file, index) => ({
      id: this.#nextId(),
      mode: this.spec.mode,
      round: this.round,
      file: index,
      name: file.name,
      path: file.path,
      bytes: file.bytes,
      digest: file.digest,
      rowCount: file.rows.count,
      shape: this.shape,
      recipe: this.#recipe,
      scaling: this.#scaling,
      start: this.#parameters,
      seed: this.spec.seed,
    }));
  }
}
