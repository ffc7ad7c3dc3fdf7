import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sharedBytes, sharedFloat32 } from './shared-memory.ts';

describe('sharedBytes', () => {
  test('refuses more than is free before it is taken, and tries what is little', (t) => {
    t.mock.method(process, 'availableMemory', () => 2 ** 20);

    assert.throws(() => sharedFloat32(2 ** 27, 'pictures'), {
      code: 'OUT_OF_RESOURCES',
      message:
        /^pictures: expected at most the 1048576 bytes of memory that are free, .* 536870912\. /,
    });
    assert.equal(sharedBytes(2 ** 21, 'pictures').length, 2 ** 21);
  });

  test('refuses more than a split may take, whatever is free', () => {
    assert.throws(() => sharedFloat32(2 ** 30, 'pictures'), { code: 'DATA_INVALID' });
  });
});
