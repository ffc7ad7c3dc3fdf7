/** The user's arrays as a data set: types and shapes say which are features, labels or tokens. */
import { DataError } from '../../base/errors.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetTarget, FileForm } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { channelsLast } from '../sample-form.ts';
import type { NpyArray } from '../formats/npy.ts';
import { sharedBytes, sharedFloat32, sharedInt32 } from '../shared-memory.ts';

/** An array with the name that messages give it. */
export interface NamedArray {
  readonly name: string;
  readonly array: NpyArray;
}

/** Features and targets of one split. */
export interface ArrayPair {
  readonly x: NamedArray;
  readonly y: NamedArray;
}

/** The user's arrays by name, and what they are to be read as. */
export interface ArrayOptions {
  readonly name: string;
  /** Number of classes; absent: as many as occur. */
  readonly classes?: number | undefined;
  /** Number of token ids; absent: as many as occur. */
  readonly vocabulary?: number | undefined;
}

/**
 * A data set of each pair, all of one task.
 *
 * x [N, ...]: bytes or floats are features, other whole numbers token ids. Images may be [N, H, W],
 * [N, C, H, W] or [N, H, W, C] with 1 or 3 channels; they become [C, H, W].
 * y: whole numbers [N] or bytes are labels; whole numbers [N, T] beside tokens [N, T] are the
 * labels of a sequence, [N, H, W] or [N, 1, H, W] beside numbers those of pixels; booleans [N, ...]
 * yes-or-no answers; floats [N, ...] a regression.
 * Throws: DataError naming the array, and the sample, for shapes that do not fit, NaN, labels or
 *         tokens out of range.
 */
export function makeArrayDatasets(pairs: readonly ArrayPair[], options: ArrayOptions): Dataset[] {
  const task = taskOf(pairs, options);
  return pairs.map(({ x, y }) => {
    const sampleCount = x.array.shape[0] ?? 0;
    return makeDataset({
      name: options.name,
      sampleCount,
      features: task.layout.features,
      target: task.target,
      ...(task.vocabulary === undefined ? {} : { vocabulary: task.vocabulary }),
      x: featuresOf(x, task),
      y: targetsOf(y, task.target),
      normalisation: AS_STORED,
      ...(task.layout.form && { fileForm: { layout: task.layout.form } }),
    });
  });
}

interface Task {
  readonly layout: Layout;
  readonly target: DatasetTarget;
  readonly vocabulary?: number;
}

/** The shape in which a sample is used, and how it is stored if otherwise. */
interface Layout {
  readonly features: readonly number[];
  readonly form?: NonNullable<FileForm['layout']>;
}

function taskOf(pairs: readonly ArrayPair[], { classes, vocabulary }: ArrayOptions): Task {
  const [first] = pairs;
  if (first === undefined)
    throw new DataError('expected arrays of features and targets, found none');
  for (const { x, y } of pairs) checkPair(x, y, first);
  const layout = layoutOf(first.x);
  const isTokens = first.x.array.kind === 'integers' || first.x.array.kind === 'bool';
  const target = targetOf(pairs, isTokens, classes);
  if (!isTokens) return { layout, target };
  return {
    layout,
    target,
    vocabulary: countOf(
      'token',
      pairs.map(({ x }) => x),
      'vocabulary',
      vocabulary,
    ),
  };
}

function checkPair(x: NamedArray, y: NamedArray, first: ArrayPair): void {
  const [samples = 0, ...features] = x.array.shape;
  if (x.array.shape.length < 2 || x.array.length === 0)
    throw new DataError(
      `${x.name}: expected samples with features, shape (N, ...), found shape ` +
        `(${x.array.shape.join(', ')})`,
    );
  if (y.array.shape[0] !== samples)
    throw new DataError(
      `${y.name}: expected one target for each of the ${samples} samples of ${x.name}, found ` +
        `shape (${y.array.shape.join(', ')})`,
    );
  for (const [array, other] of [
    [x, first.x],
    [y, first.y],
  ] as const) {
    const isSame =
      array.array.kind === other.array.kind &&
      array.array.shape.slice(1).join() === other.array.shape.slice(1).join();
    if (!isSame)
      throw new DataError(
        `${array.name}: expected ${describe(other)} as in ${other.name}, found ${describe(array)}`,
        { features },
      );
  }
}

function describe({ array }: NamedArray): string {
  return `${array.kind} of shape (${['N', ...array.shape.slice(1)].join(', ')})`;
}

function layoutOf({ array }: NamedArray): Layout {
  const features = array.shape.slice(1);
  const isColour = (size: number | undefined): boolean => size === 1 || size === 3;
  if (features.length === 2 && array.kind === 'bytes')
    return { features: [1, ...features], form: 'grey' };
  const [first, height = 0, last] = features;
  if (features.length === 3 && isColour(last) && !isColour(first))
    return { features: [last ?? 0, first ?? 0, height], form: 'channels-last' };
  return { features };
}

