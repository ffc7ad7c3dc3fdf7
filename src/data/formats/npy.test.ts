import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseNpy } from './npy.ts';
import { readZip } from './zip.ts';

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../test/fixtures/data/${name}`, import.meta.url));
const members = new Map(
  readZip(fixture('types.npz'), 'types.npz').map((member) => [member.name, member.read()]),
);
const bytesOf = (name: string): Uint8Array => members.get(`${name}.npy`)!;

describe('parseNpy', () => {
  test('reads every type that NumPy writes, to its extremes', () => {
    const values = (name: string): unknown[] => {
      const { kind, shape, length, at } = parseNpy(bytesOf(name), name);
      return [kind, shape, ...Array.from({ length }, (_, index) => at(index))];
    };

    assert.deepEqual(values('bool'), ['bool', [2, 2], 1, 0, 0, 1]);
    assert.deepEqual(values('uint8'), ['bytes', [2], 0, 255]);
    assert.deepEqual(values('int8'), ['integers', [2], -128, 127]);
    assert.deepEqual(values('uint16'), ['integers', [2], 0, 65_535]);
    assert.deepEqual(values('int16'), ['integers', [2], -32_768, 32_767]);
    assert.deepEqual(values('uint32'), ['integers', [2], 0, 4_294_967_295]);
    assert.deepEqual(values('int32'), ['integers', [2], -2_147_483_648, 2_147_483_647]);
    assert.deepEqual(values('uint64'), ['integers', [2], 0, 2 ** 53]);
    assert.deepEqual(values('int64'), ['integers', [2], -(2 ** 53), 2 ** 53]);
    assert.deepEqual(values('float32'), ['floats', [2], Math.fround(0.1), Math.fround(-1e30)]);
    assert.deepEqual(values('float64'), ['floats', [2], 0.1, -1e300]);
    assert.deepEqual(values('scalar'), ['floats', [], 7.5]);
  });

  test('refuses Fortran order, big-endian numbers and text, saying what to do', () => {
    assert.throws(
      () => parseNpy(bytesOf('fortran'), 'a'),
      /expected row-major order.*numpy\.ascontiguousarray/,
    );
    assert.throws(() => parseNpy(bytesOf('big'), 'a'), /found >i4\. Convert them with \.astype/);
    assert.throws(() => parseNpy(bytesOf('text'), 'a'), {
      code: 'DATA_INVALID',
      message: /found <U1/,
    });
  });

  test('refuses what is cut off, too long, or no array, before memory is taken for it', () => {
    const bytes = Buffer.from(bytesOf('int64'));
    const huge = Buffer.from(
      bytes.toString('latin1').replace('(2,), }', '(2000000000000,), }'),
      'latin1',
    );

    assert.throws(
      () => parseNpy(bytes.subarray(0, -1), 'a'),
      /expected 16 bytes.*found 15\. The file is truncated/,
    );
    assert.throws(() => parseNpy(Buffer.concat([bytes, bytes]), 'a'), /The file is damaged/);
    assert.throws(() => parseNpy(bytes.subarray(0, 40), 'a'), /header .* is cut off/);
    assert.throws(
      () => parseNpy(Buffer.from('PK nothing of the kind'), 'a'),
      /expected a \.npy array/,
    );
    assert.throws(() => parseNpy(Buffer.alloc(0), 'a'), /expected a \.npy array/);
    assert.throws(() => parseNpy(huge, 'a'), /expected 16000000000000 bytes|header/);
  });
});

describe('readZip', () => {
  const archive = fixture('images.npz');

  test('unpacks deflated members as numpy.savez_compressed writes them', () => {
    const [first] = readZip(archive, 'images.npz');

    assert.equal(first?.name, 'x_train.npy');
    assert.deepEqual(parseNpy(first.read(), 'x').shape, [5, 4, 4, 3]);
  });

  test('refuses archives that are truncated or damaged, and members larger than they say', () => {
    const directory = archive.lastIndexOf('PK\x01\x02');
    const small = Buffer.from(archive);
    small.writeUInt32LE(10, archive.indexOf('PK\x01\x02') + 24);
    const flipped = Buffer.from(archive);
    flipped[100]! ^= 0xff;
    const encrypted = Buffer.from(archive);
    encrypted[archive.indexOf('PK\x01\x02') + 8]! |= 1;
    const lost = Buffer.from(archive);
    lost[directory] = 0;

    assert.throws(() => readZip(archive.subarray(0, -30), 'a.npz'), /no directory at its end/);
    assert.throws(() => readZip(Buffer.from('short'), 'a.npz'), /no directory at its end/);
    assert.throws(() => readZip(small, 'a.npz')[0]!.read(), /x_train\.npy cannot be unpacked/);
    assert.throws(() => readZip(flipped, 'a.npz')[0]!.read(), { code: 'DATA_INVALID' });
    assert.throws(() => readZip(encrypted, 'a.npz'), /is encrypted/);
    assert.throws(() => readZip(lost, 'a.npz'), /entry 3 of its directory is damaged/);
  });
});
