/** Samples for a model from files of the user's: images, tables, tokens. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { extname } from 'node:path';
import { ConfigError, DataError, messageOf } from '../base/errors.ts';
import { csvRows, type CsvRow } from '../data/formats/csv.ts';
import { decodeImage, IMAGE_ENDINGS, resizeImage } from '../data/formats/decode-image.ts';
import { asInFile } from '../data/sample-form.ts';
import { isFinite32, isHeader } from '../data/sources/csv-dataset.ts';
import type { ModelDescription } from '../runs/model-description.ts';

/** One sample of the user's. */
export interface ReadSample {
  /** Where it came from: a path, with the line in a table or text. */
  readonly name: string;
  readonly values: ArrayLike<number>;
  /** The label beside it in a table, as it is written there. */
  readonly label?: string;
}

/** One file may have this many bytes. */
const MAX_FILE_BYTES = 2 ** 27;
const TABLE_ENDINGS = ['.csv', '.tsv'];

type Input = ModelDescription['input'];

/**
 * Reads the samples of one argument: the path of an image or of a table, or, for a model of tokens,
 * of a text with one sample of ids per line, or the ids themselves.
 *
 * Throws: ConfigError for a path where nothing is, of a kind that the model has no use for, or
 *         that does not fit it: size of an image, columns of a table, count of ids; DataError
 *         for damage, naming file and line.
 */
export function readSamples(argument: string, input: Input): readonly ReadSample[] {
  const ending = extname(argument).toLowerCase();
  if (input.holds === 'tokens') return readTokens(argument, input);
  if (TABLE_ENDINGS.includes(ending)) return readTable(argument, input);
  if (input.holds === 'pixels' && IMAGE_ENDINGS.includes(ending))
    return [readImage(argument, input)];
  const isImages = input.holds === 'pixels';
  const expected = (isImages ? [...IMAGE_ENDINGS, ...TABLE_ENDINGS] : TABLE_ENDINGS).join(', ');
  throw new ConfigError(
    `predicting for ${argument}: expected a file that ends in ${expected}: the model takes ` +
      (isImages ? 'images, or tables of their pixels' : 'rows of a table'),
    [{ path: 'input', expected, got: argument }],
  );
}

function readContent(path: string): Buffer {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true)
    throw new ConfigError(
      `predicting for ${path}: ` +
        (stats === undefined ? 'there is no such file' : 'expected a file, got something else'),
    );
  if (stats.size > MAX_FILE_BYTES)
    throw new DataError(
      `reading ${path}: expected at most ${MAX_FILE_BYTES} bytes, found ${stats.size}. Divide it.`,
    );
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(`predicting for ${path}: ${messageOf(error)}`, [], { cause: error });
  }
}

function readText(path: string): string {
  try {
    const content = readContent(path);
    return new TextDecoder('utf-8', { fatal: true }).decode(content).replaceAll('\r\n', '\n');
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DataError(
      `reading ${path}: expected text in UTF-8, found bytes that are none`,
      { path },
      { cause: error },
    );
  }
}

function readImage(path: string, { shape, hasChannelsLast, imageSize }: Input): ReadSample {
  const [height, width, channels] = sizesOf(shape.slice(1).map(Number), hasChannelsLast === true);
  const read = decodeImage(readContent(path), path, channels === 3 ? 3 : 1);
  const image = imageSize === undefined ? read : resizeImage(read, imageSize);
  if (image.height !== height || image.width !== width)
    throw new ConfigError(
      `predicting for ${path}: expected ${width} x ${height} pixels, as the model was trained on, ` +
        `found ${image.width} x ${image.height}. Bring it to that size; a model that was trained ` +
        'with --image-size takes any.',
    );
  const form = { features: [channels, height, width] };
  const layout = hasChannelsLast === true ? ({ layout: 'channels-last' } as const) : {};
  return { name: path, values: asInFile(image.pixels, { ...form, fileForm: layout }) };
}

/** Height, width and channels of an image of this shape. */
function sizesOf(shape: readonly number[], hasChannelsLast: boolean): [number, number, number] {
  const [a = 1, b = 1, c = 1] = shape;
  if (shape.length === 2) return [a, b, 1];
  return hasChannelsLast ? [a, b, c] : [b, c, a];
}

