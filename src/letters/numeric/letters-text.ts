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
 *         number, or a class out of range; when there is no row.
 */
export function parseLettersText(text: string, options: LettersTextOptions): LettersRows {
  const { name } = options;
  const lines = text.split('\n');
  const first = lines.find((line) => line.trim() !== '');
  if (first === undefined)
    throw new DataError(`${name}: expected rows of whole numbers, got an empty file`);
  const layout = detectLayout(first.trim().split(','), options);
  const x = new Float64Array(lines.length * layout.features);
  const labels = new Uint8Array(lines.length);
  let count = 0;
  for (const [index, line] of lines.entries()) {
    const trimmed = line.trim();
    if (trimmed === '') continue;
    const cells = trimmed.split(',');
    const where = `${name}, line ${index + 1}`;
    if (cells.length !== layout.cells)
      throw new DataError(`${where}: expected ${layout.cells} values, got ${cells.length}`, {
        line: index + 1,
      });
    for (let i = 0; i < layout.features; i++)
      x[count * layout.features + i] = wholeNumber(cells[i + layout.firstFeature] ?? '', where);
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
      `${options.name}, first row: expected ${wanted} and a class, got ${cells} values with ` +
        'commas between',
    );
  }
  return { labelled, cells, features, firstFeature: isLetterFirst ? 1 : 0 };
}

function wholeNumber(cell: string, where: string): number {
  const text = cell.trim();
  if (!WHOLE_NUMBER.test(text))
    throw new DataError(`${where}: expected a whole number, got "${text.slice(0, 40)}"`);
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
      `${where}: expected a letter A to Z first, as in the first row, got "${cell.slice(0, 40)}"`,
    );
  const label = labelled === 'first' ? cell.charCodeAt(0) - 65 : wholeNumber(cell, where);
  if (label < 0 || label >= classes)
    throw new DataError(`${where}: expected a class from 0 to ${classes - 1}, got ${label}`);
  return label;
}
