import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { printable, printableJson, printableLines } from './printable.ts';

// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\p{Cs}]/u;

test('what a terminal would obey is shown as an escape', () => {
  assert.equal(printable('\u001b[2J\u001b]0;owned\u0007'), String.raw`\x1b[2J\x1b]0;owned\x07`);
  assert.equal(printable('a\rb\nc\td\u0000'), String.raw`a\rb\nc\td\x00`);
  assert.equal(printable('\u009b31m\u007f\u0085'), String.raw`\x9b31m\x7f\x85`);
});

test('what hides or turns text around is shown as an escape', () => {
  assert.equal(printable('exe\u202ecod.\u2066x'), String.raw`exe\u{202e}cod.\u{2066}x`);
  assert.equal(
    printable('a\u200bb\u200dc\ufeffd\u00ad'),
    String.raw`a\u{200b}b\u{200d}c\u{feff}d\xad`,
  );
  assert.equal(printable('\u2028\u2029\u3164'), String.raw`\u{2028}\u{2029}\u{3164}`);
  assert.equal(printable('\u{e0041}'), String.raw`\u{e0041}`);
  assert.equal(printable('x\ud800y\udc00'), String.raw`x\u{d800}y\u{dc00}`);
});

test('letters, signs and emoji of all languages stay', () => {
  const text = 'Zürich, Łódź, 東京, Ελλάδα, हिन्दी, العربية, 3 × 4 ≤ 12 €, C:\\data\\new, ❤️🎉';
  assert.equal(printable(text), text);
});

test('what a CI system takes for a command loses its meaning', () => {
  assert.equal(printable('::error::boo'), String.raw`\x3a:error::boo`);
  assert.equal(printable('  ::set-output name=a::b'), String.raw`  \x3a:set-output name=a::b`);
  assert.equal(printable('in a line ##[error]boo'), String.raw`in a line #\x23[error]boo`);
  assert.equal(printable('##vso[task.x]'), String.raw`#\x23vso[task.x]`);
  assert.equal(printable('::ffff:127.0.0.1'), '::ffff:127.0.0.1');
  assert.equal(printableLines('one\n::error::two'), 'one\n\\x3a:error::two');
});

test('a text is cut at its limit, never inside a character', () => {
  assert.equal(printable('abcdef', 5), 'abcd…');
  assert.equal(printable('abcde', 5), 'abcde');
  assert.equal(printable('abc🎉🎉', 5), 'abc…');
  assert.equal(printable('x'.repeat(10_000_000)).length, 200);
});

test('whatever comes, one safe line of the length goes out', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 50 }), (text, limit) => {
      const line = printable(text, limit);
      assert.ok(line.length <= limit);
      assert.doesNotMatch(line, UNSAFE);
      assert.equal(printable(line, limit), line);
    }),
    { numRuns: 50 },
  );
});

test('lines stay lines, with their tabs, and nothing else passes', () => {
  assert.equal(printableLines('a\tb\nc\u001b[1m\r\n'), `a\tb\nc${String.raw`\x1b[1m\r`}\n`);
});

test('JSON means what it meant, and holds nothing unseen', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const json = printableJson(JSON.stringify(value, null, 2));
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)));
      assert.doesNotMatch(json.replaceAll('\n', ''), UNSAFE);
    }),
    { numRuns: 50 },
  );
  const bell = { name: '##[error]\u009b\u{e0041}' };
  assert.deepEqual(JSON.parse(printableJson(JSON.stringify(bell))), bell);
  assert.equal(
    printableJson(JSON.stringify(bell)),
    String.raw`{"name":"#\u0023[error]\u009b\udb40\udc41"}`,
  );
});
