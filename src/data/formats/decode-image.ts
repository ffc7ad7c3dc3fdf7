/** Image files as bytes in planes. */
import { decode as decodePng } from 'fast-png';
import jpeg from 'jpeg-js';
import { DataError, messageOf, ShortageError } from '../../base/errors.ts';
import { shortageOf } from '../../base/shortage.ts';
import { readPngHeader, withoutExtras } from './png-chunks.ts';

/** An image of bytes, [channels, height, width]. */
export interface Image {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8Array;
}

/** Endings of files that can be read. */
export const IMAGE_ENDINGS: readonly string[] = ['.png', '.jpg', '.jpeg'];

/** Largest image that is decoded, in millions of pixels, and the memory it may take. */
const MAX_MEGAPIXELS = 64;
const MAX_MEGABYTES = 512;

/** Each scan of a JPEG goes over the whole image, however short it is; usual are one to ten. */
const MAX_SCANS = 100;
const START_OF_SCAN = 0xda;

/**
 * The image in a PNG (8 or 16 bits per channel) or JPEG file. Grey becomes colour and colour grey
 * as `channels` asks for: 3, or 1 = (299 red + 587 green + 114 blue) / 1000. Transparency and the
 * orientation a camera notes are not used.
 *
 * The bits are the same on every machine: the decoders are JavaScript.
 * Throws: DataError naming `path`.
 */
export function decodeImage(content: Uint8Array, path: string, channels: 1 | 3): Image {
  try {
    const isPng = content[0] === 0x89 && content[1] === 0x50;
    const samples = isPng ? pngSamples(content) : jpegSamples(content);
    return toPlanes(samples, channels);
  } catch (error) {
    // Not the file's fault: it must not be left out as a bad one.
    const shortage = shortageOf(error);
    if (shortage !== undefined) throw new ShortageError(`reading ${path}: ${shortage}`);
    throw new DataError(
      `reading ${path}: expected a PNG or JPEG image: ${messageOf(error)}`,
      { path },
      { cause: error },
    );
  }
}

/**
 * Decoded samples, pixel by pixel: of each `step` the first is grey, or three are red, green, blue.
 */
interface Samples {
  readonly width: number;
  readonly height: number;
  readonly step: number;
  readonly isGrey: boolean;
  readonly byteAt: (index: number) => number;
}

function jpegSamples(content: Uint8Array): Samples {
  const scans = scanCount(content);
  if (scans > MAX_SCANS) throw new DataError(`expected at most ${MAX_SCANS} scans, found ${scans}`);
  const { width, height, data } = jpeg.decode(content, {
    useTArray: true,
    formatAsRGBA: true,
    maxResolutionInMP: MAX_MEGAPIXELS,
    maxMemoryUsageInMB: MAX_MEGABYTES,
  });
  return { width, height, step: 4, isGrey: false, byteAt: (index) => data[index] ?? 0 };
}

/** Markers that begin a scan; they cannot stand inside of one. */
function scanCount(content: Uint8Array): number {
  let count = 0;
  for (let at = content.indexOf(0xff); at !== -1; at = content.indexOf(0xff, at + 1))
    if (content[at + 1] === START_OF_SCAN) count++;
  return count;
}

function pngSamples(content: Uint8Array): Samples {
  const file = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const header = readPngHeader(file);
  const { width, height, depth, channels } = header;
  const pixels = width * height;
  if (pixels === 0 || pixels > MAX_MEGAPIXELS * 1e6)
    throw new DataError(`expected 1 to ${MAX_MEGAPIXELS} million pixels, found ${pixels}`);
  if (depth !== 8 && depth !== 16)
    throw new DataError(`expected 8 or 16 bits per channel, found ${depth}`);
  const { data, palette } = decodePng(withoutExtras(file, header));
  if (palette !== undefined)
    return {
      width,
      height,
      step: 3,
      isGrey: false,
      byteAt: (index) => palette[data[Math.floor(index / 3)] ?? 0]?.[index % 3] ?? 0,
    };
  const shift = depth - 8;
  return {
    width,
    height,
    step: channels,
    isGrey: channels < 3,
    byteAt: (index) => (data[index] ?? 0) >>> shift,
  };
}

function toPlanes({ width, height, step, isGrey, byteAt }: Samples, channels: 1 | 3): Image {
  const plane = width * height;
  const pixels = new Uint8Array(channels * plane);
  for (let i = 0; i < plane; i++) {
    const red = byteAt(i * step);
    const green = isGrey ? red : byteAt(i * step + 1);
    const blue = isGrey ? red : byteAt(i * step + 2);
    if (channels === 1) pixels[i] = Math.floor((299 * red + 587 * green + 114 * blue + 500) / 1000);
    else {
      pixels[i] = red;
      pixels[plane + i] = green;
      pixels[2 * plane + i] = blue;
    }
  }
  return { channels, height, width, pixels };
}

/**
 * The image in another size: each new pixel is the mean of the area it covers, weighted by how much
 * of each old one.
 */
export function resizeImage({ channels, height, width, pixels }: Image, size: number): Image {
  const resized = new Uint8Array(channels * size * size);
  for (let i = 0; i < resized.length; i++) {
    const top = (Math.floor((i % (size * size)) / size) * height) / size;
    const left = ((i % size) * width) / size;
    const plane = Math.floor(i / (size * size)) * height * width;
    let sum = 0;
    for (let y = Math.floor(top); y < Math.min(top + height / size, height); y++) {
      const tall = Math.min(y + 1, top + height / size) - Math.max(y, top);
      for (let x = Math.floor(left); x < Math.min(left + width / size, width); x++) {
        const wide = Math.min(x + 1, left + width / size) - Math.max(x, left);
        sum += tall * wide * (pixels[plane + y * width + x] ?? 0);
      }
    }
    resized[i] = Math.min(255, Math.floor((sum * size * size) / (height * width) + 0.5));
  }
  return { channels, height: size, width: size, pixels: resized };
}
