/**
 * A copy of a model on an engine of its own, told what to compute and what to apply by whoever
 * holds it.
 */
import type { RunData } from '../../src/job/data-source.ts';
import type { PlannedRun } from '../../src/job/make-plan.ts';
import { parseOptimizerSpec } from '../../src/optim/spec.ts';
import { compiledStepsOf, scalarsOf } from '../../src/plan/run-plan.ts';
import type { MicroBatchRecord } from '../../src/protocol/messages.ts';
import { makeInitialState } from '../../src/state/initial-state.ts';
import { LanePool } from '../../src/runtime/lanes/lane-pool.ts';
import { rewriteStep } from '../../src/runtime/received-step.ts';

/** What one replica computed of a step. */
export interface Part {
  readonly records: readonly MicroBatchRecord[];
  readonly sum: Int32Array;
  readonly sampleCount: number;
}

/** Where a step stands, and its grid. */
export interface Place {
  readonly step: number;
  readonly epoch: number;
  readonly stepInEpoch: number;
  readonly exponents: number[];
}

/** One copy of the model on an engine of its own. */
export class Replica {
  readonly #pool: LanePool;
  readonly #planned: PlannedRun;
  #finished: (part: Part) => void = () => {};
  #pass = 0;

  private constructor(pool: LanePool, planned: PlannedRun) {
    this.#pool = pool;
    this.#planned = planned;
  }

  static async create(planned: PlannedRun, data: RunData): Promise<Replica> {
    const { plan, bytes } = planned;
    const { job } = plan;
    const optimizer = parseOptimizerSpec(job.optimizer);
    const steps = compiledStepsOf(plan, bytes);
    const made: { replica?: Replica } = {};
    const { pool } = await LanePool.create({
      laneCount: 1,
      device: 'cpu',
      job,
      optimizer,
      files: {
        train: rewriteStep(steps.train, 'training').file,
        evaluate: rewriteStep(steps.evaluate, 'evaluation').file,
      },
      train: data.train,
      evaluate: data.evaluate,
      handlers: {
        onDone: (_pass, records, sum) => made.replica?.hear(records, sum),
        onAttempted: () => {},
        onFailed: (error) => {
          throw error;
        },
      },
    });
    const replica = new Replica(pool, planned);
    made.replica = replica;
    await new Promise<void>((resolve) =>
      pool.importState(makeInitialState(plan, bytes.given), resolve),
    );
    return replica;
  }

  hear(records: readonly MicroBatchRecord[], bytes: Uint8Array): void {
    // A copy: the engine's memory changes with the next pass.
    const sum = new Int32Array(bytes.slice().buffer);
    const sampleCount = records.reduce((count, record) => count + record.sampleCount, 0);
    this.#finished({ records, sum, sampleCount });
  }

  async compute(place: Place, leases: readonly number[]): Promise<Part> {
    const pass = ++this.#pass;
    const { sumElements } = this.#planned.plan;
    if (leases.length === 0)
      return { records: [], sum: new Int32Array(sumElements), sampleCount: 0 };
    return new Promise((resolve) => {
      this.#finished = resolve;
      this.#pool.begin({
        kind: 'plan',
        pass,
        work: 'train',
        ...place,
        leases: [...leases],
        reduction: 'star',
      });
    });
  }

  async apply(place: Place, total: Int32Array, sampleCount: number): Promise<void> {
    if (sampleCount === 0) return;
    const { step, exponents } = place;
    const update = { sampleCount, scalars: { ...scalarsOf(this.#planned.plan, step) } };
    const bytes = new Uint8Array(total.buffer);
    await new Promise<unknown>((resolve) =>
      this.#pool.apply(
        { kind: 'commit', pass: this.#pass, step, exponents, update },
        bytes,
        resolve,
      ),
    );
  }

  async state(): Promise<Uint8Array> {
    return new Promise((resolve) => this.#pool.exportState((bytes) => resolve(bytes.slice())));
  }

  async close(): Promise<void> {
    await this.#pool.closed(2_000);
  }
}
