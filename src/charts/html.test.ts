import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { badge, definitions, formatNumber, formatValue, markup, table } from './html.ts';

const HOSTILE = `<script>alert("1")</script> & 'quotes'`;
const ESCAPED = '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;quotes&#39;';

describe('markup', () => {
  test('escapes every text, in content, in attributes and in lists', () => {
    assert.equal(
      markup`<p title="${HOSTILE}">${HOSTILE}</p>`.text,
      `<p title="${ESCAPED}">${ESCAPED}</p>`,
    );
    assert.equal(markup`${[HOSTILE, [HOSTILE]]}`.text, ESCAPED + ESCAPED);
  });

  test('shows what would turn text around, or be obeyed by a terminal that the page is printed to', () => {
    assert.equal(
      markup`<p>${'exe\u202ecod\u001b[2J'}</p>`.text,
      String.raw`<p>exe\u{202e}cod\x1b[2J</p>`,
    );
  });

  test('takes its own HTML as it is, and leaves nothing for what is not there', () => {
    assert.equal(
      markup`<b>${markup`<i>${'<'}</i>`}${undefined}${false}${0}</b>`.text,
      '<b><i>&lt;</i>0</b>',
    );
  });

  test('escapes what tables, definitions and badges are given', () => {
    const parts = [
      table({ caption: HOSTILE, columns: [HOSTILE], rows: [[HOSTILE]] }),
      definitions([[HOSTILE, HOSTILE]]),
      badge('good', HOSTILE),
    ];
    for (const { text } of parts) {
      assert.ok(text.includes(ESCAPED));
      assert.ok(!text.includes('<script'));
    }
  });
});

describe('formatNumber', () => {
  test('gives four digits, thousands apart, and names what is no number', () => {
    const cases: [number, string][] = [
      [0, '0'],
      [0.0302551, '0.03026'],
      [12.3456, '12.35'],
      [152345.6, '152,346'],
      [0.00001234567, '1.235e-5'],
      [NaN, 'NaN'],
      [Infinity, 'Infinity'],
    ];
    for (const [value, text] of cases) assert.equal(formatNumber(value), text);
  });
});

describe('formatValue', () => {
  test('gives any value of a JSON file as text', () => {
    assert.deepEqual([null, 12345, 'a', [1], true].map(formatValue), [
      '–',
      '12345',
      'a',
      '[1]',
      'true',
    ]);
  });
});
