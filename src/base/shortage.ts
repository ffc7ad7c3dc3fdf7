/** What this machine or process has too little of, which is nobody else's fault. */
import { LockstepError, messageOf, RuntimeError, ShortageError } from './errors.ts';

/** What Node.js, V8 and ONNX Runtime say when they get no memory; these errors have no code. */
const NO_MEMORY =
  /could not allocate memory|array buffer allocation failed|failed to allocate memory|bad_alloc/i;

const MEMORY_REMEDY =
  'Use fewer --workers or --lanes, a smaller --micro-batch or model, or end other programs; ' +
  '`ulimit -v` says whether memory is limited.';

/** In words, by the code of the system or of Node.js. */
const BY_CODE: Readonly<Record<string, string>> = {
  EMFILE:
    'this process has as many files and connections open as it may (EMFILE). Raise the limit ' +
    'with `ulimit -n`, or use fewer workers.',
  ENFILE:
    'this machine has as many files and connections open as it may (ENFILE). End other ' +
    'programs, or raise fs.file-max.',
  ENOMEM: `this machine has no memory left (ENOMEM). ${MEMORY_REMEDY}`,
  ENOBUFS: `this machine has no memory left for connections (ENOBUFS). ${MEMORY_REMEDY}`,
  ERR_MEMORY_ALLOCATION_FAILED: `this machine has no memory left. ${MEMORY_REMEDY}`,
  ERR_WORKER_OUT_OF_MEMORY: `a thread has no memory left. ${MEMORY_REMEDY}`,
};

/** What is lacking, and what to do; undefined when `error` is about something else. */
export function shortageOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error ? String(error.code) : '';
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code];
  if (error instanceof LockstepError || !NO_MEMORY.test(error.message)) return undefined;
  return `this machine gives no more memory (${error.message}). ${MEMORY_REMEDY}`;
}

/** Anything that an engine can throw: as RuntimeError, unless it is an error of ours or a shortage. */
export function asRuntimeError(error: unknown): LockstepError {
  if (error instanceof LockstepError) return error;
  const shortage = shortageOf(error);
  return shortage === undefined
    ? new RuntimeError(messageOf(error).split('\n'), {}, { cause: error })
    : new ShortageError(shortage, {}, { cause: error });
}

/**
 * Anything that can be thrown as an error of ours: itself, a ShortageError, or else INTERNAL, a
 * mistake. `doing` says what was being done.
 */
export function asOurs(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error;
  const shortage = shortageOf(error);
  if (shortage !== undefined)
    return new ShortageError(`${doing}: ${shortage}`, {}, { cause: error });
  const message = `${doing}: internal error: ${messageOf(error)}`;
  return new LockstepError('INTERNAL', message, {}, { cause: error });
}

/** A copy of `bytes`; undefined if there is no memory for it. */
export function copyOf(bytes: Uint8Array): Uint8Array | undefined {
  try {
    return bytes.slice();
  } catch (error) {
    if (shortageOf(error) === undefined) throw error;
    return undefined;
  }
}
