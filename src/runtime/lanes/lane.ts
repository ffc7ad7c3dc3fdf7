/**
 * A lane: one compute thread with its own sessions and its own arena, in which parameters,
 * gradients and gradient sums lie. It computes the micro-batches that it claims, and its part of
 * the update (lane-update.ts).
 */
import { createHash } from 'node:crypto';
import type { Tensor } from 'onnxruntime-node';
import { messageOf, RuntimeError } from '../../base/errors.ts';
import { RandomWords } from '../../base/random.ts';
import { epochOrder, sampleRange, type EpochLayout } from '../../data/batches.ts';
import { Arena } from '../../kernels/arena.ts';
import { loadKernels } from '../../kernels/kernels.ts';
import type { Commit, MicroBatchRecord, Plan } from '../../protocol/messages.ts';
import { batchRegions, BoundGraph } from './batch.ts';
import { InPlaceSession } from '../in-place-session.ts';
import { LaneControl } from './lane-control.ts';
import { stateRegionsOf } from '../../state/state-layout.ts';
import type { EngineAttempt } from '../engine.ts';
import { type FollowedGrant, LaneCourse } from './lane-course.ts';
import { type LaneStart, layoutOf, makeSharedArena } from './lane-job.ts';
import { finiteOrNull, LaneSums, type TotalSource } from './lane-sums.ts';
import { type LaneMemory, LaneUpdate } from './lane-update.ts';
import { drawMasks, maskRegions, maskTensors } from './masks.ts';
import { onnxRuntime } from '../onnx-runtime.ts';
import { Throttle } from '../throttle.ts';

const NO_RECORDS: readonly MicroBatchRecord[] = [];

/** What somebody may do to a lane at work, e.g. to put faults into it. */
export interface LaneHooks {
  /**
   * Called with the whole gradient region [padded elements of all tensors] of a micro-batch once it
   * is computed, before it is rounded; `step` is that of the state it was computed from.
   */
  readonly afterGradients?: (
    gradients: Float32Array,
    step: number,
    microBatch: number,
  ) => void | Promise<void>;
  /** Whether an update is left out, `step` as above: the replica stays as it was. */
  readonly skipsUpdate?: (step: number) => boolean;
}

/** One compute thread's share of a worker; its methods are called one at a time. */
export class Lane {
  readonly #start: LaneStart;
  readonly #hooks: LaneHooks;
  readonly #memory: LaneMemory;
  readonly #train: BoundGraph;
  readonly #evaluate: BoundGraph;
  readonly #sums: LaneSums;
  readonly #update: LaneUpdate;
  readonly #trainLayout: EpochLayout;
  readonly #evaluateLayout: EpochLayout;
  readonly #course: LaneCourse;
  readonly #throttles: { readonly train: Throttle; readonly evaluate: Throttle };
  #order: { epoch: number; order: Uint32Array } | undefined;
  #plan: Plan | undefined;

