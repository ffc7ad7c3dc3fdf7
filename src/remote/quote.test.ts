import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { quote, quoteAll, quotePath } from './quote.ts';

const HOSTILE = [
  '',
  ' ',
  "it's",
  '\\',
  "\\'",
  '$(reboot)',
  '`id`',
  'a;b',
  '-rf',
  'ä\n\t*?[x]{a,b}~!#&|<>"',
  '%s%n',
];

/** What shells obey outside of quotes. */
const SPECIAL = ["'", '"', '\\', '$', '`', '!', '~', '*', ';', '&', ' ', '\n', '\t', '-', 'a'];

/** What `sh` makes of a command line of words. */
function wordsOf(line: string): string[] {
  const program = `for word in ${line}; do printf '%s\\0' "$word"; done`;
  const { stdout, status } = spawnSync('/bin/sh', ['-c', program], { encoding: 'utf8' });
  assert.equal(status, 0, line);
  return stdout.split('\0').slice(0, -1);
}

describe('quote', () => {
  test('leaves plain words as they are, so that they can be read', () => {
    assert.equal(
      quoteAll(['tmux', '-L', 'a_b', 'user@host:/x,y=1']),
      'tmux -L a_b user@host:/x,y=1',
    );
    assert.equal(quote("it's"), String.raw`'it'\''s'`);
    assert.equal(quote('a\\b'), String.raw`'a'\\'b'`);
  });

  test('gives a shell every word as it was', () => {
    assert.deepEqual(wordsOf(quoteAll(HOSTILE)), HOSTILE);
    const word = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.string({ unit: fc.constantFrom(...SPECIAL), maxLength: 12 }),
    );
    const many = fc.array(
      word.filter((text) => !text.includes('\0')),
      { minLength: 50, maxLength: 100 },
    );
    fc.assert(
      fc.property(many, (words) => {
        assert.deepEqual(wordsOf(quoteAll(words)), words);
      }),
      { numRuns: 10 },
    );
  });

  test('survives a second shell, as a command line that ssh passes on', () => {
    const line = `sh -c ${quote(`printf '%s\\0' ${quoteAll(HOSTILE)}`)}`;

    const { stdout } = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' });

    assert.deepEqual(stdout.split('\0').slice(0, -1), HOSTILE);
  });
});

test('quotePath gives the home folder to the tilde alone', () => {
  assert.equal(quotePath('~/my cluster'), `"$HOME"/'my cluster'`);
  assert.equal(quotePath('~'), '"$HOME"');
  assert.equal(quotePath('~root/x'), "'~root/x'");
  assert.equal(quotePath('/a/$HOME'), "'/a/$HOME'");
});
