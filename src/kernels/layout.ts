/**
 * Layout arithmetic: where each parameter lies in a
 * flat region, and how a region is cut into blocks.
 *
 * A region holds the tensors of a model one after another, each from a multiple of 16 elements (64
 * bytes: a cache line, and whole vectors for the kernels) and padded to the next with zeros.
 * Weights, gradients, int32 totals and optimizer state of one model all have this layout. The order
 * of the tensors is the model's parameter order; it is the canonical order of digests and
 * hand-overs, which leave the padding out (`packRegion`).
 */
import { invariant, ShapeError } from '../base/errors.ts';

/** Tensors start at multiples of this many 4-byte elements. */
const ALIGNMENT_ELEMENTS = 16;

/** A parameter as the model declares it; shape [] is a scalar. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** One tensor's place in a region; offset and lengths in elements. */
export interface TensorSlot {
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements before it in the region; a multiple of 16. */
  readonly offset: number;
  /** The product of the shape. */
  readonly length: number;
  /** `length` rounded up to a multiple of 16. */
  readonly paddedLength: number;
}

/** The table of a region, in canonical order. */
export interface ArenaLayout {
  readonly tensors: readonly TensorSlot[];
  /** Elements without padding: the parameter count. */
  readonly length: number;
  /** Elements of a region; a multiple of 16. */
  readonly paddedLength: number;
}

/**
 * Adjacent elements of one tensor, padding included;
 * offset in elements from the start of the region.
 */
export interface Block {
  /** Index into `layout.tensors`. */
  readonly tensor: number;
  readonly offset: number;
  /** A multiple of 16. */
  readonly length: number;
}

