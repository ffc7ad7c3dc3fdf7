import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { mostPackedBytes, packSum, unpackSum } from './packed-sum.ts';

const LARGEST = 2 ** 31 - 1;

/** Sums of a few blocks, whose elements share zero bits below and above, or are mostly zeros. */
const sums = fc
  .record({
    length: fc.integer({ min: 0, max: 700 }),
    seed: fc.integer({ min: 0, max: 1000 }),
    limit: fc.constantFrom(0, 1, 127, 128, 2 ** 15, 2 ** 30, LARGEST),
    shift: fc.integer({ min: 0, max: 31 }),
    every: fc.constantFrom(1, 2, 3, 10, 100, 255, 256),
  })
  .map(({ length, seed, limit, shift, every }) =>
    Int32Array.from({ length }, (_, i) => {
      if ((i + seed) % every !== 0) return 0;
      const fraction = ((i + seed) * 0.618033988749895) % 1;
      return Math.round((2 * fraction - 1) * limit) << shift;
    }),
  );

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function unpacked(packed: Uint8Array, length: number): Int32Array | undefined {
  const values = new Int32Array(length).fill(-1);
  return unpackSum(packed, bytesOf(values)) ? values : undefined;
}

describe('packSum', () => {
  test('gives what unpackSum makes the same sum of, in no more bytes than are promised', () => {
    fc.assert(
      fc.property(sums, (values) => {
        const packed = packSum(bytesOf(values));

        assert.ok(packed.length <= mostPackedBytes(values.length));
        assert.deepEqual(unpacked(packed, values.length), values);
      }),
    );
  });

  test('keeps the ends of int32, and next to them', () => {
    const values = Int32Array.of(-(2 ** 31), LARGEST, 0, -1, 1, -(2 ** 31) + 1);

    assert.deepEqual(unpacked(packSum(bytesOf(values)), 6), values);
    for (const value of values) {
      const one = Int32Array.of(value);
      assert.deepEqual(unpacked(packSum(bytesOf(one)), 1), one);
    }
  });

  test('takes a byte per element of what was rounded to int8, and nothing for zeros', () => {
    const change = Int32Array.from({ length: 512 }, (_, i) => ((i % 255) - 127) << 20);

    assert.equal(packSum(bytesOf(change)).length, 2 * (2 + 256));
    assert.equal(packSum(bytesOf(new Int32Array(512))).length, 2 * 2);
    const small = change.map((value) => (value >> 24) << 20);
    assert.equal(packSum(bytesOf(small)).length, 2 * (2 + 128), 'four bits each');
  });
});

describe('packSum of few elements', () => {
  test('takes two bytes for each of them and three for a block', () => {
    const sparse = new Int32Array(512);
    for (const [i, value] of [5, -127, 127].entries()) sparse[10 + 150 * i] = value << 20;

    assert.equal(packSum(bytesOf(sparse)).length, 2 * 3 + 3 * 2);
    assert.deepEqual(unpacked(packSum(bytesOf(sparse)), 512), sparse);
  });
});

describe('unpackSum', () => {
  test('refuses places that are doubled, fall, or lie outside, and counts that cannot be', () => {
    // The last block has 44 elements, of which two follow: 5 and -3 at places 7 and 43.
    const block = [128, 4, 2, 7, 43, 0xd5];
    const zeros = [0, 0];
    const sparse = (...bytes: number[]): Int32Array | undefined =>
      unpacked(Uint8Array.of(...zeros, ...bytes), 300);

    const right = new Int32Array(300);
    right.set([5], 256 + 7);
    right.set([-3], 256 + 43);
    assert.deepEqual(sparse(...block), right);
    assert.equal(sparse(128, 4, 2, 7, 7, 0xd5), undefined, 'doubled');
    assert.equal(sparse(128, 4, 2, 43, 7, 0xd5), undefined, 'falling');
    assert.equal(sparse(128, 4, 2, 7, 44, 0xd5), undefined, 'outside');
    assert.equal(sparse(128, 4, 0), undefined, 'none');
    assert.equal(sparse(128, 4, 45, ...Array.from({ length: 45 }, (_, i) => i)), undefined, 'more');
    assert.equal(sparse(128, 4, 2, 7, 43), undefined, 'no numbers');
    assert.equal(sparse(128, 4, 2, 7), undefined, 'no places');
    assert.equal(sparse(128, 4), undefined, 'no count');
    assert.equal(sparse(159, 2, 1, 7, 1), undefined, 'shifted out of 32 bits');
    assert.equal(sparse(...block, 0), undefined, 'too long');
  });

  test('gives numbers or refuses, whatever bytes come', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.integer({ min: 0, max: 300 }),
        (bytes, n) => {
          const values = unpacked(bytes, n);
          // What was read is a sum: it is packed again in no more bytes than came.
          if (values !== undefined) assert.ok(packSum(bytesOf(values)).length <= bytes.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('refuses what is too short, too long, or no packed sum', () => {
    const packed = packSum(bytesOf(Int32Array.from({ length: 300 }, (_, i) => i - 150)));
    const broken = (position: number, value: number): Uint8Array => {
      const copy = packed.slice();
      copy[position] = value;
      return copy;
    };

    assert.equal(unpacked(packed.subarray(0, packed.length - 1), 300), undefined);
    assert.equal(unpacked(Uint8Array.of(...packed, 0), 300), undefined);
    assert.equal(unpacked(new Uint8Array(0), 300), undefined);
    assert.equal(unpacked(broken(1, 33), 300), undefined, 'a width above 32 bits');
    assert.equal(unpacked(broken(0, 31), 300), undefined, 'shifted out of 32 bits');
    assert.equal(unpacked(packed, 301), undefined);
  });
});
