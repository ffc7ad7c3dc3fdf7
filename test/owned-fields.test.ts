/**
 * In the roles no mutable field can be written from two files: a class keeps its own behind `#`,
 * and what an interface hands out is readonly. The compiler sees to the rest.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOMS = ['coordinator', 'membership', 'worker'];
const source = fileURLToPath(new URL('../src/', import.meta.url));

/** An exported class or interface, with its lines up to the brace that closes it. */
const SHAPE = /^export (?:abstract )?(?:class|interface) (\w+).*\n((?:(?!\}).*\n)*)/gm;
/** A field as the formatter leaves it, neither `#private` nor `readonly`. */
const OPEN_FIELD = /^ {2}(\w+)[?!]?(?::| =)/gm;

/** Fields that another file could write, as `Name.field`. */
function openFieldsIn(page: string): string[] {
  return [...page.matchAll(SHAPE)].flatMap(([, name = '', body = '']) =>
    [...body.matchAll(OPEN_FIELD)].map(([, field = '']) => `${name}.${field}`),
  );
}

describe('a field of the roles', () => {
  for (const room of ROOMS) {
    test(`that can change is written in one file only: ${room}/`, () => {
      const files = readdirSync(join(source, room)).filter(
        (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
      );

      const open = files.flatMap((name) =>
        openFieldsIn(readFileSync(join(source, room, name), 'utf8')).map(
          (field) => `${name}: ${field}`,
        ),
      );

      assert.ok(files.length > 3);
      assert.deepEqual(open, []);
    });
  }

  test('is found when it is open to others', () => {
    const page = [
      'export class A<T> implements B {',
      '  readonly #a = 1;',
      '  #b: number;',
      '  readonly c: { d: number };',
      '  e = 3;',
      '  f: T | undefined;',
      '  g(): void {',
      '    this.e = 4;',
      '  }',
      '}',
      'export interface B {',
      '  readonly h: number;',
      '  i?: number;',
      '}',
      'interface C {',
      '  j: number;',
      '}',
      '',
    ].join('\n');

    assert.deepEqual(openFieldsIn(page), ['A.e', 'A.f', 'B.i']);
  });
});