/** Blocks `first` <= index < `end`, which cover `length` elements from `offset`. */
export interface BlockRange {
  readonly first: number;
  readonly end: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * Places `parameters` one after another in their order.
 *
 * Throws: ShapeError for a dimension that is not a positive integer, or a name that comes twice.
 */
export function makeArenaLayout(parameters: readonly ParameterShape[]): ArenaLayout {
  const names = new Set<string>();
  const tensors: TensorSlot[] = [];
  let length = 0;
  let offset = 0;
  for (const { name, shape } of parameters) {
    if (names.has(name))
      throw new ShapeError(`arena layout: parameter ${name} comes twice`, { name });
    names.add(name);
    const slot = { name, shape, offset, ...lengthsOf(name, shape) };
    tensors.push(slot);
    length += slot.length;
    offset += slot.paddedLength;
  }
  return { tensors, length, paddedLength: offset };
}

function lengthsOf(
  name: string,
  shape: readonly number[],
): { length: number; paddedLength: number } {
  if (!shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
    throw new ShapeError(
      `arena layout: parameter ${name}: expected positive integer dimensions, got ` +
        `[${shape.join(', ')}]`,
      { name, shape },
    );
  }
  const length = shape.reduce((product, size) => product * size, 1);
  return { length, paddedLength: Math.ceil(length / ALIGNMENT_ELEMENTS) * ALIGNMENT_ELEMENTS };
}

/** Adjacent elements of a region, padding included. */
export type RegionRange = Pick<BlockRange, 'offset' | 'length'>;

/**
 * The elements of a region without padding, in canonical order, copied to `packed`: [layout.length]
 * from [layout.paddedLength]. With `range` only the elements in that part of the region are copied.
 */
export function packRegion(
  region: Float32Array,
  layout: ArenaLayout,
  packed: Float32Array = new Float32Array(layout.length),
  range: RegionRange = { offset: 0, length: layout.paddedLength },
): Float32Array {
  invariant(region.length === layout.paddedLength, 'packRegion: the region is not of this layout');
  invariant(packed.length === layout.length, 'packRegion: the target is not of this layout');
  let position = 0;
  for (const { offset, length } of layout.tensors) {
    const { from, to } = clip(offset, offset + length, range);
    if (from < to) packed.set(region.subarray(from, to), position + from - offset);
    position += length;
  }
  return packed;
}

/**
 * The inverse of `packRegion`.
 * Shapes: packed [layout.length], region [layout.paddedLength].
 * Effect: overwrites `region`, or the part of it in `range`; its padding becomes zero.
 */
export function unpackRegion(
  packed: Float32Array,
  layout: ArenaLayout,
  region: Float32Array,
  range: RegionRange = { offset: 0, length: layout.paddedLength },
): void {
  invariant(
    packed.length === layout.length,
    'unpackRegion: the packed elements are not of this layout',
  );
  invariant(
    region.length === layout.paddedLength,
    'unpackRegion: the region is not of this layout',
  );
  let position = 0;
  for (const { offset, length, paddedLength } of layout.tensors) {
    const { from, to } = clip(offset, offset + length, range);
    if (from < to)
      region.set(packed.subarray(position + from - offset, position + to - offset), from);
    const padding = clip(offset + length, offset + paddedLength, range);
    if (padding.from < padding.to) region.fill(0, padding.from, padding.to);
    position += length;
  }
}

/** The part of `from` .. `to` that lies in `range`; empty when `from` >= `to`. */
function clip(from: number, to: number, range: RegionRange): { from: number; to: number } {
  return { from: Math.max(from, range.offset), to: Math.min(to, range.offset + range.length) };
}

/**
 * Cuts a region into blocks of at most `blockLength` elements (a multiple of 16) that start anew at
 * each tensor. Together they cover the region, padding included, once and in order.
 *
 * The blocks depend on the layout only. Sums over blocks, added in block order
 * (`sumBlocksByTensor`), therefore have the same bits however many lanes computed them.
 */
export function makeBlocks(layout: ArenaLayout, blockLength = 4096): Block[] {
  invariant(
    blockLength > 0 && blockLength % ALIGNMENT_ELEMENTS === 0,
    'blockLength must be a multiple of 16',
  );
  return layout.tensors.flatMap(({ offset, paddedLength }, tensor) =>
    Array.from({ length: Math.ceil(paddedLength / blockLength) }, (_, i) => ({
      tensor,
      offset: offset + i * blockLength,
      length: Math.min(blockLength, paddedLength - i * blockLength),
    })),
  );
}

/**
 * Divides blocks, in order, among `parts` lanes: contiguous ranges of about equal element counts,
 * which cover every block once. With fewer blocks than parts some ranges are empty.
 */
export function sliceBlocks(blocks: readonly Block[], parts: number): BlockRange[] {
  invariant(
    Number.isSafeInteger(parts) && parts > 0,
    'sliceBlocks: parts must be a positive integer',
  );
  const start = blocks[0]?.offset ?? 0;
  const total = blocks.reduce((sum, block) => sum + block.length, 0);
  const ranges: BlockRange[] = [];
  let index = 0;
  let offset = start;
  for (let part = 1; part <= parts; part++) {
    const first = index;
    const rangeOffset = offset;
    const target = start + (total * part) / parts;
    for (let next = blocks[index]; next !== undefined; next = blocks[index]) {
      // A block belongs to the part in which its middle lies.
      if (part < parts && next.offset + next.length / 2 > target) break;
      offset = next.offset + next.length;
      index++;
    }
    ranges.push({ first, end: index, offset: rangeOffset, length: offset - rangeOffset });
  }
  return ranges;
}

/** The blocks of a range joined per tensor, in order: one kernel call each. */
export function joinBlocks(blocks: readonly Block[], range: BlockRange): Block[] {
  const joined: Block[] = [];
  for (const block of blocks.slice(range.first, range.end)) {
    const last = joined.at(-1);
    if (last?.tensor === block.tensor)
      joined[joined.length - 1] = { ...last, length: last.length + block.length };
    else joined.push(block);
  }
  return joined;
}

/**
 * Adds one number per block to one per tensor, in block order (float64): the same bits however the
 * blocks were sliced. With `sumOfSquares` of each block these are squared norms.
 *
 * Shapes: blockSums [blocks.length], result [layout.tensors.length].
 */
export function sumBlocksByTensor(
  layout: ArenaLayout,
  blocks: readonly Block[],
  blockSums: Float64Array,
): Float64Array<ArrayBuffer> {
  invariant(blockSums.length === blocks.length, 'sumBlocksByTensor: one sum per block is needed');
  const sums = new Float64Array(layout.tensors.length);
  blocks.forEach(({ tensor }, i) => (sums[tensor] = (sums[tensor] ?? 0) + (blockSums[i] ?? 0)));
  return sums;
}
