import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseNpy } from './npy.ts';
import { encodeNpz } from './write-npz.ts';
import { readZip } from './zip.ts';

describe('encodeNpz', () => {
  test('writes what is read again, of any number of dimensions', () => {
    const arrays = [
      { name: 'a.weight', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6.5) },
      { name: 'b', shape: [2], data: Float32Array.of(-1, 1e-30) },
      { name: 'c', shape: [], data: Float32Array.of(7) },
    ];

    const members = readZip(Buffer.concat(encodeNpz(arrays)), 'own.npz');

    const read = members.map((member) => {
      const { shape, length, at } = parseNpy(member.read(), member.name);
      return { name: member.name, shape, values: Array.from({ length }, (_, i) => at(i)) };
    });
    const expected = arrays.map(({ name, shape, data }) => ({
      name: `${name}.npy`,
      shape,
      values: [...data],
    }));
    assert.deepEqual(read, expected);
  });
});
