/**
 * Zip archives in memory, as numpy.savez writes them: stored or deflated members.
 *
 * The central directory at the end says what there is. Split, encrypted and zip64 archives are
 * refused. Source: PKWARE APPNOTE 6.3.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import { shortageOf } from '../../base/shortage.ts';

/** One file of an archive. */
export interface ZipMember {
  readonly name: string;
  /** Its size when unpacked, in bytes, as the archive says. */
  readonly byteLength: number;
  /** Unpacks and checks it. Throws DataError when it is damaged or larger than it says. */
  readonly read: () => Uint8Array;
}

const END_SIGNATURE = 0x06054b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const MAX_MEMBERS = 1000;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED_FLAG = 1;
const ZIP64_MARK = 0xffffffff;

/**
 * Lists the members of an archive, which messages call `path`. Throws DataError when it is none.
 */
export function readZip(archive: Buffer, path: string): ZipMember[] {
  const fail = (reason: string): never => {
    throw new DataError(`reading ${path}: ${reason}. Is the file truncated, or no .npz?`, { path });
  };
  const end = endOf(archive);
  if (end === undefined) return fail('expected a zip archive, found no directory at its end');
  const count = archive.readUInt16LE(end + 10);
  if (count > MAX_MEMBERS) return fail(`expected at most ${MAX_MEMBERS} arrays, found ${count}`);
  const members: ZipMember[] = [];
  let at = archive.readUInt32LE(end + 16);
  for (let index = 0; index < count; index++) {
    if (at + 46 > end || archive.readUInt32LE(at) !== ENTRY_SIGNATURE)
      return fail(`entry ${index} of its directory is damaged`);
    const nameLength = archive.readUInt16LE(at + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    members.push(memberAt(archive, at, name, path));
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return members;
}

function endOf(archive: Buffer): number | undefined {
  const first = Math.max(0, archive.length - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = archive.length - END_BYTES; at >= first; at--)
    if (archive.readUInt32LE(at) === END_SIGNATURE) return at;
  return undefined;
}

function memberAt(archive: Buffer, entry: number, name: string, path: string): ZipMember {
  const method = archive.readUInt16LE(entry + 10);
  const checksum = archive.readUInt32LE(entry + 16);
  const packedBytes = archive.readUInt32LE(entry + 20);
  const byteLength = archive.readUInt32LE(entry + 24);
  const local = archive.readUInt32LE(entry + 42);
  const isEncrypted = (archive.readUInt16LE(entry + 8) & ENCRYPTED_FLAG) !== 0;
  const refuse = (reason: string): DataError =>
    new DataError(`reading ${path}: ${name} ${reason}`, { path, member: name });
  if ([packedBytes, byteLength, local].includes(ZIP64_MARK))
    throw refuse('needs zip64, which is for arrays of 4 GB; expected smaller ones');
  if (isEncrypted || (method !== STORED && method !== DEFLATED))
    throw refuse(
      'is encrypted or packed in an unknown way; expected numpy.savez or numpy.savez_compressed',
    );
  return {
    name,
    byteLength,
    read() {
      if (local + 30 > archive.length || archive.readUInt32LE(local) !== LOCAL_SIGNATURE)
        throw refuse('has no header where the directory says. The archive is damaged.');
      const start =
        local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      if (start + packedBytes > archive.length)
        throw refuse('is cut off. The archive is truncated.');
      const packed = archive.subarray(start, start + packedBytes);
      const content = method === STORED ? packed : inflate(packed, byteLength, refuse);
      if (content.length !== byteLength || crc32(content) !== checksum)
        throw refuse(
          'does not have the length and checksum that the archive says. The archive is damaged.',
        );
      return content;
    },
  };
}

function inflate(
  packed: Buffer,
  byteLength: number,
  refuse: (reason: string) => DataError,
): Buffer {
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, byteLength) });
  } catch (error) {
    if (shortageOf(error) !== undefined) throw error;
    throw refuse(`cannot be unpacked: ${messageOf(error)}. The archive is damaged.`);
  }
}
