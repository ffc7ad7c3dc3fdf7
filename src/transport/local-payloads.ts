/**
 * Large payloads between processes of one machine go through a file in memory instead of the
 * socket: no system call per 64 KiB, no garbage, and a payload for many is written once. The frames
 * themselves, and with them order, ends and errors, stay on the socket.
 *
 * A sender offers its file (offered-file.ts). Until the offer is accepted, and whenever no slot is
 * free, payloads travel inline.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { ProtocolError } from '../base/errors.ts';
import type { LinkMessage, LocalOffer } from './frame.ts';
import { createFile, isOffer, type OfferedFile, openOffered } from './offered-file.ts';

/** The smallest payload that goes through the file: for less it is not worth it. */
export const MIN_LOCAL_BYTES: number = 64 << 10;
/** The largest one: states of larger models are rare, and the memory is worth more. */
export const MAX_LOCAL_BYTES: number = 1 << 30;
const MAX_SLOTS = 16;
const PAGE = 4096;
/** All slots, as large as they can be. */
const MAX_FILE_BYTES = PAGE + MAX_SLOTS * MAX_LOCAL_BYTES;

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
  #file: OfferedFile | undefined;
  #isClosed = false;

  /** How to find the file; makes it on first use. Undefined where that cannot be done. */
  offer(): LocalOffer | undefined {
    if (this.#isClosed) return undefined;
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

/** One connection's use of outboxes: its own side's, and the other side's. */
export class LocalPayloads {
  readonly #outbox: Outbox;
  readonly #tell: (message: LinkMessage) => void;
  readonly #isHere: boolean;
  readonly #announced = new Map<number, LocalPlace>();
  #answer: 'none' | 'asked' | 'accepted' | 'declined' = 'none';
  #wasOffered = false;
  #incoming: number | undefined;

  /**
   * `tell` sends a message to the other transport. Unless `isHere`, as the other end is reached, no
   * file is offered, and none opened. The two ends need not agree: behind a forwarded port one may
   * see this machine and the other a network.
   */
  constructor(outbox: Outbox, tell: (message: LinkMessage) => void, isHere: boolean) {
    this.#outbox = outbox;
    this.#tell = tell;
    this.#isHere = isHere;
  }

  /** Whether large payloads can go this way; the first question makes the offer. */
  isOpen(): boolean {
    if (!this.#isHere) return false;
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
    if (this.#isHere)
      this.#incoming = openOffered(offer, { maxBytes: MAX_FILE_BYTES, isWritable: false });
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
