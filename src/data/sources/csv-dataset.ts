/** The user's table as a data set: numbers in all columns but the one to be predicted. */
import { ConfigError, DataError } from '../../base/errors.ts';
import type { BadRowAction } from '../dataset-settings.ts';
import { csvRows } from '../formats/csv.ts';
import type { CsvRow } from '../formats/csv.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, FileForm } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { sharedFloat32, sharedInt32 } from '../shared-memory.ts';

/** A table, and how it is read. */
export interface CsvOptions {
  /** Name of the file in messages. */
  readonly path: string;
  readonly text: string;
  /**
   * Name in the header or number from 1; absent: the only column that is no number, else the last.
   */
  readonly labelColumn?: string | undefined;
  readonly onBadRow: BadRowAction;
}

/** The data set, and how many rows were left out. */
export interface CsvDataset {
  readonly dataset: Dataset;
  /** What was left out, in words; absent when every row was used. */
  readonly skipped?: string;
}

/** Bad rows that a message names. */
const MAX_NAMED_ROWS = 5;
const MAX_CLASSES = 65_536;

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const INTEGER = /^[+-]?\d{1,15}$/;

/**
 * Reads a table. Its first row is a header when none of its cells is a number. Labels that are all
 * whole numbers or not numbers are classes, in the order of their values or letters; other numbers
 * are a regression.
 *
 * Throws: DataError naming lines: for rows of another length, cells that are no finite number,
 *         empty labels (unless they are to be skipped), and for a table without usable rows;
 *         ConfigError for an unknown label column.
 */
export function makeCsvDataset({ path, text, labelColumn, onBadRow }: CsvOptions): CsvDataset {
  const rows = csvRows(text, path);
  const top = nextOf(rows);
  const header = top !== undefined && isHeader(top) ? top.cells : undefined;
  const first = header === undefined ? top : nextOf(rows);
  const columns = header?.length ?? first?.cells.length ?? 0;
  if (first === undefined || columns < 2)
    throw new DataError(
      `reading ${path}: expected rows of at least two cells, features and a label, found ` +
        (first === undefined ? 'no rows' : `${columns} column`),
      { path },
    );
  const label = labelIndex(path, header, first, columns, labelColumn);
  const table: Table = { features: [], labels: [] };
  const bad: string[] = [];
  let badCount = 0;
  for (let row: CsvRow | undefined = first; row !== undefined; row = nextOf(rows)) {
    const reason = whatIsWrong(row, columns, label);
    if (reason === undefined) addRow(table, row, label);
    else if (badCount++ < MAX_NAMED_ROWS) bad.push(`line ${row.line}: ${reason}`);
  }
  const rowCount = table.labels.length + badCount;
  const named = bad.join('; ') + (badCount > bad.length ? '; ...' : '');
  if (table.labels.length === 0 || (badCount > 0 && onBadRow === 'stop'))
    throw new DataError(
      `reading ${path}: ${badCount} of ${rowCount} rows cannot be used: ${named}. Correct ` +
        `them${table.labels.length === 0 ? '' : ', or leave them out with --on-bad-row skip'}.`,
      { path, badRows: badCount, rows: rowCount },
    );
  const fileForm: FileForm = {
    labelColumn: label + 1,
    ...(header && { columnNames: header.toSpliced(label, 1), labelName: header[label] ?? '' }),
  };
  const dataset = datasetOf(path, table, columns - 1, fileForm);
  return badCount === 0
    ? { dataset }
    : { dataset, skipped: `${badCount} of ${rowCount} rows skipped (${named})` };
}

/**
 * What is kept of the rows; a row's cells are let go of at once, or a large table would not fit.
 */
interface Table {
  readonly features: number[];
  readonly labels: string[];
}

/** Whether a first row is a header: none of its cells is a number. */
export function isHeader({ cells }: CsvRow): boolean {
  return cells.every((cell) => !NUMBER.test(cell));
}

function nextOf(rows: Generator<CsvRow, void>): CsvRow | undefined {
  const { value } = rows.next();
  return value ?? undefined;
}

