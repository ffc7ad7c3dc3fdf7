import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { githubAnnotations } from './annotations.ts';

describe('githubAnnotations', () => {
  test('is empty when everything passed', () => {
    assert.equal(githubAnnotations('validate', [{ name: 'a', passed: true, message: 'fine' }]), '');
  });

  test('keeps a message of several lines, percent signs and all, on one line', () => {
    const text = githubAnnotations('validate', [
      { name: 'step 1: loss, mean', passed: false, message: '50% off\r\n::error::forged' },
    ]);

    assert.equal(
      text,
      String.raw`::error title=validate%3A step 1%3A loss%2C mean::50%25 off\r%0A\x3a:error::forged` +
        '\n',
    );
  });

  test('shows nine of eleven failures and counts the others, since GitHub drops what is over ten', () => {
    const failed = Array.from({ length: 11 }, (_, i) => ({
      name: `${i}`,
      passed: false,
      message: 'm',
    }));

    const lines = githubAnnotations('t', failed).trimEnd().split('\n');

    assert.equal(lines.length, 10);
    assert.equal(lines.at(-1), '::error title=t::2 other checks failed; all are in the report');
    assert.equal(githubAnnotations('t', failed.slice(1)).trimEnd().split('\n').length, 10);
  });
});
