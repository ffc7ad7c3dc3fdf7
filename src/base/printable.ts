/**
 * Text of peers and files is data: shown to people as it is, and never obeyed by a terminal, a log
 * or a CI system. Every text of somebody else's goes through here.
 */

/**
 * What is not seen, or moves what is: control characters, direction marks and overrides, characters
 * without width, line and paragraph separators, halves of a pair. Emoji keep their variant.
 */
const UNSEEN =
  /(?![\uFE00-\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** What GitHub takes for a command at the beginning of a line: `::error::text`. */
const COMMAND_AT_START = /^([^\S\n]*):(?=:.*::)/gmu;
/** What GitHub and Azure take for one wherever it stands: `##[error]text`, `##vso[...]`. */
const COMMAND_ANYWHERE = /##(?=\[|vso\[)/gu;

const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  ['\t', String.raw`\t`],
]);

/**
 * Gives one line of at most `limit` characters that can be printed anywhere: what is unseen has
 * become an escape like `\x1b`, what is too long ends with "…". Letters of all languages stay.
 */
export function printable(text: string, limit = 200): string {
  // What a cut leaves out cannot matter, however long it is.
  const line = disarm(text.slice(0, limit + 1).replace(UNSEEN, escapeOf));
  if (line.length <= limit) return line;
  return `${line.slice(0, limit - 1).replace(/\p{Cs}$/u, '')}…`;
}

/** The same for a text of several lines, with tabs; of any length. */
export function printableLines(text: string): string {
  const escape = (unseen: string): string =>
    unseen === '\n' || unseen === '\t' ? unseen : escapeOf(unseen);
  return disarm(text.replace(UNSEEN, escape));
}

/** JSON that every program reads as before, in whose strings nothing is unseen. */
export function printableJson(json: string): string {
  const escape = (unseen: string): string =>
    unseen === '\n' ? unseen : unseen.split('').map(jsonEscapeOf).join('');
  // Outside of strings JSON has none of either.
  return json.replace(UNSEEN, escape).replace(COMMAND_ANYWHERE, String.raw`#\u0023`);
}

function jsonEscapeOf(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function disarm(text: string): string {
  const escapeFirst = String.raw`$1\x3a`;
  return text.replace(COMMAND_AT_START, escapeFirst).replace(COMMAND_ANYWHERE, String.raw`#\x23`);
}

function escapeOf(unseen: string): string {
  const short = SHORT_ESCAPES.get(unseen);
  if (short !== undefined) return short;
  const code = (unseen.codePointAt(0) ?? 0).toString(16);
  return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, '0')}`;
}
