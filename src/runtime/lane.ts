/**
 * A lane: one compute thread with its own sessions and its own arena, in which parameters,
 * gradients and gradient sums lie. It computes the micro-batches that it claims, and its part of
 * the update (lane-update.ts).
 */
import { createHash } from 'node:crypto';
import type { Tensor } from 'onnxruntime-node';
import { messageOf, RuntimeError } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import { epochOrder, sampleRange, type EpochLayout } from '../data/batches.ts';
import type { Dataset } from '../data/dataset.ts';
import { Arena } from '../kernels/arena.ts';
import { type Kernels, loadKernels } from '../kernels/kernels.ts';
import type { ArenaLayout } from '../kernels/layout.ts';
import type { Commit, MicroBatchRecord, Plan } from '../protocol/messages.ts';
import { batchRegions, BoundGraph } from './batch.ts';
import { InPlaceSession } from './in-place-session.ts';
import { LaneControl } from './lane-control.ts';
import { type LaneStart, layoutOf, makeSharedArena, sumRegion } from './lane-job.ts';
import { stateRegionsOf } from '../state/state-layout.ts';
import { LaneUpdate } from './lane-update.ts';
import { drawMasks, maskRegions, maskTensors } from './masks.ts';
import { onnxRuntime } from './session.ts';

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

export class Lane {
  readonly control: LaneControl;
  readonly #start: LaneStart;
  readonly #hooks: LaneHooks;
  readonly #layout: ArenaLayout;
  readonly #arena: Arena;
  readonly #shared: Arena;
  readonly #kernels: Kernels;
  readonly #sharedKernels: Kernels;
  readonly #train: BoundGraph;
  readonly #evaluate: BoundGraph;
  readonly #update: LaneUpdate;
  readonly #trainLayout: EpochLayout;
  readonly #evaluateLayout: EpochLayout;
  /** Where this worker's own total lies after a pass. */
  #ownTotal: 'arena' | 'gathered' = 'arena';
  #order: { epoch: number; order: Uint32Array } | undefined;
  #plan: Plan | undefined;
  #hasSum = false;
  /** The checksum of the weights, once per pass. */
  #weightsChecked = { pass: -1, sum: 0 };

