/**
 * Large payloads between processes of one machine go through a file in shared memory instead of the socket: two
 * copies at memory speed, no system calls per 64 KiB, no garbage. The frames themselves, and with them order, ends
 * and errors, stay on the socket.
 *
 * Each side may offer one file for what it sends. The other side accepts if it can open the file and finds the
 * nonce in it, that is, if it really is on the same machine and runs as the same user; the name is then removed,
 * so nothing is left behind however the processes end. Until then, and whenever no slot is free, payloads travel inline.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProtocolError } from '../base/errors.ts';
import type { LinkMessage, LocalOffer } from './frame.ts';

/** Smaller payloads are not worth it. */
const MIN_LOCAL_BYTES = 64 << 10;
const MAX_SLOTS = 8;
const NONCE_BYTES = 32;
const PAGE = 4096;
const NAME = /^lockstep-[0-9a-f]{32}$/;
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

interface Slot {
  readonly offset: number;
  readonly byteLength: number;
  isFree: boolean;
}

/** The sender's file: slots that are filled, announced in a frame, and free again when the receiver says so. */
class OutgoingPayloads {
  readonly offer: LocalOffer;
  readonly #file: number;
  readonly #path: string;
  readonly #slots: Slot[] = [];
  #isNamed = true;
  #isAccepted = false;
  #isClosed = false;

  private constructor(path: string, file: number, offer: LocalOffer) {
    this.#path = path;
    this.#file = file;
    this.offer = offer;
  }

  /** A new file, or undefined where none can be made. */
  static create(): OutgoingPayloads | undefined {
    const name = `lockstep-${randomBytes(16).toString('hex')}`;
    const path = join(FOLDER, name);
    const nonce = randomBytes(NONCE_BYTES);
    try {
      const file = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600);
      writeSync(file, nonce, 0, NONCE_BYTES, 0);
      return new OutgoingPayloads(path, file, { name, nonce: nonce.toString('hex') });
    } catch {
      return undefined; // Not being able to take the short way is no error: payloads travel inline.
    }
  }

  /** The other side's answer to the offer. */
  settle(isAccepted: boolean): void {
    this.#isAccepted = isAccepted && !this.#isClosed;
    this.#removeName();
  }

  /** Copies `payload` into a free slot and gives its offset; undefined when it must travel inline. */
  put(payload: Uint8Array): number | undefined {
    if (!this.#isAccepted) return undefined;
    const slot =
      this.#slots.find((s) => s.isFree && s.byteLength >= payload.length) ?? this.#addSlot(payload.length);
    if (slot === undefined) return undefined;
    if (writeSync(this.#file, payload, 0, payload.length, slot.offset) !== payload.length) return undefined;
    slot.isFree = false;
    return slot.offset;
  }

  /** The receiver has read the slot at `offset`. */
  free(offset: number): void {
    const slot = this.#slots.find((s) => s.offset === offset);
    if (slot !== undefined) slot.isFree = true;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isAccepted = false;
    this.#removeName();
    closeSync(this.#file);
  }

  #addSlot(byteLength: number): Slot | undefined {
    if (this.#slots.length >= MAX_SLOTS) return undefined;
    const last = this.#slots.at(-1);
    const end = last === undefined ? PAGE : last.offset + last.byteLength;
    const slot: Slot = { offset: end, byteLength: Math.ceil(byteLength / PAGE) * PAGE, isFree: true };
    try {
      ftruncateSync(this.#file, slot.offset + slot.byteLength);
    } catch {
      return undefined; // The memory file system is full: inline.
    }
    this.#slots.push(slot);
    return slot;
  }

  #removeName(): void {
    if (this.#isNamed) unlinkSync(this.#path);
    this.#isNamed = false;
  }
}

/**
 * Both directions of one connection. `tell` sends a message to the other transport.
 * Throws: ProtocolError for messages and offsets that make no sense.
 */
export class LocalPayloads {
  readonly #tell: (message: LinkMessage) => void;
  #outgoing: OutgoingPayloads | undefined;
  #incoming: IncomingPayloads | undefined;
  #hasOffered = false;

  constructor(tell: (message: LinkMessage) => void) {
    this.#tell = tell;
  }

  /** Offset of `payload` in our file if it can go that way. The first large payload makes the offer. */
  put(payload: Uint8Array): number | undefined {
    if (payload.length < MIN_LOCAL_BYTES) return undefined;
    if (!this.#hasOffered) {
      this.#hasOffered = true;
      this.#outgoing = OutgoingPayloads.create();
      if (this.#outgoing !== undefined) this.#tell({ offer: this.#outgoing.offer });
    }
    return this.#outgoing?.put(payload);
  }

  /** Fills `target` from the other side's file and lets it use the slot again. */
  read(offset: number, target: Uint8Array): void {
    if (this.#incoming?.read(offset, target) !== true) {
      throw new ProtocolError('reading a frame: its payload is not in the shared file');
    }
    this.#tell({ free: offset });
  }

  /** A message of the other transport. */
  receive(message: unknown): void {
    if (typeof message !== 'object' || message === null)
      throw new ProtocolError('link message: expected an object');
    const { offer, accepted, free } = message as Readonly<Record<string, unknown>>;
    if (isOffer(offer)) {
      this.#incoming?.close();
      this.#incoming = IncomingPayloads.open(offer);
      this.#tell({ accepted: this.#incoming !== undefined });
    } else if (typeof accepted === 'boolean') this.#outgoing?.settle(accepted);
    else if (typeof free === 'number') this.#outgoing?.free(free);
    else throw new ProtocolError('link message: not understood');
  }

  close(): void {
    this.#outgoing?.close();
    this.#incoming?.close();
    this.#outgoing = this.#incoming = undefined;
  }
}

function isOffer(value: unknown): value is LocalOffer {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'nonce' in value &&
    typeof value.nonce === 'string'
  );
}

/** The receiver's view of the other side's file. */
class IncomingPayloads {
  readonly #file: number;

  private constructor(file: number) {
    this.#file = file;
  }

  /** Opens what was offered, or undefined when it is not here, not ours, or not what it claims to be. */
  static open({ name, nonce }: LocalOffer): IncomingPayloads | undefined {
    if (!NAME.test(name)) return undefined;
    let file: number | undefined;
    try {
      file = openSync(join(FOLDER, name), constants.O_RDONLY | constants.O_NOFOLLOW);
      const { uid } = fstatSync(file);
      const found = Buffer.alloc(NONCE_BYTES);
      const isOurs = process.getuid === undefined || uid === process.getuid();
      if (
        isOurs &&
        readSync(file, found, 0, NONCE_BYTES, 0) === NONCE_BYTES &&
        found.toString('hex') === nonce
      ) {
        return new IncomingPayloads(file);
      }
    } catch {
      // Another machine or another user: the offer is declined, payloads travel inline.
    }
    if (file !== undefined) closeSync(file);
    return undefined;
  }

  /** Fills `target` from `offset`; false when the file is shorter. */
  read(offset: number, target: Uint8Array): boolean {
    return readSync(this.#file, target, 0, target.length, offset) === target.length;
  }

  close(): void {
    closeSync(this.#file);
  }
}
