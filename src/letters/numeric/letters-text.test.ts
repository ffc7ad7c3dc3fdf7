import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLettersText } from './letters-text.ts';

const options = { name: 'f.txt', classes: 26 };

describe('parseLettersText', () => {
  test('reads the class from the last column, or a letter from the first', () => {
    const last = parseLettersText('2,8,19\n4,1,0\n', options);
    const first = parseLettersText('T,2,8\r\nA,4,1\r\n', options);

    assert.deepEqual([...last.x], [2, 8, 4, 1]);
    assert.deepEqual([...last.labels], [19, 0]);
    assert.deepEqual([first.x, first.labels, first.labelled], [last.x, last.labels, 'first']);
  });

  test('reads rows without a class where they are allowed', () => {
    const rows = parseLettersText('2,8\n', { ...options, features: 2, mayLackLabels: true });

    assert.deepEqual([rows.count, rows.labelled, [...rows.x]], [1, 'none', [2, 8]]);
  });

  const bad: readonly (readonly [string, string, RegExp])[] = [
    ['a row of another width', '2,8,1\n\n2,8\n', /^f\.txt, line 3: expected 3 values, got fewer$/],
    [
      'a class out of range',
      '2,8,1\n2,8,26\n',
      /^f\.txt, line 2: expected a class from 0 to 25, got another number$/,
    ],
    ['a negative class', '2,8,-1\n', /line 1: expected a class from 0 to 25, got another/],
    [
      'what is no whole number',
      '2,8.5,1\n',
      /line 1: expected a whole number as value 2, got other/,
    ],
    ['a value that is missing', '2,,1\n', /line 1: expected a whole number as value 2, got other/],
    ['a row with the class elsewhere', 'T,2,8\n2,8,1\n', /line 2: expected a letter A to Z first/],
    ['an empty file', '\n\n', /expected rows of whole numbers, got an empty file/],
    [
      'a row with a class only',
      '3\n',
      /first row: expected 1 to 4096 numbers and a class, .* got fewer values/,
    ],
  ];
  for (const [what, text, message] of bad) {
    test(`refuses ${what}`, () => {
      assert.throws(() => parseLettersText(text, options), { code: 'DATA_INVALID', message });
    });
  }

  test('refuses rows of another width than asked for', () => {
    assert.throws(() => parseLettersText('1,2,3\n', { ...options, features: 16 }), {
      message: /first row: expected 16 numbers and a class, .* got fewer values/,
    });
  });

  test('says nothing of what is in a file that is something else', () => {
    const secret = 'root:x:0:0';
    for (const text of [secret, `1,2,1\n${secret}`, `1,2,1\n${secret},2,1`, `A,1\n${secret},1`])
      assert.throws(
        () => parseLettersText(text, options),
        (error: Error) => !/root|x:0/.test(error.message),
      );
  });

  test('takes no memory for rows that cannot be there', () => {
    const wide = Array.from({ length: 4_096 }, () => '1').join(',');
    const text = `${wide},1\n${'\n'.repeat(4 << 20)}`;

    assert.equal(parseLettersText(text, options).count, 1);
    assert.throws(() => parseLettersText(`${text}1\n`, options), /line 4194306: expected 4097/);
  });
});
