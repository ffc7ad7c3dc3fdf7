import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeSafetensors } from './safetensors.ts';

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

describe('encodeSafetensors', () => {
  test('writes the length, the table and the bytes as the format says', () => {
    const a = { name: 'a', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
    const b = { name: 'b', shape: [1], data: Float32Array.of(-0.5) };

    const file = joined(encodeSafetensors([a, b], { run: 'first' }));

    const headerLength = Number(new DataView(file.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerLength)));
    assert.equal(headerLength % 8, 0);
    assert.deepEqual(header, {
      __metadata__: { run: 'first' },
      a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
      b: { dtype: 'F32', shape: [1], data_offsets: [16, 20] },
    });
    assert.deepEqual(
      [...new Float32Array(file.slice(8 + headerLength).buffer)],
      [1, 2, 3, 4, -0.5],
    );
  });

  test('refuses data that do not fit their shape', () => {
    assert.throws(
      () => encodeSafetensors([{ name: 'a', shape: [3], data: new Float32Array(2) }], {}),
      /needs 3 elements, got 2/,
    );
  });

  test('keeps the header whole when a name is not ASCII', () => {
    const file = joined(
      encodeSafetensors([{ name: 'größe', shape: [1], data: Float32Array.of(7) }], {}),
    );

    const headerLength = Number(new DataView(file.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerLength)));
    assert.deepEqual(header['größe'].data_offsets, [0, 4]);
    assert.equal(new Float32Array(file.slice(8 + headerLength).buffer)[0], 7);
  });
});
