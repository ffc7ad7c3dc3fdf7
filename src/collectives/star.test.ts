import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_SUM_ELEMENTS, StarReducer, type Total } from './star.ts';

const ELEMENTS = 64;
const TOTAL_SLOTS = 12;

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function valuesOf(total: Total): Int32Array {
  return new Int32Array(total.bytes.slice().buffer);
}

/** A total of one contribution of ones times `value`. */
function reduceOne(reducer: StarReducer, value: number): Total {
  assert.equal(reducer.begin(), true);
  reducer.add(bytesOf(new Int32Array(ELEMENTS).fill(value)));
  return reducer.finish();
}

describe('StarReducer', () => {
  const someContribution = fc
    .array(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), {
      minLength: ELEMENTS,
      maxLength: ELEMENTS,
    })
    .map((values) => Int32Array.from(values));
  const someWay = fc.constantFrom('foreign', 'scratch');

  test('gives the int32 sum whatever the order and wherever the contributions lie', () => {
    const reducer = new StarReducer(ELEMENTS);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(someContribution, someWay, fc.nat()), { minLength: 1, maxLength: 8 }),
        (contributions) => {
          const expected = new Int32Array(ELEMENTS);
          for (const [values] of contributions)
            for (const [i, value] of values.entries()) expected[i]! += value;

          const inOrder = reduce(reducer, contributions);
          const reordered = reduce(
            reducer,
            [...contributions].sort((a, b) => a[2] - b[2]),
          );

          assert.deepEqual(inOrder, expected);
          assert.deepEqual(reordered, expected);
        },
      ),
    );
  });

  test('has room for the longest sums, and refuses longer ones', () => {
    const elements = MAX_SUM_ELEMENTS - (MAX_SUM_ELEMENTS % 16);
    const reducer = new StarReducer(elements); // memory that nobody touches costs nothing

    assert.equal(reducer.begin(), true);
    assert.equal(reducer.takeScratch()?.length, 4 * elements);
    assert.equal(reducer.takeScratch(), undefined);
    assert.throws(() => new StarReducer(elements + 16), /more than a star can reduce/);
  });

  function reduce(
    reducer: StarReducer,
    contributions: readonly (readonly [Int32Array, string, number])[],
  ): Int32Array {
    assert.equal(reducer.begin(), true);
    for (const [values, way] of contributions) {
      const scratch = way === 'scratch' ? reducer.takeScratch() : undefined;
      scratch?.set(bytesOf(values));
      reducer.add(scratch ?? bytesOf(values));
      if (scratch !== undefined) reducer.returnScratch(scratch);
    }
    const total = reducer.finish();
    const sum = valuesOf(total);
    total.release();
    return sum;
  }

  test('takes contributions that start at any byte of any memory', () => {
    const reducer = new StarReducer(4);
    const memory = new Uint8Array(40);
    memory.set(bytesOf(Int32Array.of(1, -2, 3, 2 ** 30)), 3);

    reducer.begin();
    reducer.add(memory.subarray(3, 19));
    reducer.add(memory.subarray(3, 19));

    assert.deepEqual([...valuesOf(reducer.finish())], [2, -4, 6, -(2 ** 31)]);
  });

  test('begins a new total while fewer than all slots are on their way, and not after that', () => {
    const reducer = new StarReducer(ELEMENTS);
    const totals = Array.from({ length: TOTAL_SLOTS }, (_, i) => reduceOne(reducer, i + 1));

    assert.equal(reducer.begin(), false);
    assert.equal(reducer.begin(), false);
    totals[2]!.release();

    assert.equal(reducer.begin(), true);
  });

  test('leaves a total alone until its last receiver has released it', () => {
    const reducer = new StarReducer(ELEMENTS);
    const kept = reduceOne(reducer, 7);
    kept.retain();
    kept.retain();
    kept.release();
    kept.release();

    for (let round = 0; round < 20; round++) reduceOne(reducer, 1000 + round).release();

    assert.ok(valuesOf(kept).every((value) => value === 7));
    kept.release();
    const memories = Array.from(
      { length: TOTAL_SLOTS },
      () => reduceOne(reducer, 1).bytes.byteOffset,
    );
    assert.ok(memories.includes(kept.bytes.byteOffset));
  });

  test('starts from zero when a total was begun and given up', () => {
    const reducer = new StarReducer(ELEMENTS);

    reducer.begin();
    reducer.add(bytesOf(new Int32Array(ELEMENTS).fill(99)));
    const total = reduceOne(reducer, 5);

    assert.ok(valuesOf(total).every((value) => value === 5));
  });

  test('can give up totals for ever without running out of slots', () => {
    const reducer = new StarReducer(ELEMENTS);

    for (let round = 0; round < 20; round++) assert.equal(reducer.begin(), true);
  });

  test(
    'gives out each piece of scratch memory once, none of it shared with totals, until there is ' +
      'none',
    () => {
      const reducer = new StarReducer(ELEMENTS);
      const offsets = new Set<number>();
      const pieces: Uint8Array[] = [];
      for (let piece = reducer.takeScratch(); piece !== undefined; piece = reducer.takeScratch()) {
        assert.equal(piece.length, reducer.byteLength);
        offsets.add(piece.byteOffset);
        pieces.push(piece);
      }

      for (const [i, piece] of pieces.entries()) piece.fill(i + 100);
      const totals = Array.from({ length: TOTAL_SLOTS }, (_, i) => reduceOne(reducer, i));

      assert.equal(offsets.size, pieces.length);
      assert.ok(pieces.every((piece, i) => piece.every((byte) => byte === i + 100)));
      assert.ok(totals.every((total, i) => valuesOf(total).every((value) => value === i)));
      reducer.returnScratch(pieces[3]!);
      assert.equal(reducer.takeScratch()?.byteOffset, pieces[3]!.byteOffset);
    },
  );

  test('refuses a contribution of another length and one that nobody asked for', () => {
    const reducer = new StarReducer(ELEMENTS);

    assert.throws(() => reducer.add(new Uint8Array(4 * ELEMENTS)), { code: 'INTERNAL' });
    reducer.begin();

    assert.throws(() => reducer.add(new Uint8Array(4 * ELEMENTS - 4)), { code: 'INTERNAL' });
    assert.throws(() => reducer.finish(), { code: 'INTERNAL' });
  });
});