function targetOf(
  pairs: readonly ArrayPair[],
  isTokens: boolean,
  classes: number | undefined,
): DatasetTarget {
  const ys = pairs.map(({ y }) => y);
  const [{ x, y }] = pairs as readonly [ArrayPair];
  const { kind, shape } = y.array;
  const outputs = shape.slice(1).reduce((count, size) => count * size, 1);
  const arranged = shape.length > 2 ? { outputs, shape: shape.slice(1) } : { outputs };
  if (kind === 'floats') return { kind: 'regression', ...arranged };
  if (kind === 'bool' && shape.length > 1) return { kind: 'binary', ...arranged };
  const counted = (): number => countOf('label', ys, 'classes', classes);
  if (outputs > 1 && isBlackAndWhite(y)) {
    throw new DataError(
      `${y.name}: expected classes from 0 on for each pixel, found 0 and 255 only. Divide such a ` +
        'mask by 255, or store booleans.',
      { name: y.name },
    );
  }
  if (outputs === 1) return { kind: 'classification', classes: counted() };
  const length = shape[1] ?? 0;
  if (isTokens && shape.length === 2 && length === x.array.shape[1])
    return { kind: 'sequence', classes: counted(), length };
  // A mask may have a channel of its own.
  const size = shape.length > 3 && length === 1 ? shape.slice(2) : shape.slice(1);
  if (!isTokens && size.length > 1) return { kind: 'segmentation', classes: counted(), size };
  throw new DataError(
    `${y.name}: expected labels of shape (N); beside tokens of the shape of ${x.name}, beside ` +
      'images (N, H, W); floats for a regression; booleans for yes-or-no answers. Found ' +
      describe(y),
  );
}

/** Whether bytes are 0 or 255 only, as in a mask that was an image. */
function isBlackAndWhite({ array }: NamedArray): boolean {
  if (array.kind !== 'bytes') return false;
  let isSeen = false;
  for (let i = 0; i < array.length; i++) {
    const value = array.at(i);
    if (value !== 0 && value !== 255) return false;
    isSeen ||= value === 255;
  }
  return isSeen;
}

/** Largest count of classes or of different tokens. */
const MAX_COUNT = 16_777_216;

/**
 * As many as `given`, or as occur: one more than the largest of the whole numbers, all of which
 * must be below it.
 */
function countOf(
  what: string,
  arrays: readonly NamedArray[],
  setting: string,
  given: number | undefined,
): number {
  let count = 2;
  for (const { name, array } of arrays) {
    const perSample = array.length / (array.shape[0] ?? 1);
    for (let i = 0; i < array.length; i++) {
      const value = array.at(i);
      if (value < 0 || value >= (given ?? MAX_COUNT))
        throw new DataError(
          `${name}: sample ${Math.floor(i / perSample)}: expected a ${what} from 0 to ` +
            `${(given ?? MAX_COUNT) - 1}${given === undefined ? '' : ` (${setting} ${given})`}, ` +
            `found ${value}`,
          { name, sample: Math.floor(i / perSample) },
        );
      if (value >= count) count = value + 1;
    }
  }
  return given ?? count;
}

function featuresOf(x: NamedArray, { layout, vocabulary }: Task): Dataset['x'] {
  const { array, name } = x;
  const target =
    vocabulary !== undefined
      ? sharedInt32(array.length, name)
      : array.kind === 'bytes'
        ? sharedBytes(array.length, name)
        : sharedFloat32(array.length, name);
  const sourceOf =
    layout.form === 'channels-last'
      ? channelsLast(layout.features)
      : (index: number): number => index;
  for (let i = 0; i < array.length; i++) target[i] = array.at(sourceOf(i));
  checkFinite(target, x);
  return target;
}

function targetsOf(y: NamedArray, target: DatasetTarget): Dataset['y'] {
  const { array, name } = y;
  const isFloat = target.kind === 'regression' || target.kind === 'binary';
  const values = isFloat ? sharedFloat32(array.length, name) : sharedInt32(array.length, name);
  for (let i = 0; i < array.length; i++) values[i] = array.at(i);
  checkFinite(values, y);
  return values;
}

function checkFinite(values: Dataset['x'] | Dataset['y'], { name, array }: NamedArray): void {
  if (!(values instanceof Float32Array)) return;
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at === -1) return;
  const sample = Math.floor(at / (array.length / (array.shape[0] ?? 1)));
  throw new DataError(
    `${name}: sample ${sample}: expected finite float32 numbers, found ${values[at]}. Replace ` +
      'or leave out such samples.',
    { name, sample },
  );
}
