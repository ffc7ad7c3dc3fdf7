import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseLink } from './stated-link.ts';

describe('parseLink', () => {
  test('reads rates and round trips, and leaves room for the heads of frames', () => {
    assert.deepEqual(parseLink('200mbit,5ms'), { roundTripMs: 5, bytesPerSecond: 23.5e6 });
    assert.deepEqual(parseLink('1Gbit/s'), { roundTripMs: 0.5, bytesPerSecond: 117.5e6 });
    assert.equal(parseLink('64kbit,0ms').bytesPerSecond, 7_520);
  });

  test('says what it expected instead of anything else', () => {
    for (const text of ['', '200', 'mbit', '0mbit', '-1mbit', '20mbit,fast', '1gbit,60001ms'])
      assert.throws(
        () => parseLink(text),
        /^ConfigError: --link: expected a rate, .*, got "/,
        text,
      );
  });
});
