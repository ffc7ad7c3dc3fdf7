/**
 * Tar archives in memory: blocks of 512 bytes, a header before each file.
 *
 * Nothing is written to disk, so a name can do no harm; the caller picks the members it knows.
 * Source: POSIX.1-1988 ustar, as GNU tar and the CIFAR archives write it.
 */
import { DataError } from '../../base/errors.ts';

const BLOCK_BYTES = 512;

/** A file, folder or whatever else an archive names; `content` is a view of the archive. */
export interface TarMember {
  /** The path as written, without `./` in front. */
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'other';
  readonly content: Uint8Array;
}

/**
 * The members of an archive in order. `path` names it in messages.
 *
 * Throws: DataError when a header is damaged, or a member or the end of the archive is cut off.
 */
export function readTar(archive: Uint8Array, path: string): TarMember[] {
  const members: TarMember[] = [];
  let position = 0;
  while (position + BLOCK_BYTES <= archive.length) {
    const header = archive.subarray(position, position + BLOCK_BYTES);
    if (header.every((byte) => byte === 0)) return members;
    checkSum(header, path, position);
    const name = nameOf(header);
    const size = octal(header, 124, 12);
    const start = position + BLOCK_BYTES;
    if (size === undefined || start + size > archive.length)
      throw new DataError(
        `reading ${path}: member ${name} says it has ${size ?? 'an unreadable number of'} ` +
          `bytes, ${archive.length - start} are left. The archive is truncated or damaged.`,
        { path, member: name },
      );
    members.push({ name, kind: kindOf(header), content: archive.subarray(start, start + size) });
    position = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  throw new DataError(
    `reading ${path}: expected empty blocks at the end of the archive, found none after ` +
      `${archive.length} bytes. The archive is truncated.`,
    { path },
  );
}

/**
 * An archive of plain files in this order; every header says the same owner and time, so equal
 * files give equal bytes.
 */
export function makeTar(
  files: readonly { readonly name: string; readonly content: Uint8Array }[],
): Buffer {
  const parts = files.flatMap(({ name, content }) => [
    headerOf(name, content.length),
    content,
    Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('0', 156);
  header.write('ustar\x0000', 257, 'latin1');
  header.write(`${sumOf(header).toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** The sum of all bytes of a header, its own field counted as blanks. */
function sumOf(header: Uint8Array): number {
  return header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

function checkSum(header: Uint8Array, path: string, position: number): void {
  if (octal(header, 148, 8) === sumOf(header)) return;
  throw new DataError(
    `reading ${path}: expected a tar header at byte ${position}, its checksum is wrong. The ` +
      'archive is damaged, or no tar archive.',
    { path, position },
  );
}

function nameOf(header: Uint8Array): string {
  const name = text(header, 0, 100);
  // GNU tar has other things in the prefix's place; its magic ends with blanks instead of a zero.
  const prefix =
    text(header, 257, 6) === 'ustar' && header[262] === 0 ? text(header, 345, 155) : '';
  return (prefix === '' ? name : `${prefix}/${name}`).replace(/^(\.\/)+/, '');
}

function kindOf(header: Uint8Array): TarMember['kind'] {
  const flag = header[156] ?? 0;
  if (flag === 0 || flag === 0x30) return 'file';
  return flag === 0x35 ? 'folder' : 'other';
}

function octal(header: Uint8Array, start: number, length: number): number | undefined {
  const digits = text(header, start, length).trim();
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

/** Up to the first zero byte. */
function text(header: Uint8Array, start: number, length: number): string {
  const field = Buffer.from(header.subarray(start, start + length));
  const end = field.indexOf(0);
  return field.toString('latin1', 0, end === -1 ? length : end);
}
