import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FileCache } from './file-cache.ts';
import type { LettersRows } from './numeric/letters-text.ts';

const rows = (mebibytes: number): LettersRows =>
  ({ x: { byteLength: mebibytes << 20 } }) as unknown as LettersRows;

describe('FileCache', () => {
  test('counts a file once that two coordinators have sent', () => {
    const cache = new FileCache();
    cache.put('first', 26, rows(1));

    for (let i = 0; i < 10; i++) cache.put('same', 26, rows(100));

    assert.notEqual(cache.get('first', 26), undefined);
  });

  test('drops the longest unused beyond its bound', () => {
    const cache = new FileCache();
    for (const name of ['a', 'b']) cache.put(name, 26, rows(100));
    cache.get('a', 26);

    cache.put('c', 26, rows(100));

    const names = ['a', 'b', 'c'].filter((name) => cache.get(name, 26) !== undefined);
    assert.deepEqual(names, ['a', 'c']);
  });
});
