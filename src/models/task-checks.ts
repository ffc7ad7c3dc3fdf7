/**
 * Whether data fit a model: each check gives the sizes it needs, or one message with both shapes.
 */
import { ConfigError } from '../base/errors.ts';
import { formatShape } from '../graph/values/shape.ts';
import type { ModelTask } from './model.ts';

/** The sizes of one image. */
export interface ImageSize {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/**
 * The sizes of the images of a task.
 *
 * Throws: ConfigError when samples are no images of at least `smallest` by `smallest`, or have a
 *         label per position.
 */
export function imageSizeOf(model: string, task: ModelTask, smallest: number): ImageSize {
  requireOneAnswer(model, task);
  const [channels, height, width, ...rest] = task.features;
  const isImage =
    channels !== undefined && height !== undefined && width !== undefined && rest.length === 0;
  if (!isImage || task.vocabulary !== undefined || Math.min(height, width) < smallest) {
    const least = smallest === 1 ? '' : `, ${smallest} by ${smallest} at least`;
    throw misfit(model, task, `images [channels, height, width]${least}`);
  }
  return { channels, height, width };
}

/**
 * Length and width of the number sequences of a task.
 *
 * Throws: ConfigError when samples are no rows of numbers, or have a label per position.
 */
export function numberSequenceOf(
  model: string,
  task: ModelTask,
): { length: number; width: number } {
  requireOneAnswer(model, task);
  const [length, width, ...rest] = task.features;
  if (
    length === undefined ||
    width === undefined ||
    rest.length > 0 ||
    task.vocabulary !== undefined
  ) {
    throw misfit(model, task, 'number sequences [length, width]');
  }
  return { length, width };
}

/** Rows of a model's tables. Undefined: as many as the data need. */
export interface TableSizes {
  readonly tokenTable?: number | undefined;
  readonly positionTable?: number | undefined;
}

/** The sizes of token sequences and of the tables for them. */
export interface TokenSequence {
  readonly length: number;
  /** Rows of the token table. */
  readonly tokens: number;
  /** Rows of the position table. */
  readonly positions: number;
}

/**
 * The length of the token sequences of a task, and how large the model's tables are.
 *
 * Throws: ConfigError when samples are no tokens, or when a table is too small for them.
 */
export function tokenSequenceOf(model: string, task: ModelTask, tables: TableSizes): TokenSequence {
  const [length, ...rest] = task.features;
  const { vocabulary } = task;
  if (length === undefined || rest.length > 0 || vocabulary === undefined) {
    throw misfit(model, task, 'tokens [length]');
  }
  const { tokenTable: tokens = vocabulary, positionTable: positions = length } = tables;
  if (vocabulary > tokens)
    throw tooSmall(model, 'token_table', tokens, `a vocabulary of ${vocabulary}`);
  if (length > positions)
    throw tooSmall(model, 'position_table', positions, `sequences of ${length} tokens`);
  return { length, tokens, positions };
}

/** Refuses tokens: the model computes with the numbers of a sample. */
export function requireNumbers(model: string, task: ModelTask): void {
  if (task.vocabulary === undefined) return;
  throw misfit(model, task, 'numbers');
}

/** Refuses a label per position or pixel: the model has one answer for a sample. */
export function requireOneAnswer(model: string, task: ModelTask): void {
  if (task.target.kind !== 'sequence' && task.target.kind !== 'segmentation') return;
  throw misfit(model, task, 'samples with one answer each');
}

/** The number of attention heads: a divisor of the width. */
export function checkedHeads(model: string, heads: number, width: number): number {
  if (width % heads === 0) return heads;
  const issue = { path: 'heads', expected: `a divisor of the width ${width}`, got: String(heads) };
  throw new ConfigError(`${model} option heads: expected ${issue.expected}, got ${issue.got}`, [
    issue,
  ]);
}

/** The number of blocks of a model that has no stages. */
export function singleCount(model: string, layers: readonly number[]): number {
  const [count, ...rest] = layers;
  if (count !== undefined && rest.length === 0) return count;
  const issue = { path: 'layers', expected: 'one number', got: formatShape(layers) };
  throw new ConfigError(`${model} option layers: expected ${issue.expected}, got ${issue.got}`, [
    issue,
  ]);
}

function tooSmall(
  model: string,
  option: 'token_table' | 'position_table',
  rows: number,
  needed: string,
): ConfigError {
  const issue = {
    path: option,
    expected: 'at least as many rows as the data need',
    got: String(rows),
  };
  return new ConfigError(
    `model ${model} and the data do not fit: its ${option} has ${rows} rows, the data have ` +
      `${needed}; give ${option} a larger number`,
    [issue],
  );
}

/** What a model needs and what the data are, in one message, with models for such data. */
export function misfit(model: string, task: ModelTask, expected: string): ConfigError {
  const { features, vocabulary, target } = task;
  const kind = vocabulary === undefined ? 'numbers' : `tokens 0 to ${vocabulary - 1}`;
  const labels =
    target.kind === 'sequence'
      ? ', each with a label'
      : target.kind === 'segmentation'
        ? `, with labels ${formatShape(target.size)}`
        : '';
  const got = `samples of ${kind} ${formatShape(features)}${labels}`;
  const others = modelsFor(task).filter((name) => name !== model);
  return new ConfigError(
    `model ${model} and the data do not fit: expected ${expected}, got ${got}; for such data: ` +
      others.join(', '),
    [{ path: 'model', expected, got }],
  );
}

function modelsFor({ features, vocabulary, target }: ModelTask): readonly string[] {
  if (target.kind === 'segmentation') return ['your own (--model net.onnx)'];
  if (target.kind === 'sequence') return ['gpt'];
  if (vocabulary !== undefined) return ['embedding', 'bert', 'gpt2'];
  if (features.length === 3) return ['simple_cnn', 'resnet18', 'resnet50', 'mlp'];
  return features.length === 2 ? ['transformer', 'mlp'] : ['mlp'];
}
