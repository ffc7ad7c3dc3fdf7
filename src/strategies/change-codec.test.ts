import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../base/random.ts';
import { keepLargest, roundToInt8 } from './change-codec.ts';

const TENSORS = [
  { offset: 0, length: 40 },
  { offset: 48, length: 16 },
];
const LENGTH = 64;

/** Small numbers in the first tensor, large ones in the second, one between them. */
function sampleChange(): Float32Array {
  const words = new RandomWords(5, 'probe');
  const change = Float32Array.from({ length: LENGTH }, (_, i) => words.uniform(i) - 0.5);
  for (const i of change.keys()) change[i] = change[i]! * (i < 40 ? 1e-3 : 70);
  return change;
}

function rounded(seed: number, shard = 0): Float32Array {
  const change = sampleChange();
  roundToInt8(change, TENSORS, new RandomWords(seed, 'compress', 3, shard));
  return change;
}

describe('keepLargest', () => {
  /** The same by sorting. */
  function sorted(change: Float32Array, part: number): Float32Array {
    const kept = change.slice();
    for (const { offset, length } of TENSORS) {
      const order = Array.from({ length }, (_, i) => offset + i).sort(
        (a, b) => Math.abs(change[b]!) - Math.abs(change[a]!) || a - b,
      );
      for (const i of order.slice(Math.ceil(part * length))) kept[i] = 0;
    }
    return kept;
  }

  test('keeps what sorting would, in each tensor, the first of those that are as large', () => {
    for (const part of [1e-9, 0.02, 0.1, 0.5, 0.999, 1])
      for (const digits of [1, 3, 30]) {
        // Few digits, many ties; signs by turns.
        const change = sampleChange().map((value) => Math.round(value * 2 ** digits) / 2 ** digits);
        const kept = change.slice();

        keepLargest(kept, TENSORS, part);

        assert.deepEqual(kept, sorted(change, part), `part ${part}, ${digits} digits`);
      }
  });

  test('keeps subnormal numbers by size, all zeros as they are, and what is not finite', () => {
    const change = new Float32Array(LENGTH);
    change.set([2 ** -149, -(2 ** -148), 0, 2 ** -147], 48);
    change[7] = -Infinity;
    change[9] = NaN;

    keepLargest(change, TENSORS, 2 / 40);

    assert.deepEqual([...change.subarray(48, 52)], [0, 0, 0, 2 ** -147]);
    assert.deepEqual([change[7], change[9]], [-Infinity, NaN]);
    assert.equal(change.filter((value) => value !== 0).length, 3);
  });
});

describe('roundToInt8', () => {
  test('leaves whole numbers from -127 to 127 times a power of two for each tensor', () => {
    const change = rounded(1);

    for (const { offset, length } of TENSORS) {
      const elements = change.subarray(offset, offset + length);
      const largest = Math.max(
        ...sampleChange()
          .subarray(offset, offset + length)
          .map(Math.abs),
      );
      // The finest power of two of which 127 reach the largest element.
      const unit = 2 ** Math.ceil(Math.log2(largest / 127));
      for (const element of elements) {
        assert.ok(Number.isInteger(element / unit), `${element} in units of ${unit}`);
        assert.ok(Math.abs(element / unit) <= 127);
      }
    }
    assert.deepEqual(change.subarray(40, 48), sampleChange().subarray(40, 48), 'no tensor');
  });

  test('has the mean of what it rounds', () => {
    const count = 4000;
    const sums = new Float64Array(LENGTH);
    for (let seed = 0; seed < count; seed++)
      for (const [i, value] of rounded(seed).entries()) sums[i]! += value;

    const change = sampleChange();
    for (const { offset, length } of TENSORS)
      for (let i = offset; i < offset + length; i++) {
        const unit = (i < 40 ? 2 ** -17 : 2 ** -1) * 1;
        // Five deviations of a mean whose terms lie within one unit.
        const allowed = (5 * unit * 0.5) / Math.sqrt(count);
        assert.ok(Math.abs(sums[i]! / count - change[i]!) < allowed, `element ${i}`);
      }
  });

  test('gives the same for the same seed, round and shard, and other numbers for others', () => {
    assert.deepEqual(rounded(1), rounded(1));
    assert.notDeepEqual(rounded(1), rounded(2));
    assert.notDeepEqual(rounded(1, 0), rounded(1, 1));
  });

  test('leaves what is not finite to be found, and zeros as they are', () => {
    const change = sampleChange().fill(0, 0, 40);
    change[50] = NaN;

    roundToInt8(change, TENSORS, new RandomWords(1, 'compress'));

    assert.ok(change.subarray(0, 40).every((value) => value === 0));
    assert.ok(Number.isNaN(change[50]));
  });
});
