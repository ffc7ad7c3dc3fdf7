/** Words for a shell of somebody else: what stands in a word is never obeyed. */

/** Words that no shell changes. */
const PLAIN = /^[\w@+:,./-][\w@+:,./=-]*$/;

/**
 * Quotes a word so that `sh` of any kind, `fish` and `csh` take it for exactly this text: in single
 * quotes, with each quote and backslash outside of them (in `fish` a backslash inside would count).
 * A NUL cannot be in a word: whoever takes words from users refuses it before.
 */
export function quote(word: string): string {
  if (PLAIN.test(word)) return word;
  if (word === '') return "''";
  return word.replaceAll(/[^'\\]+|['\\]/g, (part) =>
    part === "'" || part === '\\' ? `\\${part}` : `'${part}'`,
  );
}

/** Quotes words and joins them to a command line. */
export function quoteAll(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

/** Quotes a path on a host, where `~` and `~/...` mean the home folder of its user. */
export function quotePath(path: string): string {
  if (path === '~') return '"$HOME"';
  return path.startsWith('~/') ? `"$HOME"/${quote(path.slice(2))}` : quote(path);
}