function readTable(path: string, input: Input): readonly ReadSample[] {
  const rows = csvRows(readText(path), path);
  const first = rows.next().value ?? undefined;
  const hasHeader = first !== undefined && isHeader(first);
  const columns = first && columnsOf(path, first, hasHeader ? first.cells : undefined, input);
  if (first === undefined || columns === undefined)
    throw new DataError(`reading ${path}: expected rows, found none`, { path });
  const width = first.cells.length;
  const samples = hasHeader ? [] : [sampleOf(path, first, columns, width, input)];
  for (const row of rows) samples.push(sampleOf(path, row, columns, width, input));
  if (samples.length === 0)
    throw new DataError(`reading ${path}: expected rows below the header, found none`, { path });
  return samples;
}

/** Where the features are in a row, and the label if it is there. */
interface Columns {
  readonly features: readonly number[];
  readonly label?: number;
}

function columnsOf(
  path: string,
  { cells }: CsvRow,
  header: readonly string[] | undefined,
  { shape, columnNames, labelColumn, labelName }: Input,
): Columns {
  if (header !== undefined && columnNames !== undefined && areDistinct(columnNames)) {
    const missing = columnNames.filter((name) => !header.includes(name));
    if (missing.length > 0)
      throw new ConfigError(
        `predicting for ${path}: expected the columns ${listed(columnNames)}, found ` +
          `${listed(header)}: ${listed(missing)} is missing`,
      );
    const label = labelName === undefined ? -1 : header.indexOf(labelName);
    const features = columnNames.map((name) => header.indexOf(name));
    return { features, ...(label !== -1 && { label }) };
  }
  const count = shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
  const all = [...cells.keys()];
  if (cells.length === count) return { features: all };
  if (labelColumn !== undefined && cells.length === count + 1)
    return { features: all.toSpliced(labelColumn - 1, 1), label: labelColumn - 1 };
  const withLabel =
    labelColumn === undefined ? '' : `, or ${count + 1} with the label in column ${labelColumn}`;
  throw new ConfigError(
    `predicting for ${path}: expected rows of ${count} cells${withLabel}, found ${cells.length}`,
  );
}

function areDistinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length;
}

const MAX_NAMED = 20;

function listed(names: readonly string[]): string {
  return names.slice(0, MAX_NAMED).join(', ') + (names.length > MAX_NAMED ? ', ...' : '');
}

function sampleOf(
  path: string,
  { line, cells }: CsvRow,
  { features, label }: Columns,
  width: number,
  { type }: Input,
): ReadSample {
  const refuse = (what: string): never => {
    throw new DataError(`reading ${path}: line ${line}: ${what}`, { path, line });
  };
  if (cells.length !== width) refuse(`expected ${width} cells, found ${cells.length}`);
  const values = features.map((column) => {
    const cell = cells[column] ?? '';
    const value = Number(cell);
    const isByte = Number.isInteger(value) && value >= 0 && value <= 255;
    if (isFinite32(cell) && (type !== 'uint8' || isByte)) return value;
    const expected = type === 'uint8' ? 'a whole number from 0 to 255' : 'a number';
    return refuse(
      `column ${column + 1}: expected ${expected}, found ${JSON.stringify(cell.slice(0, 40))}`,
    );
  });
  return {
    name: `${path}:${line}`,
    values: Float32Array.from(values),
    ...(label !== undefined && { label: cells[label] ?? '' }),
  };
}

function readTokens(argument: string, input: Input): readonly ReadSample[] {
  const isFile = existsSync(argument) || extname(argument) !== '';
  if (!isFile) return [{ name: argument, values: idsOf(argument, 'the text given', input) }];
  const lines = readText(argument).split('\n');
  const samples = lines.flatMap((line, index) => {
    const name = `${argument}:${index + 1}`;
    return line.trim() === '' ? [] : [{ name, values: idsOf(line, name, input) }];
  });
  if (samples.length > 0) return samples;
  throw new DataError(`reading ${argument}: expected lines of ids, found none`, { path: argument });
}

/** The ids in a line of text. */
function idsOf(text: string, where: string, { shape, about }: Input): readonly number[] {
  const count = shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
  const words = text.trim().split(/[\s,;]+/);
  const odd = words.find((word) => !/^\d{1,10}$/.test(word));
  if (odd === undefined && words.length === count) return words.map(Number);
  throw new ConfigError(
    `predicting for ${where}: expected ${count} numbers, ${about}, found ` +
      (odd === undefined ? String(words.length) : JSON.stringify(odd.slice(0, 40))),
  );
}
