import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError } from '../../base/errors.ts';
import { readJson } from './read-json.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-json-'));
after(() => rmSync(folder, { recursive: true }));

function read(text: string): unknown {
  const path = join(folder, 'file.json');
  writeFileSync(path, text);
  return readJson(path);
}

function refusal(text: string, pattern: RegExp): void {
  assert.throws(
    () => read(text),
    (error) => error instanceof ConfigError && pattern.test(error.message),
  );
}

describe('readJson', () => {
  test('reads JSON, also after a byte order mark', () => {
    assert.deepEqual(read('\uFEFF{"a": [1, null, "x"]}'), { a: [1, null, 'x'] });
  });

  test('reads the numbers that Python writes and JSON does not know, but not inside strings', () => {
    assert.deepEqual(read('{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \\" Infinity"}'), {
      a: NaN,
      b: [-Infinity, Infinity],
      c: 'NaN " Infinity',
    });
  });

  test('says at which byte a truncated file ends, wherever it was cut', () => {
    const whole = '{"löss": [1.5, "a b", true, null], "n": -2e-3}';
    for (let length = 1; length < whole.length; length++) {
      const text = whole.slice(0, length);
      // A cut within a word or a number is seen there.
      refusal(text, /truncated|it is none from byte \d+ on/);
    }
    refusal('{"löss": [1', /the JSON ends too early, after 12 bytes: the file is truncated/);
    refusal('{"a": "bc', /ends too early, after 9 bytes/);
  });

  test('says from which byte on a file is no JSON', () => {
    refusal('{"löss": oops}', /it is none from byte 10 on/);
    refusal('', /an empty file/);
    refusal(' \n', /nothing but white space/);
    refusal('{"a": NaN, "b": oops}', /it is none from byte 6 on/);
  });

  test('refuses a file that is not there, and a folder', () => {
    assert.throws(() => readJson(join(folder, 'none.json')), /none\.json: there is no such file/);
    assert.throws(() => readJson(folder), /expected a file, and this is a folder/);
  });
});
