/**
 * IDX, the file format of MNIST and its relatives: big-endian u32 magic (0x08 = unsigned bytes in
 * the third byte, rank in the fourth), one u32 per dimension, then the bytes, row-major.
 *
 * Source: http://yann.lecun.com/exdb/mnist/ ("FILE FORMATS FOR THE MNIST DATABASE").
 */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import { unpackZeroRunsInto } from './zero-runs.ts';

/**
 * What a file must be: its uncompressed content, and the `.gz` a mirror offers. Sizes in bytes,
 * hashes in hex.
 */
export interface IdxFile {
  /** Uncompressed name, e.g. `train-images-idx3-ubyte`; the compressed file has `.gz` behind it. */
  readonly fileName: string;
  /** Dimensions, e.g. [60000, 28, 28]. */
  readonly shape: readonly number[];
  /** SHA-256 of the uncompressed file, header included. */
  readonly sha256: string;
  readonly gzipBytes: number;
  readonly gzipSha256: string;
  /** Of the file as it comes with Lockstep, packed as `zero-runs.ts` says. */
  readonly runsSha256?: string;
}

/** A file's bytes, unpacked, header included. */
interface FileContent {
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** What it was unpacked from has the hash that it should. */
  readonly isVerified?: boolean;
}

/** Size of the uncompressed file: header and one byte per element. */
function idxBytes(file: IdxFile): number {
  return headerBytes(file) + file.shape.reduce((count, size) => count * size, 1);
}

/**
 * The elements of an IDX file, read into shared memory and verified against `file`.
 *
 * Throws: DataError naming the path and what was expected and found, when magic, dimensions, length
 *         or SHA-256 differ. Never holds more than the expected size, not even of a `.gz`.
 */
export async function readIdxFile(
  path: string,
  file: IdxFile,
): Promise<Uint8Array<SharedArrayBuffer>> {
  const { bytes, isVerified = false } = await readContent(path, file);
  checkHeader(path, file, bytes);
  const found = isVerified ? file.sha256 : sha256Of(bytes);
  if (bytes.length !== idxBytes(file) || found !== file.sha256)
    throw contentError(path, file, bytes.length, found);
  return bytes.subarray(headerBytes(file));
}

async function readContent(path: string, file: IdxFile): Promise<FileContent> {
  if (path.endsWith('.runs')) return unpackRunsIntoShared(path, file);
  const isPacked = path.endsWith('.gz');
  return { bytes: await (isPacked ? unpackIntoShared(path, file) : readIntoShared(path, file)) };
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function headerBytes(file: IdxFile): number {
  return 4 + 4 * file.shape.length;
}

async function readIntoShared(path: string, file: IdxFile): Promise<Uint8Array<SharedArrayBuffer>> {
  const expected = idxBytes(file);
  try {
    const handle = await open(path);
    try {
      const { size } = await handle.stat();
      if (size > expected) throw tooLongError(path, file, `${size} bytes`);
      const bytes = new Uint8Array(new SharedArrayBuffer(size));
      let filled = 0;
      while (filled < size) {
        const { bytesRead } = await handle.read(bytes, filled, size - filled, filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(path, error);
  }
}

async function unpackIntoShared(
  path: string,
  file: IdxFile,
): Promise<Uint8Array<SharedArrayBuffer>> {
  const expected = idxBytes(file);
  try {
    const { size } = await stat(path);
    // What cannot be packed grows by a few bytes in each 16 KiB.
    if (size > 1.01 * expected + 1024) throw tooLongError(path, file, `${size} bytes still packed`);
    const packed = await readFile(path);
    const unpacked = await promisify(gunzip)(packed, {
      maxOutputLength: expected,
      chunkSize: expected + 64, // In one piece: twice as fast.
    });
    const bytes = new Uint8Array(new SharedArrayBuffer(unpacked.length));
    bytes.set(unpacked);
    return bytes;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLongError(path, file, 'more when unpacked');
    if (typeof code === 'string' && code.startsWith('Z_'))
      throw new DataError(
        `reading ${path}: the gzip data is truncated or damaged (${messageOf(error)}); ` +
          `expected, unpacked, ${expected} bytes with SHA-256 ${file.sha256}. ${REMEDY}`,
        { path, expectedBytes: expected, expectedSha256: file.sha256 },
        { cause: error },
      );
    throw readError(path, error);
  }
}

/** Of a file that comes with Lockstep; its packed bytes are a quarter, and so is their hash. */
async function unpackRunsIntoShared(path: string, file: IdxFile): Promise<FileContent> {
  try {
    const packed = await readFile(path);
    const bytes = new Uint8Array(new SharedArrayBuffer(idxBytes(file)));
    const length = unpackZeroRunsInto(bytes, packed);
    if (length === undefined) throw tooLongError(path, file, 'more when unpacked');
    return { bytes: bytes.subarray(0, length), isVerified: sha256Of(packed) === file.runsSha256 };
  } catch (error) {
    throw readError(path, error);
  }
}

const REMEDY = 'Delete it to have it looked for elsewhere, or replace it by an undamaged copy.';

function checkHeader(path: string, file: IdxFile, bytes: Uint8Array): void {
  const length = headerBytes(file);
  if (bytes.length < 4) return; // Too short to have a header; the size check names that.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  const expectedMagic = 0x800 + file.shape.length;
  if (magic !== expectedMagic)
    throw new DataError(
      `reading ${path}: expected IDX magic ${expectedMagic} (unsigned bytes, ` +
        `${file.shape.length} dimensions), found ${magic}. Is it another file under this name?`,
      { path, expectedMagic, foundMagic: magic },
    );
  if (bytes.length < length) return;
  const found = file.shape.map((_, axis) => view.getUint32(4 + 4 * axis));
  if (found.join() !== file.shape.join())
    throw new DataError(
      `reading ${path}: expected dimensions ${file.shape.join(' x ')}, found ` +
        `${found.join(' x ')}. Is it another file under this name?`,
      { path, expectedShape: file.shape, foundShape: found },
    );
}

function contentError(
  path: string,
  file: IdxFile,
  foundBytes: number,
  foundSha256: string,
): DataError {
  const expectedBytes = idxBytes(file);
  const what = foundBytes < expectedBytes ? 'the file is truncated' : 'the content was changed';
  return new DataError(
    `reading ${path}: expected ${expectedBytes} bytes with SHA-256 ${file.sha256}, found ` +
      `${foundBytes} bytes with SHA-256 ${foundSha256}; ${what}. ${REMEDY}`,
    { path, expectedBytes, foundBytes, expectedSha256: file.sha256, foundSha256 },
  );
}

function tooLongError(path: string, file: IdxFile, found: string): DataError {
  return new DataError(
    `reading ${path}: expected ${idxBytes(file)} bytes with SHA-256 ${file.sha256}, found ` +
      `${found}. Is it another file under this name? ${REMEDY}`,
    { path, expectedBytes: idxBytes(file), expectedSha256: file.sha256 },
  );
}

function readError(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  return new DataError(`reading ${path}: ${messageOf(error)}`, { path }, { cause: error });
}
