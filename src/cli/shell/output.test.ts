import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paintedText } from './output.ts';

test('our own colours pass, whatever else would be obeyed does not', () => {
  const ours = '\u001b[33m!\u001b[39m \u001b[1mbold\u001b[22m';

  assert.equal(paintedText(`${ours}\n`), `${ours}\n`);
  assert.equal(paintedText('\u001b[8mhidden'), String.raw`\x1b[8mhidden`);
  assert.equal(paintedText('\u001b[31;42mx'), String.raw`\x1b[31;42mx`);
  assert.equal(paintedText('\u001b]0;title\u0007\u001b[2J'), String.raw`\x1b]0;title\x07\x1b[2J`);
});

test('a line of somebody else is no command for a CI system', () => {
  const text = paintedText('name\n::error::forged\n##[error]forged\n');

  assert.equal(
    text,
    ['name', String.raw`\x3a:error::forged`, String.raw`#\x23[error]forged`, ''].join('\n'),
  );
});
