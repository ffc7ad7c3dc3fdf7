/**
 * PNG files before a decoder sees them: only the chunks that pixels need, and no more of them than
 * the header promises.
 *
 * Source: PNG specification, third edition, 5 (chunks), 8 (interlacing), 11.2 (critical chunks).
 */
import { crc32, inflateSync } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import { shortageOf } from '../../base/shortage.ts';

/** What a PNG says of its pixels. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits of a channel, or of an index into the palette. */
  readonly depth: number;
  readonly channels: number;
  readonly isInterlaced: boolean;
}

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const HEADER_BYTES = 13;
const MAX_PALETTE_BYTES = 3 * 256;
/** Channels by colour type: grey, colour, palette, grey and colour with transparency. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** First column and row of each pass of an interlaced image, and the steps between. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** The header of a PNG file. Throws DataError when it does not begin with a usable one. */
export function readPngHeader(content: Buffer): PngHeader {
  const [first] = chunksOf(content);
  if (first?.type !== 'IHDR' || first.data.length !== HEADER_BYTES)
    throw new DataError('expected a header (IHDR) first, found none');
  const { data } = first;
  const colourType = data[9] ?? 0;
  const channels = CHANNELS[colourType];
  if (channels === undefined) throw new DataError(`there is no colour type ${colourType}`);
  return {
    width: data.readUInt32BE(0),
    height: data.readUInt32BE(4),
    depth: data[8] ?? 0,
    channels,
    isInterlaced: data[12] === 1,
  };
}

/**
 * The same image with header, palette and pixels and nothing else: no colour profile, no text, no
 * transparency, which would each be unpacked without a limit.
 *
 * Throws: DataError when the pixels take another number of bytes than the header promises. No more
 *         than these is ever unpacked.
 */
export function withoutExtras(content: Buffer, header: PngHeader): Buffer {
  const chunks = [...chunksOf(content)];
  const packed = chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data);
  checkPixels(Buffer.concat(packed), pixelBytes(header));
  const palette = chunks.find(({ type }) => type === 'PLTE');
  if (palette !== undefined && palette.data.length > MAX_PALETTE_BYTES)
    throw new DataError(`expected a palette of at most 256 colours, found more`);
  const kept = chunks.filter((chunk) => chunk === chunks[0] || chunk === palette);
  return Buffer.concat([
    SIGNATURE,
    ...kept.flatMap(chunkBytes),
    ...chunkBytes({ type: 'IDAT', data: Buffer.concat(packed) }),
    ...chunkBytes({ type: 'IEND', data: Buffer.alloc(0) }),
  ]);
}

/** The chunks up to the end of the image, or of the file. */
function* chunksOf(content: Buffer): Generator<Chunk, void> {
  if (!content.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new DataError('expected the signature of PNG, found other bytes');
  let at = SIGNATURE.length;
  while (at + 12 <= content.length) {
    const end = at + 8 + content.readUInt32BE(at);
    const type = content.toString('latin1', at + 4, at + 8);
    if (type === 'IEND') return;
    if (end + 4 > content.length)
      throw new DataError(`chunk ${JSON.stringify(type)} is cut off. The file is truncated.`);
    yield { type, data: content.subarray(at + 8, end) };
    at = end + 4;
  }
}

function chunkBytes({ type, data }: Chunk): Buffer[] {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length);
  head.write(type, 4, 'latin1');
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(data, crc32(head.subarray(4))));
  return [head, data, checksum];
}

/** Bytes of the pixels when unpacked: lines with a filter byte each. */
function pixelBytes({ width, height, depth, channels, isInterlaced }: PngHeader): number {
  const passes = isInterlaced ? PASSES : ([[0, 0, 1, 1]] as const);
  return passes.reduce((sum, [left, top, across, down]) => {
    const columns = Math.ceil(Math.max(0, width - left) / across);
    const lines = Math.ceil(Math.max(0, height - top) / down);
    const lineBytes = columns === 0 ? 0 : 1 + Math.ceil((columns * channels * depth) / 8);
    return sum + lines * lineBytes;
  }, 0);
}

function checkPixels(packed: Buffer, expected: number): void {
  let found: number | string;
  try {
    found = inflateSync(packed, { maxOutputLength: expected }).length;
  } catch (error) {
    if (shortageOf(error) !== undefined) throw error;
    const isMore = error instanceof RangeError && 'code' in error;
    if (!isMore) throw new DataError(`its pixels cannot be unpacked: ${messageOf(error)}`);
    found = 'more';
  }
  if (found !== expected)
    throw new DataError(`expected ${expected} bytes of pixels as its header says, found ${found}`);
}
