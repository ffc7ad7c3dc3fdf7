/** Archives of arrays as numpy.savez writes them: stored, not deflated. */
import { crc32 } from 'node:zlib';
import { DataError } from '../../base/errors.ts';

/** An array of float32, row-major. */
interface NamedArray {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Without zip64 no offset is larger. */
const MAX_BYTES = 0xffffffff;

/** The file of an archive, in pieces, views of the data among them. Throws DataError over 4 GiB. */
export function encodeNpz(arrays: readonly NamedArray[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, shape, data } of arrays) {
    const head = npyHead(shape);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const member = Buffer.from(`${name}.npy`);
    const size = head.length + bytes.length;
    const local = entry(0x04034b50, [20, 0], crc32(bytes, crc32(head)), size, member.length);
    const central = entry(0x02014b50, [20, 20, 0], crc32(bytes, crc32(head)), size, member.length);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([central, rest.subarray(0, 14), member]));
    parts.push(Buffer.concat([local, member, head]), bytes);
    offset += local.length + member.length + size;
    if (offset > MAX_BYTES)
      throw new DataError('writing an .npz: expected at most 4 GiB. Take .safetensors instead.');
  }
  const table = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(arrays.length, 8);
  end.writeUInt16LE(arrays.length, 10);
  end.writeUInt32LE(table.length, 12);
  end.writeUInt32LE(offset, 16);
  return [...parts, table, end];
}

/** What entries of both kinds begin with, up to the lengths of name and extra field. */
function entry(
  signature: number,
  versions: readonly number[],
  checksum: number,
  size: number,
  nameLength: number,
): Buffer {
  // Signature, versions and flags, stored, a time of zero, the first day of 1980.
  const words = Buffer.alloc(4 + 2 * versions.length + 6 + 12 + 4);
  words.writeUInt32LE(signature, 0);
  for (const [i, version] of versions.entries()) words.writeUInt16LE(version, 4 + 2 * i);
  const at = 4 + 2 * versions.length;
  words.writeUInt16LE(33, at + 4);
  words.writeUInt32LE(checksum, at + 6);
  words.writeUInt32LE(size, at + 10);
  words.writeUInt32LE(size, at + 14);
  words.writeUInt16LE(nameLength, at + 18);
  return words;
}

function npyHead(shape: readonly number[]): Buffer {
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  const length = Math.ceil((10 + about.length + 1) / 64) * 64 - 10;
  const head = Buffer.from(`\x93NUMPY\x01\x00xx${about.padEnd(length - 1)}\n`, 'latin1');
  head.writeUInt16LE(length, 8);
  return head;
}
