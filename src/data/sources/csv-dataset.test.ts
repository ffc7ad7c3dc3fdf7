import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { makeCsvDataset } from './csv-dataset.ts';
import type { CsvOptions } from './csv-dataset.ts';
import { csvRows } from '../formats/csv.ts';

const rowsOf = (text: string): string[][] =>
  [...csvRows(text, 'a.csv')].map(({ cells }) => [...cells]);
const read = (text: string, options: Partial<CsvOptions> = {}) =>
  makeCsvDataset({ path: 'a.csv', text, onBadRow: 'stop', ...options });

describe('csvRows', () => {
  test('gives back any table that was written with quotes', () => {
    const cell = fc.string({
      unit: fc.constantFrom('a', '1', ',', '"', '\n', ' ', ';', 'é'),
      maxLength: 6,
    });
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(table, (rows) => {
        const written = rows.map((cells) =>
          cells.map((text) => `"${text.replaceAll('"', '""')}"`).join(','),
        );
        // The first line decides on the separator: here it is a plain one.
        assert.deepEqual(rowsOf(`a,b,c\n${written.join('\n')}`).slice(1), rows);
      }),
    );
  });

  test(
    'takes the separator the first line has most of, and counts lines through quotes and empty ' +
      'lines',
    () => {
      assert.deepEqual(rowsOf('1;2,5;3\n'), [['1', '2,5', '3']]);
      assert.deepEqual(rowsOf('a\tb'), [['a', 'b']]);
      assert.deepEqual(
        [...csvRows('a,b\n\n"x\ny",2\n\n3,4', 'a.csv')].map(({ line }) => line),
        [1, 3, 6],
      );
      assert.deepEqual(rowsOf(''), []);
      assert.throws(() => rowsOf('a,b\n1,"2'), {
        code: 'DATA_INVALID',
        message: /line 2: expected a " that closes/,
      });
    },
  );
});

describe('makeCsvDataset', () => {
  test('reads a table with a header whose last column is a class', () => {
    const { dataset, skipped } = read('width,height,kind\n1,2.5,cat\n-3,4e1,dog\n0,0,cat\n');

    assert.equal(skipped, undefined);
    assert.deepEqual([...dataset.x], [1, 2.5, -3, 40, 0, 0]);
    assert.deepEqual([...dataset.y], [0, 1, 0]);
    assert.deepEqual(dataset.classNames, ['cat', 'dog']);
    assert.deepEqual(
      [dataset.features, dataset.target],
      [[2], { kind: 'classification', classes: 2 }],
    );
  });

  test('finds the class in front when it is the only word, without header (UCI letters)', () => {
    const { dataset } = read('T,2,8\nI,5,12\n');

    assert.deepEqual([...dataset.x], [2, 8, 5, 12]);
    assert.deepEqual(dataset.classNames, ['I', 'T']);
    assert.deepEqual([...dataset.y], [1, 0]);
  });

  test('takes whole numbers as classes in order, other numbers as a regression', () => {
    const classes = read('1,10\n2,9\n3,10\n').dataset;
    const numbers = read('1,10.0\n2,9\n3,10\n').dataset;

    assert.deepEqual(
      [classes.classNames, [...classes.y]],
      [
        ['9', '10'],
        [1, 0, 1],
      ],
    );
    assert.deepEqual(numbers.target, { kind: 'regression', outputs: 1 });
    assert.deepEqual([...numbers.y], [10, 9, 10]);
  });

  test('takes the label column by name or by number from 1', () => {
    const text = 'kind,a,b\n0,1,2\n1,3,4\n';

    assert.deepEqual([...read(text, { labelColumn: 'kind' }).dataset.x], [1, 2, 3, 4]);
    assert.deepEqual([...read(text, { labelColumn: '2' }).dataset.x], [0, 2, 1, 4]);
    for (const labelColumn of ['c', '0', '4', '-1'])
      assert.throws(() => read(text, { labelColumn }), {
        code: 'CONFIG_INVALID',
        message: /label_column: expected kind, a, b, or a number from 1 to 3 for a\.csv/,
      });
  });

  test('says little of a label that is no number, however long it is', () => {
    assert.throws(
      () => read(`1,2.5\n3,1e${'9'.repeat(100_000)}\n`, { labelColumn: '2' }),
      (error: Error) =>
        /line 2: column 2: expected a finite/.test(error.message) && error.message.length < 300,
    );
  });

  test('stops at bad rows, naming lines and reasons, or leaves them out and counts them', () => {
    const text = 'a,b,c\n1,2,x\n3,y\n5,oops,x\n7,8,\n9,NaN,y\n1,1e99,y\n0,0,y\n1,1,x\n';
    const wrong =
      'line 3: expected 3 cells, found 2; line 4: column 2: expected a number, found ' +
      '"oops"; line 5: column 3: expected a label, found nothing; line 6: column 2: ' +
      'expected a number, found "NaN"; line 7: column 2: expected a number, found "1e99"';

    assert.throws(() => read(text), {
      code: 'DATA_INVALID',
      message:
        `reading a.csv: 5 of 8 rows cannot be used: ${wrong}. Correct them, or leave them out ` +
        'with --on-bad-row skip.',
    });
    const { dataset, skipped } = read(text, { onBadRow: 'skip' });
    assert.equal(skipped, `5 of 8 rows skipped (${wrong})`);
    assert.deepEqual([...dataset.x], [1, 2, 0, 0, 1, 1]);
  });

  test(
    'refuses tables without rows, columns, usable rows or classes, and labels that are no ' +
      'finite numbers',
    () => {
      assert.throws(
        () => read('a,b\n'),
        /expected rows of at least two cells, features and a label, found no rows/,
      );
      assert.throws(() => read('1\n2\n'), /found 1 column/);
      assert.throws(() => read('1,x\ny,z\n'.replace('1', 'q,1'), { onBadRow: 'skip' }), {
        code: 'DATA_INVALID',
      });
      assert.throws(
        () => read('1,7\n2,7\n'),
        /expected labels of 2 to 65536 classes, found 1 different ones/,
      );
      assert.throws(
        () => read('1,0.5\n2,inf\n'),
        /line 2: column 2: expected a finite number or a name, found "inf"/,
      );
    },
  );
});
