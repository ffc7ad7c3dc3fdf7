/**
 * Random variants of training images: a function of (seed, epoch, sample) alone, whoever computes.
 */
import { invariant } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import type { Augmentation } from './dataset.ts';

/** What an augmentation is drawn from, besides the sample's index. */
export interface AugmentationDraw {
  readonly seed: number;
  /** Number of the epoch, from 0. */
  readonly epoch: number;
}

type Pixels = Uint8Array | Float32Array | Int32Array;

/**
 * Writes a variant of image `sample` of `source` [N, C, H, W] as `row` of `target` [B, C, H, W].
 */
export type ImageAugmenter = (source: Pixels, sample: number, target: Pixels, row: number) => void;

/**
 * Words drawn for each sample, one block of Philox: how far down, how far right, whether mirrored.
 */
const WORDS_PER_SAMPLE = 4;

/**
 * Makes augmenters of images of shape `features` = [C, H, W], one for each draw.
 *
 * The image is surrounded by `cropPadding` zeros (stored values, before normalisation), a window of
 * its own size is cut from anywhere, and every other window is mirrored: RandomCrop and
 * RandomHorizontalFlip of torchvision.
 * Throws: INTERNAL when `features` is no image.
 */
export function createImageAugmenter(
  { cropPadding, flips }: Augmentation,
  features: readonly number[],
): (draw: AugmentationDraw) => ImageAugmenter {
  const [channels = 0, height = 0, width = 0] = features;
  invariant(features.length === 3, 'augmented samples are images [channels, height, width]');
  const length = channels * height * width;
  const places = 2 * cropPadding + 1;
  return ({ seed, epoch }) => {
    const words = new RandomWords(seed, 'augment', epoch);
    return (source, sample, target, row) => {
      const at = WORDS_PER_SAMPLE * sample;
      const down = words.below(at, places) - cropPadding;
      const right = words.below(at + 1, places) - cropPadding;
      const isFlipped = flips && (words.word(at + 2) & 1) === 1;
      for (let line = 0; line < channels * height; line++) {
        const y = (line % height) + down;
        const to = row * length + line * width;
        const from = sample * length + (line + down) * width;
        if (y < 0 || y >= height) clear(target, to, width);
        else copyLine(source, from, target, to, width, right, isFlipped);
      }
    };
  };
}

function clear(target: Pixels, start: number, length: number): void {
  for (let i = 0; i < length; i++) target[start + i] = 0;
}

/**
 * One line of pixels, moved left by `right` pixels and then mirrored if `isFlipped`; zeros where
 * nothing moved in.
 */
function copyLine(
  source: Pixels,
  from: number,
  target: Pixels,
  to: number,
  width: number,
  right: number,
  isFlipped: boolean,
): void {
  const start = Math.max(0, -right);
  const end = Math.min(width, width - right);
  const last = to + width - 1;
  if (isFlipped)
    for (let i = start; i < end; i++) target[last - i] = source[from + right + i] as number;
  else for (let i = start; i < end; i++) target[to + i] = source[from + right + i] as number;
  clear(target, isFlipped ? last - start + 1 : to, start);
  clear(target, isFlipped ? to : to + end, width - end);
}
