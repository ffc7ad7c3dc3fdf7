import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { recordOf } from '../../test/pass-facts.ts';
import { OwnShare } from './own-share.ts';

/** A sum of four equal elements. */
function sumOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array(4).fill(value).buffer);
}

describe('OwnShare', () => {
  test('is zeros, of the length that is asked for, while nothing is done', () => {
    const share = new OwnShare();

    assert.deepEqual(share.sum(16), new Uint8Array(16));
    assert.deepEqual(share.sum(32), new Uint8Array(32));
    assert.deepEqual(share.records, []);
  });

  test('is the one sum that the engine has lent, without a copy', () => {
    const share = new OwnShare();
    const lent = sumOf(3);

    share.add([recordOf(0), recordOf(1)], lent);

    assert.equal(share.sum(16), lent);
    assert.deepEqual(
      share.records.map(({ microBatch }) => microBatch),
      [0, 1],
    );
  });

  test('is the total of all sums, whatever becomes of the memory of those before the last', () => {
    const share = new OwnShare();
    const lent = sumOf(3);
    for (const [microBatch, value] of [3, -5, 7].entries()) {
      share.secure();
      lent.set(sumOf(value));
      share.add([recordOf(microBatch)], lent);
    }

    assert.deepEqual([...share.sum(16)], [...sumOf(5)]);
    assert.deepEqual([...share.sum(16)], [...sumOf(5)]);
    assert.equal(share.records.length, 3);
  });

  test('keeps what is done when the engine goes on, and nothing comes of that', () => {
    const share = new OwnShare();
    const lent = sumOf(3);
    share.add([recordOf(0)], lent);

    share.secure();
    lent.fill(9);

    assert.deepEqual([...share.sum(16)], [...sumOf(3)]);
  });

  test('begins every pass with nothing, in memory that is used again', () => {
    const share = new OwnShare();
    for (let pass = 0; pass < 100; pass++) {
      share.clear();
      share.add([recordOf(0)], sumOf(pass));
      share.secure();
      // Some passes are over before their sum is asked for.
      if (pass % 3 === 0) continue;
      share.add([recordOf(1)], sumOf(1));
      assert.deepEqual([...share.sum(16)], [...sumOf(pass + 1)], `pass ${pass}`);
      assert.equal(share.records.length, 2);
    }
  });
});