  private constructor(
    start: LaneStart,
    memory: LaneMemory,
    graphs: { readonly train: BoundGraph; readonly evaluate: BoundGraph },
    hooks: LaneHooks,
  ) {
    const { job } = start;
    this.#start = start;
    this.#hooks = hooks;
    this.#memory = memory;
    this.#train = graphs.train;
    this.#evaluate = graphs.evaluate;
    this.#throttles = {
      train: new Throttle(start.throttle),
      evaluate: new Throttle(start.throttle),
    };
    this.#update = new LaneUpdate(start, memory);
    this.#sums = new LaneSums(start, memory, this.#update.slice);
    this.#trainLayout = {
      sampleCount: start.train.sampleCount,
      globalBatch: job.globalBatch,
      microBatch: job.microBatch,
    };
    const { sampleCount } = start.evaluate;
    this.#evaluateLayout = {
      sampleCount,
      globalBatch: Math.ceil(sampleCount / job.evaluateMicroBatch) * job.evaluateMicroBatch,
      microBatch: job.evaluateMicroBatch,
    };
    this.#course = new LaneCourse(start, {
      control: this.control,
      compute: async (plan) => this.#compute(plan),
      gather: (plan) => {
        this.#sums.gather(plan);
        return this.#sums.ownTotal;
      },
      apply: (commit, total) => this.apply(commit, total ?? 'own'),
    });
  }

  /** Allocates the arena and compiles both graphs. */
  static async create(start: LaneStart, hooks: LaneHooks = {}): Promise<Lane> {
    const { job, device } = start;
    const memory = makeLaneMemory(start);
    const { arena, kernels } = memory;
    const tensors = graphTensors(start, memory);
    const train = new BoundGraph({
      session: await InPlaceSession.create(start.trainModel, 'training', device),
      arena,
      kernels,
      prefix: 'train',
      dataset: start.train,
      batchSize: job.microBatch,
      tensors,
    });
    const evaluate = new BoundGraph({
      session: await InPlaceSession.create(start.evaluateModel, 'evaluation', device),
      arena,
      kernels,
      prefix: 'evaluate',
      dataset: start.evaluate,
      batchSize: job.evaluateMicroBatch,
      tensors,
    });
    return new Lane(start, memory, { train, evaluate }, hooks);
  }

  /** What this lane shares with the other threads of its worker. */
  get control(): LaneControl {
    return this.#memory.control;
  }

  /** Computes leases of `plan` until none is left, then adds the lanes' sums. */
  async pass(plan: Plan): Promise<readonly MicroBatchRecord[]> {
    this.#plan = plan;
    return this.resume();
  }

  /** Computes more leases of the same pass. */
  async resume(): Promise<readonly MicroBatchRecord[]> {
    const plan = this.#plan;
    if (plan === undefined) return NO_RECORDS;
    const records = await this.#compute(plan);
    if (plan.work === 'train') this.#sums.gather(plan);
    return records;
  }

  /**
   * Computes and commits granted steps, until they are done or their era is over; `tell` gets what
   * was attempted, in order and in batches.
   */
  async follow(
    what: FollowedGrant,
    tell: (attempts: readonly EngineAttempt[]) => void,
  ): Promise<void> {
    await this.#course.follow(what, tell);
  }

  async #compute(plan: Plan): Promise<MicroBatchRecord[]> {
    const records: MicroBatchRecord[] = [];
    this.#sums.reset();
    for (let m = this.control.claim(); m !== undefined; m = this.control.claim()) {
      records.push(
        plan.work === 'train' ? await this.#trainOn(plan, m) : await this.#evaluateOn(m),
      );
      this.control.countProgress();
    }
    return records;
  }

  /** Computes micro-batches of `plan` for comparison only: their gradients go into no sum. */
  async audit(plan: Plan, microBatches: readonly number[]): Promise<readonly MicroBatchRecord[]> {
    const records: MicroBatchRecord[] = [];
    for (const microBatch of microBatches) {
      records.push(
        plan.work === 'train'
          ? await this.#trainOn(plan, microBatch, true)
          : await this.#evaluateOn(microBatch),
      );
      this.control.countProgress();
    }
    return records;
  }

  async #trainOn(plan: Plan, microBatch: number, isAudit = false): Promise<MicroBatchRecord> {
    const startedMs = performance.now();
    const { job } = this.#start;
    const { arena, kernels } = this.#memory;
    const { start, count } = sampleRange(this.#trainLayout, plan.stepInEpoch, microBatch);
    this.#train.fill(this.#orderOf(plan.epoch), start, count, {
      seed: job.seed,
      epoch: plan.epoch,
    });
    drawMasks(job, arena, kernels, plan.step, microBatch);
    const dataMs = performance.now() - startedMs;
    await this.#run(this.#train, 'training');
    await this.#hooks.afterGradients?.(arena.float32('gradient'), plan.step, microBatch);
    const computedMs = performance.now();
    const checksums = job.isAudited ? this.#sums.checksums(plan) : {};
    const maxima = isAudit ? this.#sums.maxima() : this.#sums.add(plan.exponents);
    const quantiseMs = performance.now() - computedMs;
    this.#throttles.train.rest(startedMs);
    const computeMs = performance.now() - startedMs;
    return {
      microBatch,
      sampleCount: count,
      ...this.#resultOf(this.#train),
      maxima,
      ...checksums,
      computeMs,
      dataMs,
      quantiseMs,
    };
  }

  async #evaluateOn(microBatch: number): Promise<MicroBatchRecord> {
    const startedMs = performance.now();
    const { start, count } = sampleRange(this.#evaluateLayout, 0, microBatch);
    this.#evaluate.fill(undefined, start, count);
    await this.#run(this.#evaluate, 'evaluation');
    this.#throttles.evaluate.rest(startedMs);
    return {
      microBatch,
      sampleCount: count,
      ...this.#resultOf(this.#evaluate),
      maxima: [],
      computeMs: performance.now() - startedMs,
    };
  }

  #resultOf(graph: BoundGraph): { lossSum: number | null; correctSum: number } {
    return { lossSum: finiteOrNull(graph.lossSum), correctSum: graph.correctSum };
  }

  async #run(graph: BoundGraph, name: string): Promise<void> {
    try {
      await graph.run();
    } catch (error) {
      const isMemory = /bad.?alloc|allocate memory|out of memory/i.test(messageOf(error));
      const remedy = isMemory ? '. Memory ran out: lower --micro-batch, --lanes or --workers.' : '';
      throw new RuntimeError(
        `running the ${name} graph: ${messageOf(error)}${remedy}`,
        { graph: name },
        { cause: error },
      );
    }
  }

  /** Updates this lane's slice and takes over the others'; gives `LaneUpdate.apply`'s norms. */
  apply(commit: Commit, source: TotalSource): readonly number[] {
    if (this.#hooks.skipsUpdate?.(commit.step) === true) return [];
    this.#sums.fetchTotal(source);
    return this.#update.apply(commit);
  }

  /** Takes weights and optimizer state from the shared memory. */
  importState(): void {
    this.#update.importState();
  }

  /** Puts this lane's slice of the state into the shared memory. */
  exportState(): void {
    this.#update.exportState();
  }

  /**
   * Hash of loss and gradient of the first samples under fixed weights: workers with the same hash
   * belong to one numerics class. Also warms the session up, and tells how long that took: what a
   * micro-batch takes at most, on a machine that is no busier.
   */
  async probe(): Promise<{ numericsClass: string; trialMs: number }> {
    const words = new RandomWords(0, 'probe');
    const { job, train } = this.#start;
    const { layout, arena, kernels } = this.#memory;
    const weights = arena.float32('weights');
    const pattern = Float32Array.from({ length: 4096 }, (_, i) => (words.uniform(i) - 0.5) / 8);
    for (const { offset, length } of layout.tensors) {
      for (let i = 0; i < length; i++)
        weights[offset + i] = pattern[(i + offset) % pattern.length] as number;
    }
    const startedMs = performance.now();
    this.#train.fill(undefined, 0, Math.min(job.microBatch, train.sampleCount));
    drawMasks(job, arena, kernels, 0, 0);
    await this.#run(this.#train, 'training');
    const trialMs = performance.now() - startedMs;
    const hash = createHash('sha256').update(String(this.#train.lossSum));
    hash.update(arena.uint8('gradient'));
    weights.fill(0);
    return { numericsClass: hash.digest('hex').slice(0, 16), trialMs };
  }

  #orderOf(epoch: number): Uint32Array {
    const { job, train } = this.#start;
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, order: epochOrder(job.seed, epoch, train.sampleCount) };
    return this.#order.order;
  }
}

