/** Writes docs/result.schema.json from the suite's schemas. A test checks that it is up to date. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { resultJsonSchema } from '../src/validate/results/result-json-schema.ts';

export const RESULT_SCHEMA_FILE = join(import.meta.dirname, '..', 'docs', 'result.schema.json');

/** The file as it should be. */
export async function resultSchemaPage(): Promise<string> {
  return format(JSON.stringify(resultJsonSchema()), {
    parser: 'json',
    printWidth: 100,
    proseWrap: 'always',
  });
}

if (process.argv[1] === import.meta.filename)
  writeFileSync(RESULT_SCHEMA_FILE, await resultSchemaPage());
