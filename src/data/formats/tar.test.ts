import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { makeTar, readTar } from './tar.ts';

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../test/fixtures/data/${name}`, import.meta.url));

describe('readTar', () => {
  test("reads archives of Python's tarfile, GNU and POSIX, with folders and links", () => {
    const gnu = readTar(fixture('gnu.tar'), 'gnu.tar');
    const posix = readTar(fixture('posix.tar'), 'posix.tar');

    assert.deepEqual(
      gnu.map(({ name, kind, content }) => [name, kind, content.length]),
      [
        ['box/', 'folder', 0],
        ['box/one.bin', 'file', 700],
        ['box/empty.txt', 'file', 0],
      ],
    );
    assert.ok(gnu[1]!.content.every((byte) => byte === 0x31));
    assert.deepEqual(
      posix.map(({ name, kind }) => [name, kind]),
      [
        [`${'d'.repeat(90)}/${'f'.repeat(60)}`, 'file'],
        ['box/link', 'other'],
      ],
    );
  });

  test('reads what makeTar writes', () => {
    const files = [
      { name: 'a/b.bin', content: Buffer.alloc(512, 7) },
      { name: 'c', content: Buffer.from('text') },
    ];

    const members = readTar(makeTar(files), 'made');

    assert.deepEqual(
      members.map(({ name, content }) => ({ name, content: Buffer.from(content) })),
      files,
    );
  });

  test('refuses archives that are cut off anywhere, or have a damaged header', () => {
    const archive = makeTar([{ name: 'a', content: Buffer.alloc(1000, 7) }]);
    const damaged = Buffer.from(archive);
    damaged[3] = 99;

    assert.throws(
      () => readTar(archive.subarray(0, 1200), 'x.tar'),
      /member a says it has 1000 bytes, 688 are left/,
    );
    assert.throws(() => readTar(archive.subarray(0, 1536), 'x.tar'), /The archive is truncated/);
    assert.throws(() => readTar(Buffer.alloc(0), 'x.tar'), /The archive is truncated/);
    assert.throws(() => readTar(damaged, 'x.tar'), {
      code: 'DATA_INVALID',
      message: /header at byte 0.*checksum/,
    });
  });
});
