/**
 * The text of a data file of the letters system: one row per line, whole numbers with commas
 * between. The class, a number from 0, comes last, as in the seed system; or a letter A to Z comes
 * first, as in the file of UCI.
 */
import { DataError } from '../../base/errors.ts';
import type { Rows } from './two-layer-network.ts';

/** Rows of one file, with how they were written there. */
export interface LettersRows extends Rows {
  /** Features per row. */
  readonly features: number;
  /** Where the class was found; 'none' when there was none to be read. */
  readonly labelled: 'last' | 'first' | 'none';
}

/** What a file is called and what its rows must be like. */
export interface LettersTextOptions {
  /** Named in errors. */
  readonly name: string;
  readonly classes: number;
  /** What every row must have; absent: what the first one has. */
  readonly features?: number;
  /** Rows may be without a class: then every row is one number shorter. Needs `features`. */
  readonly mayLackLabels?: boolean;
}

const LETTER = /^[A-Z]$/;
const WHOLE_NUMBER = /^-?\d{1,9}$/;
/** More than this many features per row is not a file of letters, and would only use up memory. */
const MAX_FEATURES = 4096;

/**
 * The rows in `text`; blank lines are passed over.
 *
 * Throws: DataError naming file and line when a row has another width, something that is no whole
 *         number, or a class out of range; when there is no row. It says where and of what kind the
 *         fault is, never what is there: whoever is told may not be who may read the file.
 */
export function parseLettersText(text: string, options: LettersTextOptions): LettersRows {
  const { name } = options;
  const first = linesOf(text).next().value;
  if (first === undefined)
    throw new DataError(`${name}: expected rows of whole numbers, got an empty file`);
  const layout = detectLayout(first.line.split(',', MAX_FEATURES + 2), options);
  // A row has as many characters as values, and commas and an end of line between: with more rows
  // than this, one of them is refused below.
  const mostRows = Math.ceil((text.length + 1) / (2 * layout.cells));
  const x = new Float64Array(mostRows * layout.features);
  const labels = new Uint8Array(mostRows);
  let count = 0;
  for (const { line, number } of linesOf(text)) {
    const cells = line.split(',', layout.cells + 1);
    const where = `${name}, line ${number}`;
    if (cells.length !== layout.cells) {
      const more = cells.length > layout.cells ? 'more' : 'fewer';
      throw new DataError(`${where}: expected ${layout.cells} values, got ${more}`, {
        line: number,
      });
    }
    for (let i = 0; i < layout.features; i++) {
      const at = i + layout.firstFeature;
      x[count * layout.features + i] = wholeNumber(cells[at] ?? '', at + 1, where);
    }
    labels[count] = classOf(cells, layout, options.classes, where);
    count++;
  }
  return {
    count,
    features: layout.features,
    labelled: layout.labelled,
    x: x.subarray(0, count * layout.features),
    labels: labels.subarray(0, count),
  };
}

/** The lines of a text that are not blank, trimmed, with their numbers from 1. */
function* linesOf(text: string): Generator<{ line: string; number: number }, undefined> {
  let from = 0;
  for (let number = 1; from <= text.length; number++) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end < 0 ? text.length : end).trim();
    from = end < 0 ? text.length + 1 : end + 1;
    if (line !== '') yield { line, number };
  }
}

interface Layout {
  readonly labelled: LettersRows['labelled'];
  readonly cells: number;
  readonly features: number;
  readonly firstFeature: number;
}

function detectLayout(first: readonly string[], options: LettersTextOptions): Layout {
  const cells = first.length;
  const isLetterFirst = LETTER.test(first[0]?.trim() ?? '');
  const isUnlabelled =
    options.mayLackLabels === true && !isLetterFirst && cells === options.features;
  const labelled = isLetterFirst ? 'first' : isUnlabelled ? 'none' : 'last';
  const features = isUnlabelled ? cells : cells - 1;
  const expected = options.features ?? features;
  if (features !== expected || features < 1 || features > MAX_FEATURES) {
    const wanted =
      options.features === undefined
        ? `1 to ${MAX_FEATURES} numbers`
        : `${options.features} numbers`;
    throw new DataError(
      `${options.name}, first row: expected ${wanted} and a class, with commas between, got ` +
        (features > expected || features > MAX_FEATURES ? 'more values' : 'fewer values'),
    );
  }
  return { labelled, cells, features, firstFeature: isLetterFirst ? 1 : 0 };
}

/** `column` counts from 1. */
function wholeNumber(cell: string, column: number, where: string): number {
  const text = cell.trim();
  if (!WHOLE_NUMBER.test(text))
    throw new DataError(`${where}: expected a whole number as value ${column}, got other text`);
  return Number(text);
}

function classOf(
  cells: readonly string[],
  { labelled }: Layout,
  classes: number,
  where: string,
): number {
  if (labelled === 'none') return 0;
  const cell = (labelled === 'first' ? cells[0] : cells.at(-1))?.trim() ?? '';
  if (labelled === 'first' && !LETTER.test(cell))
    throw new DataError(
      `${where}: expected a letter A to Z first, as in the first row, got other text`,
    );
  const label =
    labelled === 'first' ? cell.charCodeAt(0) - 65 : wholeNumber(cell, cells.length, where);
  if (label < 0 || label >= classes)
    throw new DataError(`${where}: expected a class from 0 to ${classes - 1}, got another number`);
  return label;
}
