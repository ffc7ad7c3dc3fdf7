import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ShapeError } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import { Arena } from './arena.ts';
import { loadKernels } from './kernels.ts';
import {
  type ArenaLayout,
  joinBlocks,
  makeArenaLayout,
  makeBlocks,
  packRegion,
  type ParameterShape,
  sliceBlocks,
  sumBlocksByTensor,
  unpackRegion,
} from './layout.ts';

const NETWORK: readonly ParameterShape[] = [
  { name: 'hidden.weight', shape: [784, 128] },
  { name: 'hidden.bias', shape: [128] },
  { name: 'output.weight', shape: [128, 10] },
  { name: 'output.bias', shape: [10] },
  { name: 'temperature', shape: [] },
];

const someLayouts: fc.Arbitrary<ArenaLayout> = fc
  .array(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 3 }), { maxLength: 9 })
  .map((shapes) => makeArenaLayout(shapes.map((shape, i) => ({ name: `p${i}`, shape }))));

describe('makeArenaLayout', () => {
  test('starts every tensor at a multiple of 16 elements, in the given order', () => {
    const layout = makeArenaLayout(NETWORK);

    assert.deepEqual(
      layout.tensors.map(({ name, offset, length, paddedLength }) => [
        name,
        offset,
        length,
        paddedLength,
      ]),
      [
        ['hidden.weight', 0, 100352, 100352],
        ['hidden.bias', 100352, 128, 128],
        ['output.weight', 100480, 1280, 1280],
        ['output.bias', 101760, 10, 16],
        ['temperature', 101776, 1, 16],
      ],
    );
    assert.equal(layout.length, 101771);
    assert.equal(layout.paddedLength, 101792);
  });

  test('refuses dimensions that are not positive integers, and names that come twice', () => {
    assert.throws(() => makeArenaLayout([{ name: 'w', shape: [2, 0] }]), ShapeError);
    assert.throws(() => makeArenaLayout([{ name: 'w', shape: [1.5] }]), ShapeError);
    assert.throws(
      () =>
        makeArenaLayout([
          { name: 'w', shape: [1] },
          { name: 'w', shape: [2] },
        ]),
      ShapeError,
    );
  });
});

describe('packRegion', () => {
  test('and unpackRegion give back every element and zero padding', () => {
    fc.assert(
      fc.property(someLayouts, (layout) => {
        const packed = Float32Array.from({ length: layout.length }, (_, i) => i + 1);
        const region = new Float32Array(layout.paddedLength).fill(-1);

        unpackRegion(packed, layout, region);

        assert.deepEqual(packRegion(region, layout), packed);
        assert.equal(region.filter((x) => x === 0).length, layout.paddedLength - layout.length);
      }),
    );
  });

  test('and unpackRegion make the whole of slices, and touch nothing outside of them', () => {
    fc.assert(
      fc.property(someLayouts, fc.integer({ min: 1, max: 5 }), (layout, parts) => {
        const packed = Float32Array.from({ length: layout.length }, (_, i) => i + 1);
        const whole = new Float32Array(layout.paddedLength);
        unpackRegion(packed, layout, whole);
        const together = new Float32Array(layout.length);
        for (const slice of sliceBlocks(makeBlocks(layout, 16), parts)) {
          const { offset, length } = slice;
          const region = new Float32Array(layout.paddedLength).fill(-1);

          unpackRegion(packed, layout, region, slice);
          packRegion(region, layout, together, slice);

          const expected = new Float32Array(layout.paddedLength).fill(-1);
          expected.set(whole.subarray(offset, offset + length), offset);
          assert.deepEqual(region, expected);
        }
        assert.deepEqual(together, packed);
      }),
    );
  });
});

describe('sliceBlocks', () => {
  test('gives parts of whole blocks that cover the region once, in order, evenly', () => {
    fc.assert(
      fc.property(
        someLayouts,
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(16, 64, 4096),
        (layout, parts, size) => {
          const blocks = makeBlocks(layout, size);
          const ranges = sliceBlocks(blocks, parts);

          assert.equal(ranges.length, parts);
          let [index, offset] = [0, 0];
          for (const range of ranges) {
            assert.deepEqual([range.first, range.offset], [index, offset]);
            for (const block of blocks.slice(range.first, range.end)) {
              const { offset: start, paddedLength } = layout.tensors[block.tensor]!;
              assert.equal(block.offset, offset);
              assert.ok(block.length > 0 && block.length <= size && block.length % 16 === 0);
              assert.ok(
                block.offset >= start && block.offset + block.length <= start + paddedLength,
              );
              offset += block.length;
            }
            index = range.end;
            assert.equal(range.length, offset - range.offset);
            assert.ok(Math.abs(range.length - layout.paddedLength / parts) <= size);
          }
          assert.deepEqual([index, offset], [blocks.length, layout.paddedLength]);
        },
      ),
    );
  });
});

describe('joinBlocks', () => {
  test('gives one stretch per tensor of the range', () => {
    const blocks = makeBlocks(makeArenaLayout(NETWORK), 4096);
    const [, second] = sliceBlocks(blocks, 2);

    assert.deepEqual(joinBlocks(blocks, second!), [
      { tensor: 0, offset: 12 * 4096, length: 100352 - 12 * 4096 },
      { tensor: 1, offset: 100352, length: 128 },
      { tensor: 2, offset: 100480, length: 1280 },
      { tensor: 3, offset: 101760, length: 16 },
      { tensor: 4, offset: 101776, length: 16 },
    ]);
  });
});

describe('sumBlocksByTensor', () => {
  test('gives squared norms with the same bits for 1 to 7 slices', () => {
    const layout = makeArenaLayout(NETWORK);
    const arena = new Arena([{ name: 'total', byteLength: 4 * layout.paddedLength }]);
    const kernels = loadKernels(arena.memory, false);
    const words = new RandomWords(5, 'synthetic');
    const total = arena.int32('total');
    for (let i = 0; i < total.length; i++) total[i] = words.word(i);
    const blocks = makeBlocks(layout);

    const norms = [1, 2, 3, 4, 5, 6, 7].map((parts) => {
      const sums = new Float64Array(blocks.length);
      for (const { first, end } of sliceBlocks(blocks, parts).reverse()) {
        for (let i = first; i < end; i++) {
          const { offset, length } = blocks[i]!;
          sums[i] = kernels.sumOfSquares(arena.byteOffset('total', offset), length);
        }
      }
      return sumBlocksByTensor(layout, blocks, sums);
    });

    for (const norm of norms) assert.deepEqual(norm, norms[0]);
    const direct = total.slice(0, 100352).reduce((sum, x) => sum + x * x, 0);
    assert.ok(Math.abs(norms[0]![0]! / direct - 1) < 1e-12);
  });
});
