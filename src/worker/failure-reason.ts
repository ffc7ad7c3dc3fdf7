/** What a worker tells its coordinator of its own failure. */
import type { ErrorCode, LockstepError } from '../base/errors.ts';

const MAX_REASON = 1000;

/** One text for whatever is wrong with files: it does not even say whether there is one. */
const DATA_REASON =
  "the data of this run are not there, or not the same; the worker's own terminal or log says more";

/** Errors that are about this machine's files, with words from them and their places. */
const ABOUT_FILES: readonly ErrorCode[] = ['DATA_INVALID', 'CONFIG_INVALID', 'FILE_FAILED'];

/** A path that begins at the root of a machine or of a drive, up to its last part. */
const FOLDERS = /(?<![\w.)\]])(?:[A-Za-z]:)?(?:[\\/][^\s\\/:'"]+)*[\\/](?=[^\s\\/:'"])/g;

/**
 * Why a worker cannot go on, for its coordinator: nothing of what is in the files of this machine
 * or of where they lie. The whole error is for the worker's own terminal.
 */
export function reasonForCoordinator({ code, message }: LockstepError): string {
  if (ABOUT_FILES.includes(code)) return DATA_REASON;
  // Behind the first line are stack traces and lists of files.
  const [line = ''] = message.slice(0, 4 * MAX_REASON).split('\n');
  return line.replace(FOLDERS, '').slice(0, MAX_REASON);
}
