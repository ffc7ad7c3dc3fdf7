/**
 * The frame: 28 bytes of prefix, a JSON header, a raw payload.
 *
 *   0  magic    u32  "LKST"
 *   4  layout   u8   2
 *   5  kind     u8   0: a frame of the connection's owner
 *                    1: the same, its payload lies in the sender's file (local-payloads.ts);
 *                       the header is { offset, header }
 *                    2: between the two transports, see LinkMessage
 *   6  reserved 2 bytes, zero
 *   8  header   u32  length in bytes
 *  12  payload  u32  length in bytes
 *  16  CRC-32   u32  of the header
 *  20  CRC-32   u32  of the payload; 0 when that does not travel on the socket
 *  24  CRC-32   u32  of the 24 bytes before
 *
 * All integers little-endian. Lengths are checked against the connection's limits before anything
 * is allocated. TCP's own checksum has 16 bits, and a network card or a proxy may compute it anew
 * over bytes that it has damaged. So nothing is used here before its checksum agrees: a frame
 * arrives as it was sent, or the connection ends.
 */
import { crc32 } from 'node:zlib';

/** Bytes before the header, the same for all frames. */
export const FRAME_PREFIX_BYTES = 28;
/** Offset in the prefix of the checksum of the header. */
export const HEADER_CRC = 16;
/** Offset in the prefix of the checksum of the payload. */
export const PAYLOAD_CRC = 20;
/** Offset in the prefix of its own checksum, which is over everything before. */
export const PREFIX_CRC = 24;
/** The first four bytes of every frame: "LKST" read as a little-endian u32. */
export const MAGIC = 0x54534b4c;
/** The version of the frame's layout; ends of different versions refuse each other. */
export const LAYOUT = 2;
/** The first byte of every frame; no other interface that shares our ports begins with it. */
export const FIRST_FRAME_BYTE: number = MAGIC & 0xff;

const encoder = new TextEncoder();

/** Numbers of the kinds of frames. */
export const FRAME_KINDS = { inline: 0, local: 1, link: 2 } as const;
/** The name of a kind of frame. */
export type FrameKind = keyof typeof FRAME_KINDS;

/** A file for payloads that the sender offers to the other end, on the same machine. */
export interface LocalOffer {
  readonly processId: number;
  readonly descriptor: number;
  /** What the file begins with, in hex: who finds it there has found the right file. */
  readonly nonce: string;
}

/** What two transports tell each other: about files for payloads, and how the connection ends. */
export interface LinkMessage {
  readonly offer?: LocalOffer;
  /** Answers an offer. */
  readonly accepted?: boolean;
  /** The payload at this offset has been read. */
  readonly free?: number;
  /** The sender could not go on reading, and why; it closes the connection. */
  readonly failed?: string;
}

/** What a frame says of its payload. */
export interface PayloadFacts {
  readonly byteLength: number;
  /** CRC-32 of the payload; 0 for one that does not travel on the socket. */
  readonly checksum: number;
}

/** What a frame without a payload says of it. */
export const NO_PAYLOAD: PayloadFacts = { byteLength: 0, checksum: 0 };

/** What a frame says of a payload that follows on the socket. */
export function payloadFactsOf(payload: Uint8Array): PayloadFacts {
  return { byteLength: payload.length, checksum: crc32(payload) };
}

/** The prefix and header of a frame with such a payload, which follows if the kind is `inline`. */
export function encodeFrameHead(
  header: object,
  payload: PayloadFacts = NO_PAYLOAD,
  kind: FrameKind = 'inline',
): Uint8Array {
  const json = encoder.encode(JSON.stringify(header));
  const head = new Uint8Array(FRAME_PREFIX_BYTES + json.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, LAYOUT);
  view.setUint8(5, FRAME_KINDS[kind]);
  view.setUint32(8, json.length, true);
  view.setUint32(12, payload.byteLength, true);
  view.setUint32(HEADER_CRC, crc32(json), true);
  view.setUint32(PAYLOAD_CRC, payload.checksum, true);
  view.setUint32(PREFIX_CRC, crc32(head.subarray(0, PREFIX_CRC)), true);
  head.set(json, FRAME_PREFIX_BYTES);
  return head;
}
