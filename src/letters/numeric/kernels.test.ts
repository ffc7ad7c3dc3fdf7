import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  generateLettersKernelBytes,
  LETTERS_KERNEL_BYTES_FILE,
} from '../../../scripts/build-letters-kernels.ts';

describe('kernel-bytes.ts', () => {
  test('is what src/kernels/assembly/letters.ts compiles to', () => {
    assert.equal(readFileSync(LETTERS_KERNEL_BYTES_FILE, 'utf8'), generateLettersKernelBytes());
  });
});
