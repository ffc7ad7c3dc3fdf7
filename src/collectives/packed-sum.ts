/**
 * Integer sums with the bits left out that tell nothing. A sum is cut into blocks of 256 elements;
 * of each travel how many low bits are zero in all of its elements, how many bits the rest of each
 * takes, and those. What comes out is what went in, bit for bit: sums of changes that were rounded
 * to int8 take about one byte per element so, and those of small ones less.
 *
 * Form of a block: shift and width, one byte each, then 256 numbers of `width` bits (fewer in the
 * last block), two's complement, the lowest bit first, padded to whole bytes.
 * Source: frame-of-reference bit packing, Lemire & Boytsov 2015.
 */

const BLOCK = 256;
const HEADER_BYTES = 2;

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
  const { shift, width } = bitsOf(values);
  packed[position] = shift;
  packed[position + 1] = width;
  let at = position + HEADER_BYTES;
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

/** The zero bits below all elements, and how many bits each needs above them, its sign included. */
function bitsOf(values: Int32Array): { readonly shift: number; readonly width: number } {
  let all = 0;
  let magnitude = 0;
  for (const value of values) {
    all |= value;
    magnitude |= value < 0 ? ~value : value;
  }
  if (all === 0) return { shift: 0, width: 0 };
  const shift = 31 - Math.clz32(all & -all);
  return { shift, width: 33 - Math.clz32(magnitude) - shift };
}

/**
 * Unpacks a sum into `target`, the bytes of as many int32 as it has elements; false when `packed`
 * is none of that length (`target` is then of no use).
 */
export function unpackSum(packed: Uint8Array, target: Uint8Array): boolean {
  const values = new Int32Array(target.buffer, target.byteOffset, target.byteLength / 4);
  let position = 0;
  for (let start = 0; start < values.length; start += BLOCK) {
    const block = values.subarray(start, start + BLOCK);
    const [shift, width] = [packed[position], packed[position + 1]];
    position += HEADER_BYTES;
    if (shift === undefined || width === undefined || shift + width > 32) return false;
    const end = position + Math.ceil((block.length * width) / 8);
    if (end > packed.length) return false;
    unpackBlock(packed.subarray(position, end), { shift, width }, block);
    position = end;
  }
  return position === packed.length;
}

function unpackBlock(
  bytes: Uint8Array,
  { shift, width }: { readonly shift: number; readonly width: number },
  values: Int32Array,
): void {
  if (width === 0) return void values.fill(0);
  let at = 0;
  let waiting = 0;
  let waitingBits = 0;
  for (let i = 0; i < values.length; i++) {
    while (waitingBits < width) {
      waiting += (bytes[at++] ?? 0) * 2 ** waitingBits;
      waitingBits += 8;
    }
    const unsigned = waiting % 2 ** width;
    values[i] = ((unsigned << (32 - width)) >> (32 - width)) << shift;
    waiting = Math.floor(waiting / 2 ** width);
    waitingBits -= width;
  }
}
