import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError, LockstepError } from '../base/errors.ts';
import { Arena } from './arena.ts';
import { makeArenaLayout } from './layout.ts';

const REQUESTS = [
  { name: 'weights', byteLength: 4 * 80 },
  { name: 'input', byteLength: 100 },
  { name: 'total', byteLength: 4 * 16 },
];

describe('Arena', () => {
  test('places every region at a multiple of 64 bytes, none at 0, without overlap', () => {
    const arena = new Arena(REQUESTS);

    assert.deepEqual(
      REQUESTS.map(({ name }) => arena.byteOffset(name)),
      [64, 384, 512],
    );
    assert.equal(arena.byteOffset('weights', 16), 128);
    assert.equal(arena.memory.buffer.byteLength, 65_536);
    assert.equal(arena.byteLength('input'), 100);
    assert.equal(arena.has('input'), true);
    assert.equal(arena.has('output'), false);
  });

  test('gives live views of one tensor of a region', () => {
    const layout = makeArenaLayout([
      { name: 'a', shape: [3] },
      { name: 'b', shape: [2, 2] },
    ]);
    const arena = new Arena(REQUESTS);

    const b = arena.float32('weights', layout.tensors[1]);
    b.set([1, 2, 3, 4]);

    assert.equal(b.length, 4);
    assert.equal(b.byteOffset, arena.byteOffset('weights', 16));
    assert.deepEqual([...arena.float32('weights').subarray(16, 21)], [1, 2, 3, 4, 0]);
    assert.equal(arena.int32('weights')[16], 0x3f800000);
  });

  test('shows a shared memory to another thread that knows the same requests', () => {
    const first = new Arena(REQUESTS, { shared: true });
    const second = new Arena(REQUESTS, { shared: true, memory: first.memory });

    first.int32('total').fill(7);

    assert.ok(first.memory.buffer instanceof SharedArrayBuffer);
    assert.deepEqual(second.int32('total'), first.int32('total'));
    assert.equal(second.int32('total')[15], 7);
  });

  test('refuses more than 4 GiB, a memory that is too small and regions that do not exist', () => {
    const small = new Arena([{ name: 'a', byteLength: 64 }]);

    assert.throws(() => new Arena([{ name: 'a', byteLength: 2 ** 32 }]), ConfigError);
    assert.throws(
      () => new Arena([{ name: 'a', byteLength: 65_536 }], { memory: small.memory }),
      LockstepError,
    );
    assert.throws(() => small.float32('b'), /no region b; there are a/);
  });
});
