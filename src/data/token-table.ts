/**
 * What the token ids of a text data set stand for: kept with a trained language model, so that it
 * can be talked to.
 */
import { ConfigError } from '../base/errors.ts';
import type { Dataset } from './dataset.ts';

/** `char`: id i is `characters[i]`; `byte`: id i is the byte i of UTF-8. */
export type TokenTable =
  { readonly kind: 'char'; readonly characters: readonly string[] } | { readonly kind: 'byte' };

const BYTES = 256;

/** The table of a data set for a language model; undefined when its tokens are no text. */
export function tokenTableOf({
  target,
  vocabulary,
  classNames,
}: Pick<Dataset, 'target' | 'vocabulary' | 'classNames'>): TokenTable | undefined {
  if (target.kind !== 'sequence' || target.classes !== vocabulary) return undefined;
  if (classNames?.length === vocabulary) return { kind: 'char', characters: classNames };
  return vocabulary === BYTES ? { kind: 'byte' } : undefined;
}

/** A table as it was written to a file, or ConfigError. */
export function parseTokenTable(value: unknown, where: string): TokenTable {
  const table =
    typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  const { kind, characters } = table;
  if (kind === 'byte') return { kind };
  if (kind === 'char' && isCharacters(characters)) return { kind, characters };
  throw new ConfigError(
    `${where}: expected what Lockstep writes there, a table of characters or "byte"`,
  );
}

function isCharacters(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((item) => typeof item === 'string' && Array.from(item).length === 1)
  );
}

/** Number of different ids. */
export function vocabularyOf(table: TokenTable): number {
  return table.kind === 'byte' ? BYTES : table.characters.length;
}

/** The ids of `text`. Throws ConfigError naming the characters that the table does not have. */
export function encodeText(table: TokenTable, text: string): number[] {
  if (table.kind === 'byte') return [...new TextEncoder().encode(text)];
  const ids = new Map(table.characters.map((character, id) => [character, id]));
  const unknown = new Set(Array.from(text).filter((character) => !ids.has(character)));
  if (unknown.size > 0) {
    throw new ConfigError(
      'prompt: expected characters that the model was trained on, got ' +
        `${JSON.stringify([...unknown].join(''))}. It knows ` +
        `${JSON.stringify(table.characters.join(''))}.`,
    );
  }
  return Array.from(text, (character) => ids.get(character) ?? 0);
}

/** Turns ids into text one by one; bytes of an unfinished character are held back. */
export function createTextDecoder(table: TokenTable): (id: number) => string {
  if (table.kind === 'char') return (id) => table.characters[id] ?? '';
  const decoder = new TextDecoder();
  return (id) => decoder.decode(Uint8Array.of(id), { stream: true });
}
