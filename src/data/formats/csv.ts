/** Tables in text: rows of cells with the lines they came from. */
import { DataError } from '../../base/errors.ts';

/** A row of a table; `line` counts from 1. */
export interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

const SEPARATORS = [',', ';', '\t'];
const MAX_CELLS = 1_000_000;

/**
 * The rows of a table in text, empty lines left out. Cells are separated by the one of `,` `;` and
 * tab that the first line has most of; a cell in `"` may hold these and line ends, `""` for `"`.
 *
 * Throws: DataError for a quote that is not closed.
 * Source: RFC 4180.
 */
export function* csvRows(text: string, path: string): Generator<CsvRow, void> {
  const firstLine = text.slice(0, (text.indexOf('\n') + 1 || text.length + 1) - 1);
  const separator = SEPARATORS.reduce((best, one) =>
    countOf(firstLine, one) > countOf(firstLine, best) ? one : best,
  );
  let line = 1;
  let position = 0;
  while (position < text.length) {
    const start = line;
    const cells: string[] = [];
    let isRowOver = false;
    while (!isRowOver && cells.length < MAX_CELLS) {
      const isQuoted = text[position] === '"';
      const end = isQuoted ? closingQuote(text, position, path, start) + 1 : position;
      const stop = cellEnd(text, end, separator);
      const raw = text.slice(position, isQuoted ? end : stop);
      line += isQuoted ? countOf(raw, '\n') : 0;
      cells.push(isQuoted ? raw.slice(1, -1).replaceAll('""', '"') : raw.trim());
      isRowOver = stop >= text.length || text[stop] === '\n';
      position = stop + 1;
    }
    line += 1;
    if (cells.length > 1 || cells[0] !== '') yield { line: start, cells };
  }
}

function closingQuote(text: string, open: number, path: string, line: number): number {
  let at = text.indexOf('"', open + 1);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  if (at !== -1) return at;
  throw new DataError(
    `reading ${path}: line ${line}: expected a " that closes the cell, found the end of the file`,
    { path, line },
  );
}

function cellEnd(text: string, from: number, separator: string): number {
  for (let at = from; at < text.length; at++)
    if (text[at] === separator || text[at] === '\n') return at;
  return text.length;
}

function countOf(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) count++;
  return count;
}
