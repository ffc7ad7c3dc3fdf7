/**
 * The random inputs of a training step: dropout masks, the same for a micro-batch whoever computes
 * it, however often.
 */
import type { Tensor } from 'onnxruntime-node';
import { PURPOSES } from '../../base/random.ts';
import type { Arena, RegionRequest } from '../../kernels/arena.ts';
import type { Kernels } from '../../kernels/kernels.ts';
import type { Job } from '../../protocol/messages.ts';
import { onnxRuntime } from '../onnx-runtime.ts';

/** Elements that the kernel draws at once: four blocks of four words. */
const DRAWN_TOGETHER = 16;
const WORDS_PER_BLOCK = 4;

function elementCountOf(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

function drawnLengthOf(shape: readonly number[]): number {
  return Math.ceil(elementCountOf(shape) / DRAWN_TOGETHER) * DRAWN_TOGETHER;
}

/** The arena regions of the masks, by their names. */
export function maskRegions({ masks }: Pick<Job, 'masks'>): RegionRequest[] {
  return masks.map(({ name, shape }) => ({ name, byteLength: 4 * drawnLengthOf(shape) }));
}

/** Views of the masks, by the training graph's names. */
export function maskTensors({ masks }: Pick<Job, 'masks'>, arena: Arena): Map<string, Tensor> {
  const { Tensor: TensorOf } = onnxRuntime();
  return new Map(
    masks.map(({ name, shape }) => {
      const view = arena.float32(name, { offset: 0, length: elementCountOf(shape) });
      return [name, new TensorOf('float32', view, shape)];
    }),
  );
}

/**
 * Draws all masks of one micro-batch: element i of a mask is 0 if word start + i of
 * `RandomWords(seed, 'dropout', step, microBatch)` is below rate * 2^32, else 1 / (1 - rate). The
 * first mask starts at word 0, each other behind the one before, at a multiple of 16.
 */
export function drawMasks(
  { masks, seed }: Pick<Job, 'masks' | 'seed'>,
  arena: Arena,
  kernels: Kernels,
  step: number,
  microBatch: number,
): void {
  let start = 0;
  for (const { name, shape, rate } of masks) {
    const length = drawnLengthOf(shape);
    kernels.randomMask(
      arena.byteOffset(name),
      length,
      seed,
      PURPOSES.dropout,
      step,
      microBatch,
      start / WORDS_PER_BLOCK,
      Math.floor(rate * 2 ** 32),
      1 / (1 - rate),
    );
    start += length;
  }
}
