/** JUnit XML, the form of test results that CI systems read. */
import { printableLines } from '../../base/printable.ts';
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
    .replaceAll(/[\t\n]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function text(value: string): string {
  // What no XML 1.0 document may hold, not even by number, is unseen or one of the two.
  return printableLines(value)
    .replaceAll(/[\uFFFE\uFFFF]/g, '\uFFFD')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
