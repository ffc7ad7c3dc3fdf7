/**
 * The engine of a worker whose run is done in rounds. To the coordinator it is an engine like any
 * other: a round is a step, a shard is a micro-batch, and what training on the shard changed is its
 * gradient (outer-update.ts). Shards are trained one after the other, each with all lanes; a finished
 * one is contributed at once, so that a worker that dies takes no more than its current one along.
 */
import { ProtocolError } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import { asRuntimeError } from '../base/shortage.ts';
import { packSum, unpackSum } from '../collectives/packed-sum.ts';
import { sampleRange } from '../data/batches.ts';
import { roundAsStep } from '../data/shards.ts';
import type { Commit, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import type { Engine, EngineHandlers } from '../runtime/engine.ts';
import { LanePool, type LanePoolOptions } from '../runtime/lanes/lane-pool.ts';
import { digestsOf } from '../state/digest.ts';
import { LocalLanes, type LocalRecipe, localRecipeOf, trainOnShard } from './local-training.ts';
import { outerOptimizerOf } from './outer-update.ts';
import { type Change, type ChangeCodec, type ChangeNumbers, RoundState } from './round-state.ts';
import { parseRoundsSpec } from './rounds-spec.ts';
import type { StartedEngine } from './strategy.ts';

const NOTHING = new Uint8Array(0);
/**
 * What shards changed is kept until the round is committed, as far as this goes: then another grid
 * costs no training.
 */
const MAX_KEPT_BYTES = 512 << 20;

/** A shard that is trained. */
interface TrainedShard {
  readonly change: Change;
  readonly record: Omit<MicroBatchRecord, keyof ChangeNumbers>;
}

/** Something to do, in its turn. */
type Operation = () => Promise<void> | void;

/** Trains on shards, and updates by what they changed; see above. */
export class RoundsEngine implements Engine {
  readonly #pool: LanePool;
  readonly #lanes: LocalLanes;
  readonly #recipe: LocalRecipe;
  readonly #handlers: EngineHandlers;
  readonly #isAudited: boolean;
  /** How what shards changed is made smaller, and with which seed it is rounded at random. */
  readonly #codec: (Omit<ChangeCodec, 'words'> & { readonly seed: number }) | undefined;
  readonly #state: RoundState;
  /** The pass that was begun and is not void. */
  #pass: Plan | undefined;
  /** Whether it is an evaluation that the lanes are at. */
  #isEvaluating = false;
  /** Leases that are not begun. */
  #waiting: number[] = [];
  /** By shard, from the present weights. */
  readonly #trained = new Map<number, TrainedShard>();
  readonly #operations: Operation[] = [];
  #isBusy = false;
  #isClosed = false;

  private constructor(pool: LanePool, { job, optimizer, train, handlers }: LanePoolOptions) {
    this.#pool = pool;
    this.#lanes = new LocalLanes(pool);
    this.#recipe = localRecipeOf(job, optimizer, train.sampleCount);
    this.#handlers = handlers;
    this.#isAudited = job.isAudited;
    const spec = parseRoundsSpec(job);
    const { compress, topKPart } = spec;
    this.#codec = compress === undefined ? undefined : { seed: job.seed, topKPart };
    this.#state = new RoundState(job.parameters, outerOptimizerOf(spec), compress === 'topk');
  }

  /**
   * Starts the lanes; `optimizer` is that of local training. Gives them too: their threads end
   * after the engine.
   */
  static async create(
    options: LanePoolOptions,
  ): Promise<StartedEngine & { readonly engine: RoundsEngine }> {
    const { job, handlers } = options;
    let receive: (records: readonly MicroBatchRecord[]) => void = () => {};
    const { pool, numericsClass } = await LanePool.create({
      ...options,
      job: { ...job, tracksNorms: false, isAudited: false },
      handlers: {
        onDone: (_pass, records) => receive(records),
        onAttempted: () => {},
        onFailed: (error) => handlers.onFailed(error),
      },
    });
    const engine = new RoundsEngine(pool, options);
    receive = (records) => engine.#receive(records);
    return { engine, pool, numericsClass };
  }

  begin(plan: Plan): void {
    this.#void();
    this.#pass = plan;
    this.#waiting = [...plan.leases];
    this.#perform(async () => {
      if (this.#pass !== plan) return;
      this.#state.clearSum();
      if (plan.work === 'evaluate') await this.#evaluate(plan);
    });
  }

  extend(microBatches: readonly number[]): void {
    if (this.#isEvaluating) return this.#pool.extend(microBatches);
    this.#waiting.push(...microBatches);
    this.#advance();
  }

  release(count: number): number[] {
    if (this.#isEvaluating) return this.#pool.release(count);
    return this.#waiting.splice(Math.max(0, this.#waiting.length - count));
  }

  audit(
    microBatches: readonly number[],
    done: (records: readonly MicroBatchRecord[]) => void,
  ): void {
    const plan = this.#pass;
    if (plan === undefined) return;
    this.#perform(async () => {
      if (plan.work === 'evaluate') {
        if (this.#pass === plan) this.#pool.audit(microBatches, done);
        return;
      }
      const records: MicroBatchRecord[] = [];
      for (const shard of microBatches) {
        // What it has of it is what it is asked to compute again.
        this.#trained.delete(shard);
        const trained = await this.#train(plan, shard);
        if (trained === undefined) return;
        records.push(this.#recordOf(trained, this.#state.measure(trained.change, plan.exponents)));
      }
      done(records);
    });
  }

  apply(
    commit: Commit,
    totals: Uint8Array | undefined,
    done: (norms: readonly number[]) => void,
  ): void {
    this.#void();
    this.#perform(() => {
      if (totals !== undefined) this.#takeTotals(totals);
      this.#state.update(commit);
      this.#trained.clear();
      done([]);
    });
  }

  follow(): never {
    throw new ProtocolError('grant: rounds are not granted');
  }

  halt(_: number, done: () => void): void {
    done();
  }

  importState(bytes: Uint8Array, done: () => void): void {
    this.#void();
    this.#perform(() => {
      this.#state.set(new Float32Array(bytes.slice().buffer));
      this.#trained.clear();
      done();
    });
  }

  exportState(done: (bytes: Uint8Array) => void): void {
    // The state stays as it is while a shard is trained: nobody needs to wait for that.
    const give = (): void => done(new Uint8Array(this.#state.packed().buffer));
    if (this.#operations.length === 0) give();
    else this.#perform(give);
  }

  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    this.exportState((bytes) => {
      const { weightsDigest, stateDigest } = digestsOf(bytes, this.#state.weightCount);
      done(weightsDigest, stateDigest);
    });
  }

  totalsTarget(): undefined {
    return undefined;
  }

  stateTarget(): undefined {
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#void();
    this.#pool.close();
  }

  // ---- one thing after another ----

  /** What is still computed of the current pass is of no use any more. */
  #void(): void {
    this.#pass = undefined;
    this.#isEvaluating = false;
    this.#waiting = [];
  }

  #perform(operation: Operation): void {
    this.#operations.push(operation);
    this.#advance();
  }

  /** Does what was asked for, in order; when that is done, the next shard. */
  #advance(): void {
    if (this.#isBusy || this.#isClosed) return;
    const work = this.#operations.shift() ?? this.#nextShard();
    if (work === undefined) return;
    this.#isBusy = true;
    this.#finish(work).catch((error: unknown) => this.#handlers.onFailed(asRuntimeError(error)));
  }

  async #finish(work: Operation): Promise<void> {
    await work();
    this.#isBusy = false;
    this.#advance();
  }

  #nextShard(): Operation | undefined {
    const plan = this.#pass;
    const shard = this.#isEvaluating ? undefined : this.#waiting.shift();
    if (plan === undefined || shard === undefined) return undefined;
    return async () => {
      const trained = await this.#train(plan, shard);
      if (trained !== undefined) this.#contribute(plan, trained);
    };
  }

  /** What the lanes have done. */
  #receive(records: readonly MicroBatchRecord[]): void {
    if (this.#lanes.receive(records)) return;
    if (this.#isEvaluating && this.#pass !== undefined)
      this.#handlers.onDone(this.#pass.pass, records, NOTHING);
  }

  async #evaluate(plan: Plan): Promise<void> {
    await this.#lanes.load(this.#state.weights());
    if (this.#pass !== plan) return;
    this.#isEvaluating = true;
    this.#pool.begin({ ...plan, leases: this.#waiting.splice(0) });
  }

  /**
   * Trains on a shard, unless that was done already from the same weights; undefined when the pass
   * has become void.
   */
  async #train(plan: Plan, shard: number): Promise<TrainedShard | undefined> {
    const isVoid = (): boolean => this.#pass !== plan;
    const known = this.#trained.get(shard);
    if (isVoid() || known !== undefined) return isVoid() ? undefined : known;
    const startedMs = performance.now();
    await this.#lanes.load(this.#state.weights());
    const outcome = await trainOnShard(
      this.#lanes,
      this.#recipe,
      { round: plan.step, shard },
      isVoid,
    );
    if (outcome === undefined || isVoid()) return undefined;
    const step = roundAsStep(this.#recipe.layout);
    const { count: sampleCount } = sampleRange(step, plan.stepInEpoch, shard);
    const end = await this.#lanes.weights(this.#state.weightCount);
    const change = this.#state.changeTo(end, sampleCount, this.#codecOf(plan.step, shard));
    const computeMs = performance.now() - startedMs;
    const trained = { change, record: { microBatch: shard, sampleCount, ...outcome, computeMs } };
    if ((this.#trained.size + 1) * change.byteLength <= MAX_KEPT_BYTES)
      this.#trained.set(shard, trained);
    return trained;
  }

  #codecOf(round: number, shard: number): ChangeCodec | undefined {
    if (this.#codec === undefined) return undefined;
    const { seed, topKPart } = this.#codec;
    return { words: new RandomWords(seed, 'compress', round, shard), topKPart };
  }

  #contribute(plan: Plan, trained: TrainedShard): void {
    if (this.#pass !== plan) return;
    const isAlone = plan.reduction === 'alone';
    if (!isAlone) this.#state.clearSum();
    const record = this.#recordOf(trained, this.#state.add(trained.change, plan.exponents));
    this.#handlers.onDone(plan.pass, [record], isAlone ? NOTHING : this.#outgoingSum());
  }

  /** A copy: the sum of the next shard may be made while this one is still on its way. */
  #outgoingSum(): Uint8Array {
    const { sum } = this.#state;
    return this.#codec === undefined ? sum.slice() : packSum(sum);
  }

  #takeTotals(totals: Uint8Array): void {
    const { sum } = this.#state;
    if (this.#codec === undefined) sum.set(totals);
    else if (!unpackSum(totals, sum))
      throw new ProtocolError('commit: expected packed totals of this model, got something else');
  }

  #recordOf({ record }: TrainedShard, { maxima, ...checksums }: ChangeNumbers): MicroBatchRecord {
    return { ...record, maxima, ...(this.#isAudited && checksums) };
  }
}
