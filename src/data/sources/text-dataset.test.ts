import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeTextDataset } from './text-dataset.ts';

const text = (content: string | Buffer, length: number, tokens: 'char' | 'byte' = 'char') =>
  makeTextDataset({
    name: 'a.txt',
    origin: 'test',
    content: Buffer.from(content as string),
    tokens,
    length,
  });

describe('makeTextDataset', () => {
  test('cuts windows that do not overlap, each with the tokens that follow', () => {
    const { train, test: held } = text('abcdefghijklmnopqrstuvwxyz0123', 2);

    const letters = (ids: Iterable<number>): string =>
      [...ids].map((id) => train.classNames![id]).join('');
    assert.equal(letters(train.x), 'abcdefghijklmnopqrstuvwxyz');
    assert.equal(letters(train.y), 'bcdefghijklmnopqrstuvwxyz0');
    assert.equal(letters(held.x), '12');
    assert.equal(letters(held.y), '23');
    assert.deepEqual(train.features, [2]);
    assert.deepEqual(train.target, { kind: 'sequence', classes: 30, length: 2 });
    assert.equal(held.vocabulary, 30);
  });

  test(
    'numbers the characters of the whole text in order of their codes, beyond the first plane ' +
      'too',
    () => {
      const { train } = text('😀é\na'.repeat(10), 3);

      assert.deepEqual(train.classNames, ['\n', 'a', 'é', '😀']);
      assert.deepEqual([...train.x.subarray(0, 6)], [3, 2, 0, 1, 3, 2]);
    },
  );

  test('takes bytes as tokens for any content', () => {
    const { train } = text(Buffer.from(Array.from({ length: 40 }, (_, i) => 255 - i)), 3, 'byte');

    assert.equal(train.vocabulary, 256);
    assert.equal(train.classNames, undefined);
    assert.deepEqual([...train.x.subarray(0, 4)], [255, 254, 253, 252]);
    assert.deepEqual([...train.y.subarray(0, 3)], [254, 253, 252]);
  });

  test('gives another digest for another length, though the tokens are the same', () => {
    const content = 'ab'.repeat(101);

    assert.notEqual(text(content, 3).test.digest, text(content, 9).test.digest);
  });

  test('refuses bytes that are no text, and too short a text, saying how long it must be', () => {
    assert.throws(() => text(Buffer.alloc(100, 0xff), 3), {
      code: 'DATA_INVALID',
      message: /a\.txt: expected text in UTF-8.*text_tokens byte/,
    });
    assert.throws(
      () => text('abcdefghijklmnopqrstuvwxyz', 5),
      /expected at least 60 tokens, 6 of them in the last tenth.*found 26/,
    );
  });
});
