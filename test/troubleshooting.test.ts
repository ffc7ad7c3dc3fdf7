import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { PROBLEMS } from '../src/doctor/checks/finding.ts';
import { REPOSITORY } from './cluster/processes.ts';

const page = readFileSync(join(REPOSITORY, 'docs/troubleshooting.md'), 'utf8');

/** Entries by name: several names may share one. */
const entries: ReadonlyMap<string, string> = new Map(
  [...page.matchAll(/^- (\*\*`[\s\S]*?)(?=\n- \*\*|\n\n)/gm)].flatMap(({ 1: text = '' }) =>
    [...text.split(':')[0]!.matchAll(/\*\*`([\w-]+)`\*\*/g)].map(({ 1: name = '' }) => [
      name,
      text,
    ]),
  ),
);

/** The names in a union of string literals in a source file. */
function namesIn(file: string, pattern: RegExp): string[] {
  const text = readFileSync(join(REPOSITORY, file), 'utf8');
  return [...text.matchAll(pattern)].map(({ 1: name = '' }) => name);
}

describe('docs/troubleshooting.md', () => {
  test('has every problem that doctor finds, with a remedy', () => {
    assert.ok(PROBLEMS.length > 40);
    for (const id of PROBLEMS) assert.match(entries.get(id) ?? `no ${id}`, /\\\n {2}\S/);
  });

  test('has every error code, with a command', () => {
    const codes = namesIn('src/base/errors.ts', /^ {2}\| '([A-Z_]+)'/gm);

    assert.ok(codes.length >= 15);
    for (const code of codes) assert.match(entries.get(code) ?? `no ${code}`, /\\\n {2}.*`/s);
  });

  test('names events that there are, and no problem that there is not', () => {
    const kinds = namesIn('src/metrics/events.ts', /kind: '([\w-]+)'/g);
    const codes = namesIn('src/base/errors.ts', /^ {2}\| '([A-Z_]+)'/gm);
    const known = new Set<string>([...kinds, ...codes, ...PROBLEMS]);

    assert.deepEqual(
      [...entries.keys()].filter((name) => !known.has(name)),
      [],
    );
  });
});
