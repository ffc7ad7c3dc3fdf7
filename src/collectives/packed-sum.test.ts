import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { mostPackedBytes, packSum, unpackSum } from './packed-sum.ts';

const LARGEST = 2 ** 31 - 1;

/** Sums of a few blocks, whose elements share zero bits below and above. */
const sums = fc
  .record({
    length: fc.integer({ min: 0, max: 700 }),
    seed: fc.integer({ min: 0, max: 1000 }),
    limit: fc.constantFrom(0, 1, 127, 128, 2 ** 15, 2 ** 30, LARGEST),
    shift: fc.integer({ min: 0, max: 31 }),
  })
  .map(({ length, seed, limit, shift }) =>
    Int32Array.from({ length }, (_, i) => {
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

describe('unpackSum', () => {
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
