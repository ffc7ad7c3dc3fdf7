/**
 * NumPy's .npy: magic, version, a header that is a Python dictionary, then the elements.
 *
 * Source: numpy.lib.format, versions 1.0 to 3.0.
 */
import { DataError } from '../../base/errors.ts';

/** Numbers of an array, row-major. 64-bit integers are kept as such until they are known to fit. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly kind: 'bool' | 'bytes' | 'integers' | 'floats';
  /** Elements in all. */
  readonly length: number;
  /** Element `index`, as a number; whole numbers beyond 2^53 lose digits. */
  readonly at: (index: number) => number;
}

type Kind = NpyArray['kind'];

interface ElementType {
  readonly kind: Kind;
  readonly bytes: number;
  readonly read: (view: DataView, offset: number) => number;
}

/** Readers by NumPy's type string. Big-endian, complex, text and object arrays are refused. */
const ELEMENT_TYPES: Readonly<Record<string, ElementType>> = {
  '|b1': { kind: 'bool', bytes: 1, read: (view, at) => view.getUint8(at) },
  '|u1': { kind: 'bytes', bytes: 1, read: (view, at) => view.getUint8(at) },
  '|i1': { kind: 'integers', bytes: 1, read: (view, at) => view.getInt8(at) },
  '<u2': { kind: 'integers', bytes: 2, read: (view, at) => view.getUint16(at, true) },
  '<i2': { kind: 'integers', bytes: 2, read: (view, at) => view.getInt16(at, true) },
  '<u4': { kind: 'integers', bytes: 4, read: (view, at) => view.getUint32(at, true) },
  '<i4': { kind: 'integers', bytes: 4, read: (view, at) => view.getInt32(at, true) },
  '<u8': { kind: 'integers', bytes: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  '<i8': { kind: 'integers', bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  '<f4': { kind: 'floats', bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  '<f8': { kind: 'floats', bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
const MAX_HEADER_BYTES = 65_536;
const MAX_RANK = 8;

/**
 * The array in `content`, which is read in place. `name` says in messages whose it is.
 *
 * Throws: DataError when it is no .npy, of another type, in Fortran order, or cut off.
 */
export function parseNpy(content: Uint8Array, name: string): NpyArray {
  const { header, start } = splitHeader(content, name);
  const typeName = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? '';
  const type = Object.hasOwn(ELEMENT_TYPES, typeName) ? ELEMENT_TYPES[typeName] : undefined;
  if (type === undefined)
    throw new DataError(
      `reading ${name}: expected elements of one of ${Object.keys(ELEMENT_TYPES).join(', ')}, ` +
        `found ${typeName === '' ? 'a compound type' : typeName}. Convert them with ` +
        ".astype('float32') or .astype('int64').",
      { name, type: typeName },
    );
  const shape = shapeOf(header, name);
  if (/'fortran_order':\s*True/.test(header) && shape.length > 1)
    throw new DataError(
      `reading ${name}: expected row-major order, found Fortran order. Save ` +
        'numpy.ascontiguousarray(array).',
      { name },
    );
  const length = shape.reduce((count, size) => count * size, 1);
  const found = content.length - start;
  if (found !== length * type.bytes)
    throw new DataError(
      `reading ${name}: expected ${length * type.bytes} bytes for ${typeName} of shape ` +
        `(${shape.join(', ')}), found ${found}. ` +
        (found < length * type.bytes ? 'The file is truncated.' : 'The file is damaged.'),
      { name, shape, foundBytes: found },
    );
  const view = new DataView(content.buffer, content.byteOffset + start, found);
  return { shape, kind: type.kind, length, at: (index) => type.read(view, index * type.bytes) };
}

function splitHeader(content: Uint8Array, name: string): { header: string; start: number } {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const isNpy = content.length >= 12 && MAGIC.every((byte, at) => content[at] === byte);
  const version = content[6] ?? 0;
  if (!isNpy || version < 1 || version > 3)
    throw new DataError(`reading ${name}: expected a .npy array, found something else`, { name });
  const from = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER_BYTES || from + length > content.length)
    throw new DataError(
      `reading ${name}: the header of the .npy array is cut off or too long (${length} bytes)`,
      { name },
    );
  return {
    header: Buffer.from(content.subarray(from, from + length)).toString('latin1'),
    start: from + length,
  };
}

function shapeOf(header: string, name: string): number[] {
  const text = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  const shape = (text ?? '')
    .split(',')
    .filter((size) => size.trim() !== '')
    .map(Number);
  const isSmall =
    shape.length <= MAX_RANK &&
    shape.reduce((count, size) => count * size, 1) <= Number.MAX_SAFE_INTEGER;
  if (text === undefined || !isSmall)
    throw new DataError(
      `reading ${name}: expected a shape of at most ${MAX_RANK} sizes in the .npy header, ` +
        `found ${JSON.stringify(text ?? header.slice(0, 100))}`,
      { name },
    );
  return shape;
}
