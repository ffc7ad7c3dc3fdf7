/** JUnit XML, the form of test results that CI systems read. */
import type { Check } from './check.ts';

/** What stands above the checks of a file. */
export interface JunitSuite {
  /** The command, say `lockstep validate`. */
  readonly name: string;
  /** ISO 8601: when the checks were made. */
  readonly timestamp: string;
}

/** A JUnit document with one test case per check; a failed one carries its message. */
export function junitXml({ name, timestamp }: JunitSuite, checks: readonly Check[]): string {
  const failures = checks.filter(({ passed }) => !passed).length;
  const seconds = checks.reduce((total, check) => total + (check.seconds ?? 0), 0);
  const counts =
    `tests="${checks.length}" failures="${failures}" errors="0" skipped="0" ` +
    `time="${seconds.toFixed(3)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="${attribute(name)}" ${counts}>`,
    `  <testsuite name="${attribute(name)}" timestamp="${attribute(timestamp)}" ${counts}>`,
    ...checks.map((check) => testCase(name, check)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase(suite: string, { name, passed, message, seconds }: Check): string {
  const time = seconds === undefined ? '' : ` time="${seconds.toFixed(3)}"`;
  const head = `    <testcase classname="${attribute(suite)}" name="${attribute(name)}"${time}`;
  if (passed) return `${head}/>`;
  const [firstLine = ''] = message.split(/\r?\n/, 1);
  return (
    `${head}>\n      <failure message="${attribute(firstLine)}">${text(message)}</failure>\n    ` +
    '</testcase>'
  );
}

/** White space in an attribute would be read as blanks, so it is written by number. */
function attribute(value: string): string {
  return text(value)
    .replaceAll('"', '&quot;')
    .replaceAll(/[\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function text(value: string): string {
  return value
    .replaceAll(/\p{Surrogate}/gu, '\uFFFD')
    .replaceAll(FORBIDDEN, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('\r', '&#13;');
}

/** What no XML 1.0 document may hold, not even by number. */
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g;
