/**
 * Texts as training data of a language model: windows of tokens, each to be continued by one more.
 */
import { DataError } from '../../base/errors.ts';
import type { TokenKind } from '../dataset-settings.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { sharedInt32 } from '../shared-memory.ts';

/** A text, and how it is cut. */
export interface TextOptions {
  readonly name: string;
  readonly origin: string;
  /** UTF-8. */
  readonly content: Uint8Array;
  readonly tokens: TokenKind;
  /** Tokens of a sample. */
  readonly length: number;
}

/** Longest text, in bytes: every token takes 8 bytes of memory in each worker. */
export const MAX_TEXT_BYTES: number = 2 ** 27;

/** Part of the text, from its end, that is kept for the test. */
const TEST_PART = 0.1;

/**
 * Cuts the text into windows that do not overlap: x = tokens t .. t + T - 1, y = tokens t + 1 ..
 * t + T. The first nine tenths are for training, the last for the test; tokens that fill no window
 * are left out.
 *
 * `char`: the vocabulary are the characters (code points) of the whole text in order of their code;
 * `classNames` says which. `byte`: 256 tokens, for any text.
 * Throws: DataError when the text is no UTF-8 (`char`), or too short or too long.
 */
export function makeTextDataset(options: TextOptions): DatasetSplits {
  const { name, origin, content, tokens: kind } = options;
  if (content.length > MAX_TEXT_BYTES)
    throw new DataError(
      `${name}: expected at most ${MAX_TEXT_BYTES} bytes of text, found ${content.length}`,
    );
  const tokens = kind === 'byte' ? bytesOf(content) : charactersOf(name, content);
  const trainCount = tokens.ids.length - Math.floor(tokens.ids.length * TEST_PART);
  return {
    name,
    origin,
    train: makeSplit(options, tokens, 0, trainCount),
    test: makeSplit(options, tokens, trainCount, tokens.ids.length),
  };
}

/** The windows of tokens `from` to before `to`. */
function makeSplit(
  { name, length }: TextOptions,
  { ids, vocabulary, classNames }: Tokens,
  from: number,
  to: number,
): Dataset {
  const sampleCount = Math.floor((to - from - 1) / length);
  if (sampleCount < 1)
    throw new DataError(
      `${name}: expected at least ${Math.ceil((length + 1) / TEST_PART)} tokens, ` +
        `${length + 1} of them in the last tenth, for windows of ${length}; found ` +
        `${ids.length}. Lower sequence_length.`,
      { tokens: ids.length, length },
    );
  const count = sampleCount * length;
  const x = sharedInt32(count, name);
  const y = sharedInt32(count, name);
  x.set(ids.subarray(from, from + count));
  y.set(ids.subarray(from + 1, from + count + 1));
  return makeDataset({
    name,
    sampleCount,
    features: [length],
    target: { kind: 'sequence', classes: vocabulary, length },
    vocabulary,
    ...(classNames === undefined ? {} : { classNames }),
    x,
    y,
    normalisation: AS_STORED,
  });
}

interface Tokens {
  readonly ids: Int32Array;
  readonly vocabulary: number;
  readonly classNames?: readonly string[];
}

function bytesOf(content: Uint8Array): Tokens {
  return { ids: Int32Array.from(content), vocabulary: 256 };
}

function charactersOf(name: string, content: Uint8Array): Tokens {
  const ids = codePointsOf(name, content);
  const isUsed = new Uint8Array(CODE_POINTS);
  for (const code of ids) isUsed[code] = 1;
  const used = [...isUsed.keys()].filter((code) => isUsed[code] === 1);
  const idOf = new Int32Array(CODE_POINTS);
  used.forEach((code, id) => (idOf[code] = id));
  // In place: a second copy of a long text would not be small.
  for (let i = 0; i < ids.length; i++) ids[i] = idOf[ids[i] ?? 0] ?? 0;
  return {
    ids,
    vocabulary: used.length,
    classNames: used.map((code) => String.fromCodePoint(code)),
  };
}

/** Unicode's characters are numbered below this. */
const CODE_POINTS = 0x110000;

function codePointsOf(name: string, content: Uint8Array): Int32Array {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch (error) {
    throw new DataError(
      `${name}: expected text in UTF-8, found bytes that are none. Convert it, or read it as ` +
        'bytes with text_tokens byte.',
      {},
      { cause: error },
    );
  }
  const codes = new Int32Array(text.length);
  let count = 0;
  for (const character of text) codes[count++] = character.codePointAt(0) ?? 0;
  return codes.subarray(0, count);
}
