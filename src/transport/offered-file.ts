/**
 * Files in memory that one process offers to another of this machine, by process id and descriptor.
 *
 * The other side takes nothing but what is made here: a file of this user in the folder of the
 * memory file system, named as ours are, removed since, with the nonce in it. So nobody has us open
 * or read any other file or pipe. The file has no name any more: nothing is left behind, however
 * the processes end.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { LocalOffer } from './frame.ts';

/** What the file begins with is the nonce; the rest is the owner's. */
export const OFFER_BYTES: number = 32;
/** A file system in memory on Linux. */
const FOLDER = '/dev/shm';
const IS_AVAILABLE = existsSync(FOLDER) && existsSync('/proc/self/fd');
const PREFIX = 'lockstep-';
/** What Linux calls a file of ours that is open and has no name any more. */
const OUR_NAME = /^lockstep-[0-9a-f]{32} \(deleted\)$/;

/** A file that is open, and what others find it by. Who made it closes it. */
export interface OfferedFile {
  readonly descriptor: number;
  readonly offer: LocalOffer;
}

/** Makes a file of `OFFER_BYTES`; undefined where that cannot be done, which is no error. */
export function createFile(): OfferedFile | undefined {
  if (!IS_AVAILABLE) return undefined;
  const path = join(FOLDER, `${PREFIX}${randomBytes(16).toString('hex')}`);
  const nonce = randomBytes(OFFER_BYTES);
  try {
    const descriptor = openSync(
      path,
      constants.O_CREAT | constants.O_EXCL | constants.O_RDWR,
      0o600,
    );
    unlinkSync(path);
    writeSync(descriptor, nonce, 0, OFFER_BYTES, 0);
    return {
      descriptor,
      offer: { processId: process.pid, descriptor, nonce: nonce.toString('hex') },
    };
  } catch {
    return undefined;
  }
}

/** Whether a peer's words are an offer. */
export function isOffer(value: unknown): value is LocalOffer {
  if (typeof value !== 'object' || value === null) return false;
  const { processId, descriptor, nonce } = value as Readonly<Record<string, unknown>>;
  return (
    Number.isSafeInteger(processId) && Number.isSafeInteger(descriptor) && typeof nonce === 'string'
  );
}

/** What a file may be, and what is to be done with it. */
interface OpenOptions {
  readonly maxBytes: number;
  readonly isWritable: boolean;
}

/** Opens what was offered; undefined when it is not here, not ours, or not what it claims. */
export function openOffered(
  { processId, descriptor, nonce }: LocalOffer,
  { maxBytes, isWritable }: OpenOptions,
): number | undefined {
  if (!IS_AVAILABLE || processId <= 0 || descriptor < 0) return undefined;
  const path = `/proc/${processId}/fd/${descriptor}`;
  const access = isWritable ? constants.O_RDWR : constants.O_RDONLY;
  let file: number | undefined;
  try {
    // Looked at before it is opened, since to open a pipe or a device is to do something to it.
    if (!isOurs(statSync(path), readlinkSync(path), maxBytes)) return undefined;
    file = openSync(path, access | constants.O_NONBLOCK | constants.O_NOCTTY);
    // By now the number may belong to another file.
    const isSame = isOurs(fstatSync(file), readlinkSync(`/proc/self/fd/${file}`), maxBytes);
    if (isSame && nonceOf(file) === nonce) return file;
  } catch {
    // Another machine, user or container: the offer is declined.
  }
  if (file !== undefined) closeSync(file);
  return undefined;
}

function isOurs(stats: Stats, name: string, maxBytes: number): boolean {
  return (
    stats.isFile() &&
    stats.nlink === 0 &&
    stats.uid === process.getuid?.() &&
    stats.size <= maxBytes &&
    dirname(name) === realpathSync(FOLDER) &&
    OUR_NAME.test(basename(name))
  );
}

function nonceOf(file: number): string | undefined {
  const found = Buffer.alloc(OFFER_BYTES);
  return readSync(file, found, 0, OFFER_BYTES, 0) === OFFER_BYTES
    ? found.toString('hex')
    : undefined;
}
