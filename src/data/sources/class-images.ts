/** Images whose class can be seen and learned: for synthetic sets and archives, in any size. */
import { RandomWords } from '../../base/random.ts';

/** What the images look like; the same options give the same bytes on every machine. */
export interface ClassImageOptions {
  readonly seed: number;
  readonly classes: number;
  readonly channels: number;
  /** Height and width. */
  readonly size: number;
}

/**
 * Draws image `index` of split `split` (0 training, 1 test) into `target` [channels, size, size] at
 * `offset`; gives its label.
 */
export type ClassImagePainter = (
  split: 0 | 1,
  index: number,
  target: Uint8Array,
  offset: number,
) => number;

/** Colours of a class are fixed on a grid of this many places each way, and blend between them. */
const GRID = 4;

/** Largest noise added to a pixel, of 255. */
const NOISE = 48;

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = { colours: 16, train: 17, test: 18 };

/** Words of an image that are not noise: its label, how far it is moved each way, its contrast. */
const HEAD_WORDS = 4;

/**
 * Makes a painter. Each class has a pattern of soft colour patches; an image is the pattern of its
 * class, moved by up to an eighth (around edges), with a contrast from a half to one, plus noise.
 *
 * Only + - * / of float64 and whole numbers: the bits are the same on every machine.
 */
export function createClassImagePainter(options: ClassImageOptions): ClassImagePainter {
  const { seed, classes, channels, size } = options;
  const patterns = Array.from({ length: classes }, (_, label) => patternOf(options, label));
  const plane = size * size;
  const reach = Math.floor(size / 8);
  return (split, index, target, offset) => {
    const words = new RandomWords(seed, 'synthetic', split === 0 ? DRAWS.train : DRAWS.test, index);
    const label = words.below(0, classes);
    const down = words.below(1, 2 * reach + 1) - reach + size;
    const right = words.below(2, 2 * reach + 1) - reach + size;
    const contrast = 0.5 + words.uniform(3) / 2;
    const pattern = patterns[label] ?? new Float64Array(0);
    for (let at = 0; at < channels * plane; at += 4) {
      const noise = words.word(HEAD_WORDS + at / 4);
      for (let i = at; i < Math.min(at + 4, channels * plane); i++) {
        const y = (Math.floor((i % plane) / size) + down) % size;
        const x = ((i % size) + right) % size;
        const byte = ((noise >>> (8 * (i - at))) & 255) - 127.5;
        const colour = pattern[i - (i % plane) + y * size + x] ?? 0;
        const value = Math.floor(128 + contrast * colour + (byte * NOISE) / 127.5);
        target[offset + i] = Math.max(0, Math.min(255, value));
      }
    }
    return label;
  };
}

/**
 * Colours -128 .. 128 of one class, [channels, size, size]: bilinear between random ones on a grid
 * that closes on itself.
 */
function patternOf({ seed, channels, size }: ClassImageOptions, label: number): Float64Array {
  const words = new RandomWords(seed, 'synthetic', DRAWS.colours, label);
  const colourAt = (channel: number, row: number, column: number): number =>
    256 * words.uniform((channel * GRID + (row % GRID)) * GRID + (column % GRID)) - 128;
  const pattern = new Float64Array(channels * size * size);
  for (let i = 0; i < pattern.length; i++) {
    const channel = Math.floor(i / (size * size));
    const y = ((Math.floor(i / size) % size) * GRID) / size;
    const x = ((i % size) * GRID) / size;
    const [row, column] = [Math.floor(y), Math.floor(x)];
    const [low, left] = [y - row, x - column];
    const above =
      colourAt(channel, row, column) * (1 - left) + colourAt(channel, row, column + 1) * left;
    const below =
      colourAt(channel, row + 1, column) * (1 - left) +
      colourAt(channel, row + 1, column + 1) * left;
    pattern[i] = above * (1 - low) + below * low;
  }
  return pattern;
}
