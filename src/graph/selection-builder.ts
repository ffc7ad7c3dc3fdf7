/** Builds graphs: the operators that move, select and put together. */
import { ElementwiseBuilder } from './elementwise-builder.ts';
import { isSameShape } from './values/shape.ts';
import type { ValueInfo } from './values/types.ts';

/**
 * One entry per axis that is cut; counted from the
 * end when negative, moved to the edge when outside.
 */
export interface SliceOptions {
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  /** The first positions that are not taken any more. */
  readonly ends: readonly number[];
  /** 1 when absent; with a negative step, from `starts` backwards. */
  readonly steps?: readonly number[];
}

/** Which elements a running sum is over; both false when absent. */
export interface CumSumOptions {
  readonly reverse?: boolean;
  readonly exclusive?: boolean;
}

/** The methods of a GraphBuilder that give elements another place. */
export class SelectionBuilder extends ElementwiseBuilder {
  /** `x` itself when it has this shape. */
  reshape(x: ValueInfo, shape: readonly number[]): ValueInfo {
    return isSameShape(x.shape, shape) ? x : this.apply('Reshape', [x, this.ints(shape)]);
  }

  transpose(x: ValueInfo, permutation: readonly number[]): ValueInfo {
    return this.apply('Transpose', [x], { perm: permutation });
  }

  flatten(x: ValueInfo, axis = 1): ValueInfo {
    return this.apply('Flatten', [x], { axis });
  }

  unsqueeze(x: ValueInfo, axes: readonly number[]): ValueInfo {
    return this.apply('Unsqueeze', [x, this.ints(axes)]);
  }

  squeeze(x: ValueInfo, axes: readonly number[]): ValueInfo {
    return this.apply('Squeeze', [x, this.ints(axes)]);
  }

  expand(x: ValueInfo, shape: readonly number[]): ValueInfo {
    return this.apply('Expand', [x, this.ints(shape)]);
  }

  /** float32 [..., depth]: `on` at the index, 0 elsewhere; a row of zeros for an index outside. */
  oneHot(indices: ValueInfo, depth: number, on = 1): ValueInfo {
    const values = this.constant('float32', [2], [0, on]);
    return this.apply('OneHot', [indices, this.constant('int32', [], [depth]), values]);
  }

  gatherElements(data: ValueInfo, indices: ValueInfo, axis: number): ValueInfo {
    return this.apply('GatherElements', [data, indices], { axis });
  }

  /** `data` with `updates` added at `indices`. */
  scatterAdd(data: ValueInfo, indices: ValueInfo, updates: ValueInfo, axis: number): ValueInfo {
    return this.apply('ScatterElements', [data, indices, updates], { axis, reduction: 'add' });
  }

  /**
   * `data` with `updates` [...rows, ...rest] added at the int64 positions `indices` [...rows,
   * depth] of its first axes.
   */
  scatterAddND(data: ValueInfo, indices: ValueInfo, updates: ValueInfo): ValueInfo {
    return this.apply('ScatterND', [data, indices, updates], { reduction: 'add' });
  }

  /**
   * The slices of `data` along `axis` that `indices` name: with axis 0, rows of an embedding table.
   */
  gather(data: ValueInfo, indices: ValueInfo, axis = 0): ValueInfo {
    return this.apply('Gather', [data, indices], { axis });
  }

  concat(values: readonly ValueInfo[], axis: number): ValueInfo {
    return this.apply('Concat', values, { axis });
  }

  slice(x: ValueInfo, { axes, starts, ends, steps }: SliceOptions): ValueInfo {
    const lists = [starts, ends, axes, ...(steps ? [steps] : [])].map((list) => this.ints(list));
    return this.apply('Slice', [x, ...lists]);
  }

  /** The parts of `x` along `axis`, of these sizes. */
  split(x: ValueInfo, sizes: readonly number[], axis: number): readonly ValueInfo[] {
    return this.applyAll('Split', [x, this.ints(sizes)], sizes.length, { axis });
  }

  /** `x` repeated `repeats[i]` times along axis i. */
  tile(x: ValueInfo, repeats: readonly number[]): ValueInfo {
    return this.apply('Tile', [x, this.ints(repeats)]);
  }

  /**
   * The triangle of the last two axes on and below (`upper`: above) the diagonal that is `offset`
   * right of the main one.
   */
  triangle(x: ValueInfo, half: 'lower' | 'upper', offset = 0): ValueInfo {
    return this.apply('Trilu', [x, this.constant('int64', [], [offset])], {
      upper: half === 'upper' ? 1 : 0,
    });
  }

  /**
   * Sums of the elements up to each one along `axis`;
   * `reverse`: from each one on; `exclusive`: without it.
   */
  cumSum(
    x: ValueInfo,
    axis: number,
    { reverse = false, exclusive = false }: CumSumOptions = {},
  ): ValueInfo {
    const attributes = { reverse: reverse ? 1 : 0, exclusive: exclusive ? 1 : 0 };
    return this.apply('CumSum', [x, this.constant('int64', [], [axis])], attributes);
  }
}