/** Allocates a lane's arena and maps the shared one. */
function makeLaneMemory(start: LaneStart): LaneMemory {
  const { job, laneCount } = start;
  const layout = layoutOf(job);
  const byteLength = 4 * layout.paddedLength;
  const names = ['gradient', 'sum', ...stateRegionsOf(start.optimizer)];
  const arena = new Arena([
    ...names.map((name) => ({ name, byteLength })),
    ...maskRegions(job),
    ...batchRegions('train', start.train, job.microBatch),
    ...batchRegions('evaluate', start.evaluate, job.evaluateMicroBatch),
  ]);
  return {
    layout,
    arena,
    kernels: loadKernels(arena.memory, false),
    shared: makeSharedArena(job, start.optimizer, laneCount, start.sharedMemory),
    sharedKernels: loadKernels(start.sharedMemory, true),
    control: new LaneControl(laneCount, start.microBatchCapacity, start.control),
  };
}

/** Views of parameters, masks (inputs) and gradients (outputs), by the graphs' names. */
function graphTensors(start: LaneStart, { layout, arena }: LaneMemory): Map<string, Tensor> {
  const { Tensor: TensorOf } = onnxRuntime();
  const tensors = new Map<string, Tensor>();
  for (const slot of layout.tensors) {
    const gradient = arena.float32('gradient', slot);
    tensors.set(slot.name, new TensorOf('float32', arena.float32('weights', slot), slot.shape));
    tensors.set(`gradient.${slot.name}`, new TensorOf('float32', gradient, slot.shape));
  }
  for (const [name, tensor] of maskTensors(start.job, arena)) tensors.set(name, tensor);
  return tensors;
}
