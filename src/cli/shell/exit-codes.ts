import { type ErrorCode, LockstepError } from '../../base/errors.ts';

/** Exit codes of every command; documented in docs/errors.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, filesFailed: 3, interrupted: 130 } as const;

/**
 * What the user gave cannot be used, a flag or a file: exit code 2, in every command. Anything else
 * that goes wrong is 1.
 */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'CONFIG_INVALID',
  'DATA_INVALID',
  'CHECKPOINT_INVALID',
  'SHAPE_MISMATCH',
  'GRAPH_UNSUPPORTED',
]);

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return error instanceof LockstepError && USAGE_CODES.has(error.code) ? EXIT.usage : EXIT.failed;
}
