/** The schemas of the suite's files as JSON Schema, for other programs. */
import * as z from 'zod';
import {
  faultReportSchema,
  healthSchema,
  resultSchema,
  SCHEMA_VERSION,
  trainingPayloadSchema,
} from './result.ts';

const SCHEMAS = {
  result: resultSchema,
  training: trainingPayloadSchema,
  health: healthSchema,
  faultReport: faultReportSchema,
} as const;

/**
 * One JSON Schema (draft 2020-12) with a definition for each kind of file; a file is any of them.
 */
export function resultJsonSchema(): Record<string, unknown> {
  const definitions = Object.entries(SCHEMAS).map(([name, schema]) => {
    const { $schema: _, ...definition } = z.toJSONSchema(schema);
    return [name, definition] as const;
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Files of the validation suite, schema ${SCHEMA_VERSION}`,
    description:
      'result: the canonical result. training: its tool_payload for a training run, and the ' +
      'plain form of it. health: a run under way. faultReport: what fault-test writes.',
    anyOf: Object.keys(SCHEMAS).map((name) => ({ $ref: `#/$defs/${name}` })),
    $defs: Object.fromEntries(definitions),
  };
}
