import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { junitXml } from './junit.ts';

const SUITE = { name: 'lockstep validate', timestamp: '2026-01-02T03:04:05.000Z' };

describe('junitXml', () => {
  test('has one case per check, and a failure with the message where it did not pass', () => {
    const xml = junitXml(SUITE, [
      { name: 'step 0', passed: true, message: 'not shown', seconds: 0.25 },
      { name: 'step 1', passed: false, message: 'losses 1 and 2\nlooks wrong', seconds: 0.5 },
    ]);

    assert.equal(
      xml,
      `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="lockstep validate" tests="2" failures="1" errors="0" skipped="0" time="0.750">
  <testsuite name="lockstep validate" timestamp="2026-01-02T03:04:05.000Z" tests="2" failures="1" errors="0" skipped="0" time="0.750">
    <testcase classname="lockstep validate" name="step 0" time="0.250"/>
    <testcase classname="lockstep validate" name="step 1" time="0.500">
      <failure message="losses 1 and 2">losses 1 and 2
looks wrong</failure>
    </testcase>
  </testsuite>
</testsuites>
`,
    );
  });

  test('escapes what XML would read as its own, and shows what no XML may hold', () => {
    const xml = junitXml(SUITE, [
      {
        name: `<a b="c"> & 'd'\ttab`,
        passed: false,
        message: ']]> \u0000\u001b[31m\uD800 \uFFFE\u{1F600}\r',
      },
    ]);

    assert.match(xml, /name="&lt;a b=&quot;c&quot;&gt; &amp; 'd'&#9;tab"/);
    assert.match(
      xml,
      /<failure message="[^"]*">\]\]&gt; \\x00\\x1b\[31m\\u\{d800\} \uFFFD\u{1F600}\\r<\/failure>/u,
    );
  });
});
