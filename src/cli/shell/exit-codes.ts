import { type ErrorCode, LockstepError } from '../../base/errors.ts';

/** Exit codes of every command; documented in docs/errors.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, filesFailed: 3, interrupted: 130 } as const;

/** What the user gave was wrong: exit code 2. Anything else that goes wrong is 1. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'CONFIG_INVALID',
  'SHAPE_MISMATCH',
  'GRAPH_UNSUPPORTED',
]);

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return error instanceof LockstepError && USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed;
}
