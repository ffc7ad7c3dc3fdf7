/**
 * Large payloads between processes of one machine go through a file in memory instead of the
 * socket: no system call per 64 KiB, no garbage, and a payload for many is written once. The frames
 * themselves, and with them order, ends and errors, stay on the socket.
 *
 * A sender offers the file by process id and descriptor. The other side takes nothing but what a
 * sender makes: a file of this user in the folder of the memory file system, named as ours are,
 * removed since, with the nonce in it. So nobody has us open or read any other file or pipe. The
 * file has no name any more: nothing is left behind, however the processes end. Until an offer is
 * accepted, and whenever no slot is free, payloads travel inline.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  readlinkSync,
  realpathSync,
  statSync,
  type Stats,
  fstatSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ProtocolError } from '../base/errors.ts';
import type { LinkMessage, LocalOffer } from './frame.ts';

/** The smallest payload that goes through the file: for less it is not worth it. */
export const MIN_LOCAL_BYTES: number = 64 << 10;
/** The largest one: states of larger models are rare, and the memory is worth more. */
export const MAX_LOCAL_BYTES: number = 1 << 30;
const MAX_SLOTS = 16;
const NONCE_BYTES = 32;
const PAGE = 4096;
/** All slots, as large as they can be. */
const MAX_FILE_BYTES = PAGE + MAX_SLOTS * MAX_LOCAL_BYTES;
/** A file system in memory on Linux; where there is none, payloads travel inline. */
const FOLDER = '/dev/shm';
const IS_AVAILABLE = existsSync(FOLDER) && existsSync('/proc/self/fd');
const PREFIX = 'lockstep-';
/** What Linux calls a file of ours that is open and has no name any more. */
const OUR_NAME = /^lockstep-[0-9a-f]{32} \(deleted\)$/;

interface Slot {
  readonly offset: number;
  readonly byteLength: number;
  /** Receivers that have not read it yet. */
  readers: number;
}

/** A place in an outbox that some connections have announced. */
export type LocalPlace = Slot;

/** The file of a sender, shared by its connections: slots filled once and read by one or many. */
export class Outbox {
  readonly #slots: Slot[] = [];
  #file: { readonly descriptor: number; readonly offer: LocalOffer } | undefined;
  #isClosed = false;