function addRow({ features, labels }: Table, { cells }: CsvRow, label: number): void {
  cells.forEach((cell, column) => {
    if (column === label) labels.push(cell);
    else features.push(Number(cell));
  });
}

function labelIndex(
  path: string,
  header: readonly string[] | undefined,
  first: CsvRow,
  columns: number,
  wanted: string | undefined,
): number {
  if (wanted === undefined) {
    const words = first.cells.flatMap((cell, column) => (NUMBER.test(cell) ? [] : [column]));
    return words.length === 1 && first.cells.length === columns ? (words[0] ?? 0) : columns - 1;
  }
  const named = header?.indexOf(wanted) ?? -1;
  if (named !== -1) return named;
  const number = INTEGER.test(wanted) ? Number(wanted) : 0;
  if (number >= 1 && number <= columns) return number - 1;
  const names =
    header === undefined
      ? ''
      : `${header.slice(0, 20).join(', ')}${header.length > 20 ? ', ...' : ''}, or `;
  throw new ConfigError(
    `label_column: expected ${names}a number from 1 to ${columns} for ${path}, got "${wanted}"`,
    [{ path: 'label_column', expected: `a column of ${path}`, got: wanted }],
  );
}

function whatIsWrong({ cells }: CsvRow, columns: number, label: number): string | undefined {
  if (cells.length !== columns) return `expected ${columns} cells, found ${cells.length}`;
  const at = cells.findIndex((cell, column) => column !== label && !isFinite32(cell));
  if (at !== -1)
    return `column ${at + 1}: expected a number, found ${JSON.stringify(cells[at]?.slice(0, 40))}`;
  const target = cells[label] ?? '';
  if (target === '') return `column ${label + 1}: expected a label, found nothing`;
  // A number written out as NaN or beyond float32 would be a class of its own otherwise.
  return /^[+-]?(nan|inf|infinity)$/i.test(target) || (NUMBER.test(target) && !isFinite32(target))
    ? `column ${label + 1}: expected a finite number or a name, found ${JSON.stringify(target.slice(0, 40))}`
    : undefined;
}

/** Whether a cell is a number that float32 can hold. */
export function isFinite32(cell: string): boolean {
  return NUMBER.test(cell) && Number.isFinite(Math.fround(Number(cell)));
}

function datasetOf(
  path: string,
  { features, labels }: Table,
  width: number,
  fileForm: FileForm,
): Dataset {
  const x = sharedFloat32(features.length, path);
  x.set(features);
  const sampleCount = labels.length;
  const common = {
    ...{ name: path, sampleCount, features: [width], x },
    ...{ normalisation: AS_STORED, fileForm },
  };
  const isInteger = labels.every((text) => INTEGER.test(text));
  if (!isInteger && labels.every((text) => NUMBER.test(text))) {
    const y = sharedFloat32(sampleCount, path);
    y.set(labels.map(Number));
    return makeDataset({ ...common, target: { kind: 'regression', outputs: 1 }, y });
  }
  const classNames = classNamesOf(path, labels, isInteger);
  const idOf = new Map(classNames.map((name, id) => [name, id]));
  const y = sharedInt32(sampleCount, path);
  y.set(labels.map((text) => idOf.get(isInteger ? String(Number(text)) : text) ?? 0));
  return makeDataset({
    ...common,
    target: { kind: 'classification', classes: classNames.length },
    classNames,
    y,
  });
}

function classNamesOf(path: string, labels: readonly string[], isInteger: boolean): string[] {
  const classNames = isInteger
    ? [...new Set(labels.map(Number))].sort((a, b) => a - b).map(String)
    : [...new Set(labels)].sort();
  if (classNames.length >= 2 && classNames.length <= MAX_CLASSES) return classNames;
  throw new DataError(
    `reading ${path}: expected labels of 2 to ${MAX_CLASSES} classes, found ` +
      `${classNames.length} different ones. For a regression write labels with a decimal point.`,
    { path, classes: classNames.length },
  );
}
