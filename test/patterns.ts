/** Patterns that are too long for one line. */

/** Joins patterns into one. */
export function parts(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join(''));
}

/** Matches a text of exactly these lines. */
export function lines(...patterns: readonly RegExp[]): RegExp {
  return new RegExp(`^${patterns.map(({ source }) => `${source}\\n`).join('')}$`);
}