  /** How to find the file; makes it on first use. Undefined where that cannot be done. */
  offer(): LocalOffer | undefined {
    if (this.#isClosed || !IS_AVAILABLE) return undefined;
    this.#file ??= createFile();
    return this.#file?.offer;
  }

  /**
   * Copies `payload` into a free slot; undefined when there is none. The caller counts the readers.
   */
  put(payload: Uint8Array): LocalPlace | undefined {
    if (this.#file === undefined || this.#isClosed) return undefined;
    const slot =
      this.#slots.find((s) => s.readers === 0 && s.byteLength >= payload.length) ??
      this.#addSlot(payload.length);
    if (slot === undefined) return undefined;
    try {
      if (
        writeSync(this.#file.descriptor, payload, 0, payload.length, slot.offset) === payload.length
      )
        return slot;
    } catch {
      // The memory file system is full: the payload travels inline.
    }
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    if (this.#file !== undefined) closeSync(this.#file.descriptor);
    this.#file = undefined;
  }

  #addSlot(byteLength: number): Slot | undefined {
    if (this.#slots.length >= MAX_SLOTS) return undefined;
    const last = this.#slots.at(-1);
    const offset = last === undefined ? PAGE : last.offset + last.byteLength;
    const slot: Slot = { offset, byteLength: Math.ceil(byteLength / PAGE) * PAGE, readers: 0 };
    this.#slots.push(slot);
    return slot;
  }
}

function createFile(): { descriptor: number; offer: LocalOffer } | undefined {
  const path = join(FOLDER, `${PREFIX}${randomBytes(16).toString('hex')}`);
  const nonce = randomBytes(NONCE_BYTES);
  try {
    const descriptor = openSync(
      path,
      constants.O_CREAT | constants.O_EXCL | constants.O_RDWR,
      0o600,
    );
    unlinkSync(path);
    writeSync(descriptor, nonce, 0, NONCE_BYTES, 0);
    return {
      descriptor,
      offer: { processId: process.pid, descriptor, nonce: nonce.toString('hex') },
    };
  } catch {
    return undefined; // Not being able to take the short way is no error: payloads travel inline.
  }
}

/** One connection's use of outboxes: its own side's, and the other side's. */
export class LocalPayloads {
  readonly #outbox: Outbox;
  readonly #tell: (message: LinkMessage) => void;
  readonly #announced = new Map<number, LocalPlace>();
  #answer: 'none' | 'asked' | 'accepted' | 'declined' = 'none';
  #wasOffered = false;
  #incoming: number | undefined;

  /** `tell` sends a message to the other transport. */
  constructor(outbox: Outbox, tell: (message: LinkMessage) => void) {
    this.#outbox = outbox;
    this.#tell = tell;
  }

  /** Whether large payloads can go this way; the first question makes the offer. */
  isOpen(): boolean {
    if (this.#answer === 'none') {
      const offer = this.#outbox.offer();
      this.#answer = offer === undefined ? 'declined' : 'asked';
      if (offer !== undefined) this.#tell({ offer });
    }
    return this.#answer === 'accepted';
  }

  /** Puts `payload` into the outbox; undefined when it must travel inline. */
  put(payload: Uint8Array): LocalPlace | undefined {
    return this.#outbox.put(payload);
  }

  /** This connection's receiver will read `place`; gives its offset. */
  announce(place: LocalPlace): number {
    place.readers++;
    this.#announced.set(place.offset, place);
    return place.offset;
  }

  /** Fills `target` from the other side's file and lets it use the slot again. */
  read(offset: number, target: Uint8Array): void {
    if (
      this.#incoming === undefined ||
      readSync(this.#incoming, target, 0, target.length, offset) !== target.length
    ) {
      throw new ProtocolError('reading a frame: its payload is not in the shared file');
    }
    this.#tell({ free: offset });
  }

  /**
   * A message of the other transport, not checked yet. Throws ProtocolError when it makes no sense.
   */
  receive(message: unknown): void {
    if (typeof message !== 'object' || message === null)
      throw new ProtocolError('link message: expected an object');
    const { offer, accepted, free } = message as Readonly<Record<string, unknown>>;
    if (isOffer(offer)) this.#consider(offer);
    else if (typeof accepted === 'boolean') this.#take(accepted);
    else if (typeof free === 'number') this.#release(free);
    else throw new ProtocolError('link message: not understood');
  }

  /** One file is enough for a connection; a second one would be a way to have many opened. */
  #consider(offer: LocalOffer): void {
    if (this.#wasOffered) throw new ProtocolError('link message: a second file was offered');
    this.#wasOffered = true;
    this.#incoming = openOffered(offer);
    this.#tell({ accepted: this.#incoming !== undefined });
  }

  #take(accepted: boolean): void {
    if (this.#answer !== 'asked')
      throw new ProtocolError('link message: an answer to what was not asked');
    this.#answer = accepted ? 'accepted' : 'declined';
  }

  close(): void {
    for (const offset of [...this.#announced.keys()]) this.#release(offset);
    this.#answer = 'declined';
    this.#closeIncoming();
  }

  #release(offset: number): void {
    const place = this.#announced.get(offset);
    if (place === undefined || !this.#announced.delete(offset)) return;
    place.readers--;
  }

  #closeIncoming(): void {
    if (this.#incoming !== undefined) closeSync(this.#incoming);
    this.#incoming = undefined;
  }
}

function isOffer(value: unknown): value is LocalOffer {
  if (typeof value !== 'object' || value === null) return false;
  const { processId, descriptor, nonce } = value as Readonly<Record<string, unknown>>;
  return (
    Number.isSafeInteger(processId) && Number.isSafeInteger(descriptor) && typeof nonce === 'string'
  );
}

/** Opens what was offered; undefined when it is not here, not ours, or not what it claims. */
function openOffered({ processId, descriptor, nonce }: LocalOffer): number | undefined {
  if (!IS_AVAILABLE || processId <= 0 || descriptor < 0) return undefined;
  const path = `/proc/${processId}/fd/${descriptor}`;
  let file: number | undefined;
  try {
    // Looked at before it is opened, since to open a pipe or a device is to do something to it.
    if (!isOurs(statSync(path), readlinkSync(path))) return undefined;
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    // By now the number may belong to another file.
    const isSame = isOurs(fstatSync(file), readlinkSync(`/proc/self/fd/${file}`));
    if (isSame && nonceOf(file) === nonce) return file;
  } catch {
    // Another machine, user or container: the offer is declined, payloads travel inline.
  }
  if (file !== undefined) closeSync(file);
  return undefined;
}

function isOurs(stats: Stats, name: string): boolean {
  return (
    stats.isFile() &&
    stats.nlink === 0 &&
    stats.uid === process.getuid?.() &&
    stats.size <= MAX_FILE_BYTES &&
    dirname(name) === realpathSync(FOLDER) &&
    OUR_NAME.test(basename(name))
  );
}

function nonceOf(file: number): string | undefined {
  const found = Buffer.alloc(NONCE_BYTES);
  return readSync(file, found, 0, NONCE_BYTES, 0) === NONCE_BYTES
    ? found.toString('hex')
    : undefined;
}
