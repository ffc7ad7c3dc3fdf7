import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { createTextDecoder, encodeText, parseTokenTable, type TokenTable } from './token-table.ts';

const TABLE: TokenTable = { kind: 'char', characters: [' ', 'a', 'é', '🐳'] };

describe('encodeText', () => {
  test('gives one id per character, and the decoder gives the text back', () => {
    const ids = encodeText(TABLE, 'é 🐳a');

    assert.deepEqual(ids, [2, 0, 3, 1]);
    assert.equal(ids.map(createTextDecoder(TABLE)).join(''), 'é 🐳a');
  });

  test('refuses characters that the table does not have, naming them', () => {
    assert.throws(
      () => encodeText(TABLE, 'abba'),
      (error) =>
        error instanceof ConfigError && error.message.includes('got "b". It knows " aé🐳"'),
    );
  });

  test('gives one id per byte, and the decoder holds back half a character', () => {
    const table: TokenTable = { kind: 'byte' };
    const decode = createTextDecoder(table);

    const pieces = encodeText(table, 'aé').map((id) => decode(id));

    assert.deepEqual(pieces, ['a', '', 'é']);
  });
});

describe('parseTokenTable', () => {
  test('reads what was written', () => {
    assert.deepEqual(parseTokenTable(JSON.parse(JSON.stringify(TABLE)), 'tokens.json'), TABLE);
  });

  for (const value of [
    null,
    {},
    { kind: 'char' },
    { kind: 'char', characters: ['ab'] },
    { kind: 'word' },
  ]) {
    test(`refuses ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseTokenTable(value, 'tokens.json'), ConfigError);
    });
  }
});