  private constructor(
    start: LaneStart,
    arena: Arena,
    kernels: Kernels,
    train: BoundGraph,
    evaluate: BoundGraph,
    hooks: LaneHooks,
  ) {
    const { job, laneCount } = start;
    this.#start = start;
    this.#hooks = hooks;
    this.#layout = layoutOf(job);
    this.#arena = arena;
    this.#kernels = kernels;
    this.#shared = makeSharedArena(job, start.optimizer, laneCount, start.sharedMemory);
    this.#sharedKernels = loadKernels(start.sharedMemory, true);
    this.#train = train;
    this.#evaluate = evaluate;
    this.control = new LaneControl(laneCount, start.microBatchCapacity, start.control);
    const { control } = this;
    this.#update = new LaneUpdate(start, { arena, kernels, shared: this.#shared, control });
    this.#trainLayout = {
      sampleCount: start.train.sampleCount,
      globalBatch: job.globalBatch,
      microBatch: job.microBatch,
    };
    const evaluateBatch =
      Math.ceil(start.evaluate.sampleCount / job.evaluateMicroBatch) * job.evaluateMicroBatch;
    this.#evaluateLayout = {
      sampleCount: start.evaluate.sampleCount,
      globalBatch: evaluateBatch,
      microBatch: job.evaluateMicroBatch,
    };
  }

  /** Allocates the arena and compiles both graphs. */
  static async create(start: LaneStart, hooks: LaneHooks = {}): Promise<Lane> {
    const { job } = start;
    const layout = layoutOf(job);
    const byteLength = 4 * layout.paddedLength;
    const arena = new Arena([
      ...['gradient', 'sum', ...stateRegionsOf(start.optimizer)].map((name) => ({
        name,
        byteLength,
      })),
      ...maskRegions(job),
      ...batchRegions('train', start.train, job.microBatch),
      ...batchRegions('evaluate', start.evaluate, job.evaluateMicroBatch),
    ]);
    const kernels = loadKernels(arena.memory, false);
    const tensors = new Map([...tensorsOf(layout, arena), ...maskTensors(job, arena)]);
    const train = await InPlaceSession.create(start.trainModel, 'training', start.device);
    const evaluate = await InPlaceSession.create(start.evaluateModel, 'evaluation', start.device);
    const bind = (
      session: InPlaceSession,
      prefix: string,
      dataset: Dataset,
      batchSize: number,
    ): BoundGraph =>
      new BoundGraph({ session, arena, kernels, prefix, dataset, batchSize, tensors });
    return new Lane(
      start,
      arena,
      kernels,
      bind(train, 'train', start.train, job.microBatch),
      bind(evaluate, 'evaluate', start.evaluate, job.evaluateMicroBatch),
      hooks,
    );
  }

  /** Computes leases of `plan` until none is left, then adds the lanes' sums. */
  async pass(plan: Plan): Promise<readonly MicroBatchRecord[]> {
    this.#plan = plan;
    return this.resume();
  }

  /** More leases of the same pass. */
  async resume(): Promise<readonly MicroBatchRecord[]> {
    const plan = this.#plan;
    if (plan === undefined) return NO_RECORDS;
    const records: MicroBatchRecord[] = [];
    this.#hasSum = false;
    for (let m = this.control.claim(); m !== undefined; m = this.control.claim()) {
      records.push(
        plan.work === 'train' ? await this.#trainOn(plan, m) : await this.#evaluateOn(m),
      );
      this.control.countProgress();
    }
    if (plan.work === 'train') this.#gather(plan);
    return records;
  }

  /** Computes micro-batches of `plan` for comparison only: their gradients go into no sum. */
  async audit(plan: Plan, microBatches: readonly number[]): Promise<readonly MicroBatchRecord[]> {
    const records: MicroBatchRecord[] = [];
    for (const microBatch of microBatches) {
      records.push(await this.#trainOn(plan, microBatch, true));
      this.control.countProgress();
    }
    return records;
  }

  async #trainOn(plan: Plan, microBatch: number, isAudit = false): Promise<MicroBatchRecord> {
    const startedMs = performance.now();
    const { job } = this.#start;
    const { start, count } = sampleRange(this.#trainLayout, plan.stepInEpoch, microBatch);
    this.#train.fill(this.#orderOf(plan.epoch), start, count, {
      seed: job.seed,
      epoch: plan.epoch,
    });
    drawMasks(job, this.#arena, this.#kernels, plan.step, microBatch);
    await this.#run(this.#train, 'training');
    await this.#hooks.afterGradients?.(this.#arena.float32('gradient'), plan.step, microBatch);
    const checksums = job.isAudited ? this.#checksums(plan) : {};
    const maxima = isAudit ? this.#maxima() : this.#addGradients(plan.exponents);
    const computeMs = performance.now() - startedMs;
    return {
      microBatch,
      sampleCount: count,
      ...this.#resultOf(this.#train),
      maxima,
      ...checksums,
      computeMs,
    };
  }

  async #evaluateOn(microBatch: number): Promise<MicroBatchRecord> {
    const startedMs = performance.now();
    const { start, count } = sampleRange(this.#evaluateLayout, 0, microBatch);
    this.#evaluate.fill(undefined, start, count);
    await this.#run(this.#evaluate, 'evaluation');
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

  /**
   * Rounds the gradient in the arena to the grid and adds it to this lane's sum; gives its largest
   * elements.
   */
  #addGradients(exponents: readonly number[]): (number | null)[] {
    if (!this.#hasSum)
      this.#kernels.zeroBytes(this.#arena.byteOffset('sum'), this.#arena.byteLength('sum'));
    this.#hasSum = true;
    return this.#layout.tensors.map(({ offset, paddedLength }, tensor) => {
      const gradient = this.#arena.byteOffset('gradient', offset);
      const sum = this.#arena.byteOffset('sum', offset);
      return finiteOrNull(
        this.#kernels.quantizeAdd(gradient, sum, paddedLength, 2 ** (exponents[tensor] ?? 0)),
      );
    });
  }

  /** Largest elements of the gradient in the arena, per tensor. */
  #maxima(): (number | null)[] {
    return this.#layout.tensors.map(({ offset, paddedLength }) =>
      finiteOrNull(this.#kernels.maxAbs(this.#arena.byteOffset('gradient', offset), paddedLength)),
    );
  }

  /** Of the gradient in the arena on the grid of `plan`, and of the weights; 0 to 2^32 - 1. */
  #checksums({ pass, exponents }: Plan): { checksum: number; weightsChecksum: number } {
    const checksum = this.#layout.tensors.reduce((sum, { offset, paddedLength }, tensor) => {
      const gradient = this.#arena.byteOffset('gradient', offset);
      const scale = 2 ** (exponents[tensor] ?? 0);
      return (sum + this.#kernels.gradientChecksum(gradient, paddedLength, scale, offset)) >>> 0;
    }, 0);
    if (this.#weightsChecked.pass !== pass) {
      const weights = this.#arena.byteOffset('weights');
      const sum = this.#kernels.checksum(weights, this.#layout.paddedLength, 0) >>> 0;
      this.#weightsChecked = { pass, sum };
    }
    return { checksum, weightsChecksum: this.#weightsChecked.sum };
  }

  /**
   * Adds the lanes' sums in shared memory, each lane its slice; one lane alone keeps its sum where
   * it is.
   */
  #gather({ reduction }: Plan): void {
    const { lane, laneCount } = this.#start;
    const isAlone = laneCount === 1 && reduction === 'alone';
    this.#ownTotal = isAlone ? 'arena' : 'gathered';
    if (isAlone) return;
    if (!this.#hasSum)
      this.#kernels.zeroBytes(this.#arena.byteOffset('sum'), this.#arena.byteLength('sum'));
    const target = laneCount === 1 ? 'gathered' : sumRegion(lane);
    this.#shared.int32(target).set(this.#arena.int32('sum'));
    this.control.barrier();
    if (laneCount > 1) this.#addSlices();
    this.control.barrier();
  }

  #addSlices(): void {
    const { offset, length } = this.#update.slice;
    const target = this.#shared.byteOffset('gathered', offset);
    this.#sharedKernels.copyBytes(
      target,
      this.#shared.byteOffset(sumRegion(0), offset),
      4 * length,
    );
    for (let other = 1; other < this.#start.laneCount; other++) {
      this.#sharedKernels.addInt32(
        target,
        this.#shared.byteOffset(sumRegion(other), offset),
        length,
      );
    }
  }

  /**
   * Applies the update to this lane's slice and takes over the others'; gives the gradient norm per
   * tensor if asked.
   */
  apply(commit: Commit, source: 'own' | 'received'): readonly number[] {
    if (this.#hooks.skipsUpdate?.(commit.step) === true) return [];
    this.#fetchTotal(source);
    return this.#update.apply(commit);
  }

  /** Brings this lane's slice of the gradient total into the arena's sum region. */
  #fetchTotal(source: 'own' | 'received'): void {
    if (source === 'own' && this.#ownTotal === 'arena') return;
    const { slice } = this.#update;
    const region = source === 'own' ? 'gathered' : 'received';
    this.#arena.int32('sum', slice).set(this.#shared.int32(region, slice));
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
   * belong to one numerics class. Also warms the session up.
   */
  async probe(): Promise<string> {
    const words = new RandomWords(0, 'probe');
    const weights = this.#arena.float32('weights');
    const pattern = Float32Array.from({ length: 4096 }, (_, i) => (words.uniform(i) - 0.5) / 8);
    for (const { offset, length } of this.#layout.tensors) {
      for (let i = 0; i < length; i++)
        weights[offset + i] = pattern[(i + offset) % pattern.length] as number;
    }
    this.#train.fill(
      undefined,
      0,
      Math.min(this.#start.job.microBatch, this.#start.train.sampleCount),
    );
    drawMasks(this.#start.job, this.#arena, this.#kernels, 0, 0);
    await this.#run(this.#train, 'training');
    const hash = createHash('sha256').update(String(this.#train.lossSum));
    hash.update(this.#arena.uint8('gradient'));
    weights.fill(0);
    return hash.digest('hex').slice(0, 16);
  }

  #orderOf(epoch: number): Uint32Array {
    if (this.#order?.epoch !== epoch) {
      this.#order = {
        epoch,
        order: epochOrder(this.#start.job.seed, epoch, this.#start.train.sampleCount),
      };
    }
    return this.#order.order;
  }
}

function tensorsOf(layout: ArenaLayout, arena: Arena): Map<string, Tensor> {
  const { Tensor: TensorOf } = onnxRuntime();
  const tensors = new Map<string, Tensor>();
  for (const slot of layout.tensors) {
    tensors.set(slot.name, new TensorOf('float32', arena.float32('weights', slot), slot.shape));
    tensors.set(
      `gradient.${slot.name}`,
      new TensorOf('float32', arena.float32('gradient', slot), slot.shape),
    );
  }
  return tensors;
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
