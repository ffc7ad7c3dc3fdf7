/** JSON files that some program wrote, maybe not ours. */
import { readFileSync, statSync } from 'node:fs';
import { ConfigError, messageOf } from '../../base/errors.ts';

/** A run of a million steps has less. */
const MAX_RESULT_BYTES: number = 256 * 1024 * 1024;

/**
 * What a JSON file holds. `NaN`, `Infinity` and `-Infinity`, which JSON does not know and Python
 * writes, are read as these numbers.
 *
 * Throws: ConfigError when there is no such file, it is too large, or not JSON; it names the byte.
 */
export function readJson(path: string): unknown {
  const text = readText(path).replace(/^\uFEFF/, '');
  try {
    return JSON.parse(text);
  } catch (error) {
    try {
      const withNumbers = text.replaceAll(
        STRING_OR_NUMBER_WORD,
        (word) => WORD_MARKS.get(word) ?? word,
      );
      if (withNumbers !== text)
        return JSON.parse(
          withNumbers,
          (_key, value: unknown) => MARKED_NUMBERS.get(value) ?? value,
        );
    } catch {
      // The first error has its place in the file's own text.
    }
    throw new ConfigError(`reading ${path}: ${syntaxProblem(text, error)}`, [], { cause: error });
  }
}

/** Strings are matched to pass over what is inside them. */
const STRING_OR_NUMBER_WORD = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\bInfinity\b|\bNaN\b/g;
/** No program writes a string like these. */
const NUMBER_WORDS: readonly (readonly [string, number])[] = [
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
];
const WORD_MARKS = new Map(
  NUMBER_WORDS.map(([word]) => [word, JSON.stringify(`\u0000number ${word}`)]),
);
const MARKED_NUMBERS = new Map<unknown, number>(
  NUMBER_WORDS.map(([word, value]) => [`\u0000number ${word}`, value]),
);

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > MAX_RESULT_BYTES)
      throw new ConfigError(
        `reading ${path}: expected at most ${MAX_RESULT_BYTES} bytes, got ${size}. Is it the ` +
          'right file?',
      );
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`reading ${path}: ${reasonOf(error)}`, [], { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  if (code === 'EISDIR') return 'expected a file, and this is a folder';
  return messageOf(error);
}

function syntaxProblem(text: string, error: unknown): string {
  const length = Buffer.byteLength(text);
  if (text.trim() === '')
    return `expected JSON, got ${length === 0 ? 'an empty file' : 'nothing but white space'}`;
  if (isCut(text, error))
    return `the JSON ends too early, after ${length} bytes: the file is truncated. Write it again`;
  const readable = text.slice(0, wrongAt(text));
  return `expected JSON; it is none from byte ${Buffer.byteLength(readable)} on`;
}

/** Whether more text could have made JSON of it. */
function isCut(text: string, error: unknown): boolean {
  const message = messageOf(error);
  const [, position] = /JSON at position (\d+)(?: \(line.*)?$/.exec(message) ?? [];
  return position === undefined
    ? message.startsWith('Unexpected end')
    : Number(position) >= text.length;
}

/**
 * The index of the first character that no JSON can have there: the engine does not always tell.
 */
function wrongAt(text: string): number {
  let [good, bad] = [0, text.length];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (isGoodBeginning(text.slice(0, middle))) good = middle;
    else bad = middle;
  }
  return good;
}

function isGoodBeginning(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    return isCut(text, error);
  }
}
