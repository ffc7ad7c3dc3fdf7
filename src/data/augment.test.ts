import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createBatchFiller } from './batches.ts';
import { AS_STORED } from './dataset.ts';
import type { Augmentation, Dataset } from './dataset.ts';
import { makeDataset } from './dataset-digest.ts';

const SIZE = 6;
const PIXELS = 2 * SIZE * SIZE;

/**
 * Images of two channels without zeros, every pixel of an image another; one in 64 images repeats.
 */
function images(sampleCount: number, augmentation?: Augmentation): Dataset {
  const x = new Uint8Array(new SharedArrayBuffer(sampleCount * PIXELS));
  x.forEach((_, i) => (x[i] = 1 + (((i % PIXELS) + 3 * Math.floor(i / PIXELS)) % 200)));
  const y = new Int32Array(new SharedArrayBuffer(4 * sampleCount));
  return {
    ...makeDataset({
      name: 'images',
      sampleCount,
      features: [2, SIZE, SIZE],
      target: { kind: 'classification', classes: 2 },
      x,
      y,
      normalisation: AS_STORED,
    }),
    ...(augmentation && { augmentation }),
  };
}

/** The samples in natural order as one batch, augmented for this epoch. */
function batch(dataset: Dataset, epoch: number | undefined, seed = 7): Uint8Array[] {
  const { sampleCount } = dataset;
  const x = new Uint8Array(sampleCount * PIXELS).fill(99);
  const y = new Int32Array(sampleCount);
  const filler = createBatchFiller(dataset, { x, y, sampleWeight: new Float32Array(sampleCount) });
  filler.fill(undefined, 0, sampleCount, epoch === undefined ? undefined : { seed, epoch });
  return Array.from({ length: sampleCount }, (_, i) => x.subarray(i * PIXELS, (i + 1) * PIXELS));
}

/** `image` moved and mirrored, in the plainest way. */
function variant(image: Uint8Array, down: number, right: number, isFlipped: boolean): Uint8Array {
  const pixel = (channel: number, row: number, column: number): number =>
    row >= 0 && row < SIZE && column >= 0 && column < SIZE
      ? image[(channel * SIZE + row) * SIZE + column]!
      : 0;
  return Uint8Array.from({ length: PIXELS }, (_, i) => {
    const column = i % SIZE;
    const row = Math.floor(i / SIZE) % SIZE;
    const channel = Math.floor(i / (SIZE * SIZE));
    return pixel(channel, row + down, (isFlipped ? SIZE - 1 - column : column) + right);
  });
}

/** The ways to get `made` from `image` by moving it by at most `reach` pixels, and mirroring it. */
function waysTo(made: Uint8Array, image: Uint8Array, reach: number): string[] {
  const moves = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  return moves
    .flatMap((down) =>
      moves.flatMap((right) => [true, false].map((isFlipped) => ({ down, right, isFlipped }))),
    )
    .filter(
      ({ down, right, isFlipped }) =>
        Buffer.compare(variant(image, down, right, isFlipped), made) === 0,
    )
    .map(({ down, right, isFlipped }) => `${down} ${right} ${isFlipped}`);
}

describe('createBatchFiller with an augmentation', () => {
  test('gives images moved within the padding, mirrored or not, in every way there is', () => {
    const dataset = images(400, { cropPadding: 1, flips: true });
    const plain = batch(dataset, undefined);

    const ways = batch(dataset, 0).map((made, i) => waysTo(made, plain[i]!, 1));

    assert.ok(ways.every((found) => found.length === 1));
    const counts = new Map<string, number>();
    for (const [way] of ways) counts.set(way!, (counts.get(way!) ?? 0) + 1);
    assert.equal(counts.size, 18);
    const flips = ways.filter(([way]) => way!.endsWith('true')).length;
    assert.ok(flips > 160 && flips < 240, `${flips} of 400 mirrored`);
  });

  test('depends on seed, epoch and sample only, not on the place in the batch or the order', () => {
    const dataset = images(40, { cropPadding: 2, flips: true });
    const all = batch(dataset, 3);
    const x = new Uint8Array(2 * PIXELS);
    const filler = createBatchFiller(dataset, {
      x,
      y: new Int32Array(2),
      sampleWeight: new Float32Array(2),
    });

    filler.fill(Uint32Array.of(5, 31, 8), 1, 2, { seed: 7, epoch: 3 });

    assert.deepEqual([...x], [...all[31]!, ...all[8]!]);
    assert.notDeepEqual(batch(dataset, 4), all);
    assert.notDeepEqual(batch(dataset, 3, 8), all);
  });

  test(
    'leaves images as they are without a draw, without flips and padding, and when nothing is ' +
      'asked for',
    () => {
      const asked = images(20, { cropPadding: 2, flips: true });
      const stored = batch(images(20), undefined);

      assert.deepEqual(batch(asked, undefined), stored);
      assert.deepEqual(batch(images(20, { cropPadding: 0, flips: false }), 0), stored);
      assert.deepEqual(batch(images(20), 0), stored);
    },
  );

  test('refuses samples that are no images', () => {
    const flat: Dataset = { ...images(2, { cropPadding: 1, flips: true }), features: [PIXELS] };

    assert.throws(() => batch(flat, 0), { code: 'INTERNAL' });
  });
});
