/**
 * The update of a committed step, on one lane. Lanes divide it among themselves: each updates the
 * blocks of its slice, whose optimizer state only it has, and takes the other slices' new weights
 * from the shared memory.
 */
import type { Arena } from '../../kernels/arena.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import {
  type ArenaLayout,
  type Block,
  type BlockRange,
  joinBlocks,
  makeBlocks,
  packRegion,
  sliceBlocks,
  sumBlocksByTensor,
  unpackRegion,
} from '../../kernels/layout.ts';
import { applyOptimizer, isDecayed } from '../../optim/apply.ts';
import { clipCoefficient, parseOptimizerScalars } from '../../optim/scalars.ts';
import type { Commit } from '../../protocol/messages.ts';
import type { LaneControl } from './lane-control.ts';
import { optimizerRegionsOf, stateRegionsOf } from '../../state/state-layout.ts';
import type { LaneStart } from './lane-job.ts';

/** The memory that a lane works in, and the kernels that work in it. */
export interface LaneMemory {
  readonly layout: ArenaLayout;
  /** Memory of this lane alone: weights, optimizer state, gradients, their sum, batches, masks. */
  readonly arena: Arena;
  readonly kernels: Kernels;
  /** Memory of all lanes of the worker, see `makeSharedArena`. */
  readonly shared: Arena;
  readonly sharedKernels: Kernels;
  readonly control: LaneControl;
}

/** One lane's part in the updates of a replica. */
export class LaneUpdate {
  /** The part of the region that this lane updates. */
  readonly slice: BlockRange;
  readonly #start: LaneStart;
  readonly #memory: LaneMemory;
  readonly #layout: ArenaLayout;
  readonly #blocks: readonly Block[];

  constructor(start: LaneStart, memory: LaneMemory) {
    this.#start = start;
    this.#memory = memory;
    this.#layout = memory.layout;
    this.#blocks = makeBlocks(this.#layout);
    const slices = sliceBlocks(this.#blocks, start.laneCount);
    this.slice = slices[start.lane] ?? { first: 0, end: 0, offset: 0, length: 0 };
  }

  /**
   * Applies the update to this lane's slice, from the totals in the arena's region `sum`, and takes
   * over the others'. Gives the norm of the averaged gradient per tensor, before clipping, if the
   * job tracks them.
   */
  apply(commit: Commit): readonly number[] {
    const { job, laneCount } = this.#start;
    const { sampleCount } = commit.update;
    const factors = commit.exponents.map((exponent) => 2 ** -exponent / sampleCount);
    const norms = job.tracksNorms || job.clipNorm !== null ? this.#norms(factors) : [];
    const clip = job.clipNorm === null ? 1 : clipCoefficient(this.#globalNorm(norms), job.clipNorm);
    this.#update(commit, factors, clip);
    if (laneCount > 1) this.#exchangeWeights();
    return job.tracksNorms ? norms : [];
  }

  #norms(factors: readonly number[]): number[] {
    const { blockSums } = this.#start;
    const { arena, kernels, control } = this.#memory;
    for (let index = this.slice.first; index < this.slice.end; index++) {
      const block = this.#blocks[index];
      if (block !== undefined)
        blockSums[index] = kernels.sumOfSquares(
          arena.byteOffset('sum', block.offset),
          block.length,
        );
    }
    control.barrier();
    const squares = sumBlocksByTensor(this.#layout, this.#blocks, blockSums);
    control.barrier();
    return factors.map((factor, tensor) => Math.sqrt(squares[tensor] ?? 0) * factor);
  }

  /** Running statistics have no gradient: how far they move is no reason to clip. */
  #globalNorm(norms: readonly number[]): number {
    const trained = norms.filter((_, tensor) => this.#momentumOf(tensor) === null);
    return Math.sqrt(trained.reduce((sum, norm) => sum + norm * norm, 0));
  }

  #momentumOf(tensor: number): number | null {
    return this.#start.job.parameters[tensor]?.statisticMomentum ?? null;
  }

  #update(commit: Commit, factors: readonly number[], clip: number): void {
    const { optimizer, job } = this.#start;
    const { arena, kernels } = this.#memory;
    const scalars = parseOptimizerScalars(commit.update.scalars);
    for (const { tensor, offset, length } of joinBlocks(this.#blocks, this.slice)) {
      const weights = arena.byteOffset('weights', offset);
      const total = arena.byteOffset('sum', offset);
      const factor = factors[tensor] ?? 0;
      const momentum = this.#momentumOf(tensor);
      if (momentum !== null) {
        // statistic -= momentum * mean(statistic - observed)
        kernels.sgd(weights, total, length, factor, momentum, 0);
        continue;
      }
      applyOptimizer(kernels, optimizer, scalars, {
        weights,
        states: optimizerRegionsOf(optimizer).map((name) => arena.byteOffset(name, offset)),
        total,
        length,
        factor: factor * clip,
        decayed: isDecayed(optimizer, job.parameters[tensor]?.shape ?? []),
      });
    }
  }

  #exchangeWeights(): void {
    const { arena, shared, control } = this.#memory;
    const { offset, length } = this.slice;
    shared.float32('weights', this.slice).set(arena.float32('weights', this.slice));
    control.barrier();
    const end = offset + length;
    const before = { offset: 0, length: offset };
    const after = { offset: end, length: this.#layout.paddedLength - end };
    for (const part of [before, after]) {
      arena.float32('weights', part).set(shared.float32('weights', part));
    }
    // Nobody may write the next weights before all have read these.
    control.barrier();
  }

  /** Takes the weights, and this lane's slice of the optimizer's regions, from the shared state. */
  importState(): void {
    this.#eachRegion((name, region, packed) =>
      unpackRegion(packed, this.#layout, region, name === 'weights' ? undefined : this.slice),
    );
  }

  /** Puts this lane's slice of everything into the shared state. */
  exportState(): void {
    this.#eachRegion((_, region, packed) => packRegion(region, this.#layout, packed, this.slice));
  }

  #eachRegion(visit: (name: string, region: Float32Array, packed: Float32Array) => void): void {
    const { arena, shared } = this.#memory;
    const { length } = this.#layout;
    for (const [index, name] of stateRegionsOf(this.#start.optimizer).entries())
      visit(name, arena.float32(name), shared.float32('state', { offset: index * length, length }));
  }
}
