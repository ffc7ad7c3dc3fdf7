/**
 * Integer sums with the bits left out that tell nothing. A sum is cut into blocks of 256 elements;
 * of each travel how many low bits are zero in all of its elements, how many bits the rest of each
 * takes, and those; of a block that is mostly zeros, where the others are, and those. What comes
 * out is what went in, bit for bit: sums of changes that were rounded to int8 take about one byte
 * per element so, small ones less, and where few elements changed two bytes for each of these.
 *
 * Form of a block: shift and width, one byte each, then 256 numbers of `width` bits (fewer in the
 * last block), two's complement, the lowest bit first, padded to whole bytes. Form of a sparse one:
 * shift + 128 and width, how many elements follow, a byte with the place of each, rising, then as
 * many numbers. Of the two forms a block has the shorter one.
 * Source: frame-of-reference bit packing, Lemire & Boytsov 2015.
 */

const BLOCK = 256;
const HEADER_BYTES = 2;
/** Added to the shift of a sparse block. */
const SPARSE = 128;

/** The most bytes that `elementCount` elements can take. */
export function mostPackedBytes(elementCount: number): number {
  return HEADER_BYTES * Math.ceil(elementCount / BLOCK) + 4 * elementCount;
}

/** Packs an int32 sum, given as its bytes at a multiple of four. */
export function packSum(sum: Uint8Array): Uint8Array<ArrayBuffer> {
  const values = new Int32Array(sum.buffer, sum.byteOffset, sum.byteLength / 4);
  const packed = new Uint8Array(mostPackedBytes(values.length));
  let end = 0;
  for (let start = 0; start < values.length; start += BLOCK)
    end = packBlock(values.subarray(start, start + BLOCK), packed, end);
  return packed.slice(0, end);
}

/** Writes a block at `position`; gives where it ends. */
function packBlock(values: Int32Array, packed: Uint8Array, position: number): number {
  const bits = bitsOf(values);
  const { shift, width, nonZero } = bits;
  const isSparse = 1 + nonZero + bytesOf(nonZero, width) < bytesOf(values.length, width);
  packed[position] = shift + (isSparse ? SPARSE : 0);
  packed[position + 1] = width;
  const at = position + HEADER_BYTES;
  if (!isSparse) return packNumbers(values, bits, packed, at);
  packed[at] = nonZero;
  let place = at + 1;
  for (const [i, value] of values.entries()) if (value !== 0) packed[place++] = i;
  return packNumbers(
    values.filter((value) => value !== 0),
    bits,
    packed,
    place,
  );
}

/** What a block has in common. */
interface Bits {
  /** Zero bits below all elements. */
  readonly shift: number;
  /** Bits that each needs above them, its sign included. */
  readonly width: number;
}

/** Bytes that so many numbers of `width` bits take. */
function bytesOf(count: number, width: number): number {
  return Math.ceil((count * width) / 8);
}

function packNumbers(
  values: Int32Array,
  { shift, width }: Bits,
  packed: Uint8Array,
  position: number,
): number {
  let at = position;
  if (width === 0) return at;
  const mask = 2 ** width - 1;
  // At most 7 bits wait for their byte, so that numbers below 2^39 come together: exact in float64.
  let waiting = 0;
  let waitingBits = 0;
  for (const value of values) {
    waiting += (((value >> shift) & mask) >>> 0) * 2 ** waitingBits;
    waitingBits += width;
    while (waitingBits >= 8) {
      packed[at++] = waiting % 256;
      waiting = Math.floor(waiting / 256);
      waitingBits -= 8;
    }
  }
  if (waitingBits > 0) packed[at++] = waiting;
  return at;
}

function bitsOf(values: Int32Array): Bits & { readonly nonZero: number } {
  let all = 0;
  let magnitude = 0;
  let nonZero = 0;
  for (const value of values) {
    all |= value;
    magnitude |= value < 0 ? ~value : value;
    if (value !== 0) nonZero++;
  }
  if (all === 0) return { shift: 0, width: 0, nonZero };
  const shift = 31 - Math.clz32(all & -all);
  return { shift, width: 33 - Math.clz32(magnitude) - shift, nonZero };
}

/**
 * Unpacks a sum into `target`, the bytes of as many int32 as it has elements; false when `packed`
 * is none of that length (`target` is then of no use).
 */
export function unpackSum(packed: Uint8Array, target: Uint8Array): boolean {
  const values = new Int32Array(target.buffer, target.byteOffset, target.byteLength / 4);
  let position = 0;
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = unpackBlock(packed, position, values.subarray(start, start + BLOCK));
    if (end === undefined) return false;
    position = end;
  }
  return position === packed.length;
}

/** Reads the block at `position`; gives where it ends, or undefined when there is none. */
function unpackBlock(packed: Uint8Array, position: number, values: Int32Array): number | undefined {
  const [form, width] = [packed[position], packed[position + 1]];
  if (form === undefined || width === undefined) return undefined;
  const shift = form % SPARSE;
  if (shift + width > 32) return undefined;
  const at = position + HEADER_BYTES;
  const bits = { shift, width };
  return form < SPARSE
    ? unpackNumbers(packed, at, bits, values)
    : unpackSparse(packed, at, bits, values);
}

/** Reads the elements of a sparse block: their places rise, and lie in it. */
function unpackSparse(
  packed: Uint8Array,
  position: number,
  bits: Bits,
  values: Int32Array,
): number | undefined {
  const count = packed[position] ?? 0;
  if (count === 0 || count > values.length) return undefined;
  const numbers = new Int32Array(count);
  const end = unpackNumbers(packed, position + 1 + count, bits, numbers);
  if (end === undefined) return undefined;
  values.fill(0);
  let before = -1;
  for (const [i, number] of numbers.entries()) {
    const place = packed[position + 1 + i] ?? 0;
    if (place <= before || place >= values.length) return undefined;
    values[place] = number;
    before = place;
  }
  return end;
}

/** Reads numbers, as many as `values` has elements; gives where they end, if they are there. */
function unpackNumbers(
  packed: Uint8Array,
  position: number,
  { shift, width }: Bits,
  values: Int32Array,
): number | undefined {
  const end = position + bytesOf(values.length, width);
  if (end > packed.length) return undefined;
  if (width === 0) {
    values.fill(0);
    return end;
  }
  let at = position;
  let waiting = 0;
  let waitingBits = 0;
  for (let i = 0; i < values.length; i++) {
    while (waitingBits < width) {
      waiting += (packed[at++] ?? 0) * 2 ** waitingBits;
      waitingBits += 8;
    }
    const unsigned = waiting % 2 ** width;
    values[i] = ((unsigned << (32 - width)) >> (32 - width)) << shift;
    waiting = Math.floor(waiting / 2 ** width);
    waitingBits -= width;
  }
  return end;
}
