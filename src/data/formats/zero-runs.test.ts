import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { packZeroRuns, unpackZeroRunsInto } from './zero-runs.ts';

function unpack(packed: Uint8Array, room: number): Uint8Array | undefined {
  const target = new Uint8Array(room);
  const length = unpackZeroRunsInto(target, packed);
  return length === undefined ? undefined : target.subarray(0, length);
}

describe('packZeroRuns', () => {
  test('says how many zeros, how many bytes as they are, and these', () => {
    const bytes = Uint8Array.of(0, 0, 0, 7, 0, 0, 8, 0, 0, 0, 0);

    assert.deepEqual([...packZeroRuns(bytes)], [3, 4, 7, 0, 0, 8, 4, 0]);
  });

  test('gives back what was packed, long runs of either kind too', () => {
    const run = fc.tuple(fc.constantFrom(0, 0, 1, 255), fc.integer({ min: 0, max: 600 }));
    fc.assert(
      fc.property(fc.array(run, { maxLength: 8 }), (runs) => {
        const bytes = Uint8Array.from(
          runs.flatMap(([byte, count]) => Array.from({ length: count }, () => byte)),
        );

        assert.deepEqual(unpack(packZeroRuns(bytes), bytes.length), bytes);
      }),
    );
  });
});

describe('unpackZeroRunsInto', () => {
  test('writes nothing past the room that there is', () => {
    assert.equal(unpack(Uint8Array.of(3, 0, 1, 0), 3), undefined);
    assert.equal(unpack(Uint8Array.of(2, 2, 7, 7), 3), undefined);
    assert.deepEqual(unpack(Uint8Array.of(2, 1, 7), 3), Uint8Array.of(0, 0, 7));
  });

  test('unpacks what ends too early as far as it goes', () => {
    assert.deepEqual(unpack(Uint8Array.of(1, 3, 7), 9), Uint8Array.of(0, 7));
    assert.deepEqual(unpack(Uint8Array.of(1, 1, 7, 5), 9), Uint8Array.of(0, 7));
  });
});
