/** What a file says of the speeds of machines: as `lockstep profile` and the third seed write it. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { ConfigError, messageOf } from '../base/errors.ts';

const MAX_BYTES = 1 << 20;
const MAX_RANKS = 65_536;

/** Other keys, which describe the machine, are for people. */
const records = z
  .array(
    z.looseObject({
      compute_score: z.number().positive().max(1e6),
      /** Of all workers; the place in the file if absent. */
      rank: z
        .number()
        .int()
        .min(0)
        .max(MAX_RANKS - 1)
        .optional(),
    }),
  )
  .min(1)
  .max(MAX_RANKS);

/**
 * The scores in a file, by rank.
 *
 * Throws: ConfigError when it cannot be read, or holds something else.
 */
export function readScores(file: string): number[] {
  const parsed = records.safeParse(parseFile(file));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join('.') ?? '';
    throw wrong(file, `${place === '' ? '' : `${place}: `}${issue?.message ?? 'something else'}`);
  }
  const scores: number[] = [];
  for (const [i, record] of parsed.data.entries()) {
    const { compute_score: score, rank = i } = record;
    if (scores[rank] !== undefined) throw wrong(file, `rank ${rank} twice`);
    scores[rank] = score;
  }
  const missing = Array.from(scores).indexOf(undefined as never);
  if (missing !== -1) throw wrong(file, `no record of rank ${missing}`);
  return scores;
}

function parseFile(file: string): unknown {
  try {
    return JSON.parse(readBounded(file)) as unknown;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw wrong(file, messageOf(error));
  }
}

function readBounded(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    if (size > MAX_BYTES) throw wrong(file, `${size} bytes, which is more than ${MAX_BYTES}`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function wrong(file: string, got: string): ConfigError {
  return new ConfigError(
    `gpu_profiles: expected in ${file} a JSON array with a compute_score above 0 for every rank, ` +
      `got ${got}. \`lockstep profile\` writes one for this machine`,
    [{ path: 'gpu_profiles', expected: 'scores of all ranks', got }],
  );
}
