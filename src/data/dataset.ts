/** What a sample is to be mapped to. */
export type DatasetTarget =
  | { readonly kind: 'classification'; readonly classes: number }
  | { readonly kind: 'regression'; readonly outputs: number; readonly shape?: AnswerShape }
  /** Several yes-or-no answers: 0 to 1 each. */
  | { readonly kind: 'binary'; readonly outputs: number; readonly shape?: AnswerShape }
  /** One label per position; the label `classes` means that the position is ignored. */
  | { readonly kind: 'sequence'; readonly classes: number; readonly length: number }
  /** One label per pixel, [height, width] or with more axes. */
  | { readonly kind: 'segmentation'; readonly classes: number; readonly size: readonly number[] };

/** How the numbers of one answer are arranged when they are no list: [1, height, width]. */
type AnswerShape = readonly number[];

/**
 * Turns a stored feature into the float a model sees: `x = stored * scale + shift`; float32
 * numbers, one for all features or one per channel (`features[0]`).
 */
export interface Normalisation {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/** Random changes of a training image of bytes [channels, height, width] each time it is used. */
export interface Augmentation {
  /** Zeros around the image, from which one of its own size is cut; 0 for none. */
  readonly cropPadding: number;
  /** Whether it is mirrored left to right every other time. */
  readonly flips: boolean;
}

/** How the files of the data hold a sample, where that is otherwise than `features` says. */
export interface FileForm {
  /**
   * Of images, whose features are [channels, height, width]: `grey` is [height, width] in the file,
   * `channels-last` [height, width, channels].
   */
  readonly layout?: 'grey' | 'channels-last';
  /** Height and width that images of any size were brought to. */
  readonly imageSize?: number;
  /** Names of the feature columns of a table, if it has a header. */
  readonly columnNames?: readonly string[];
  /** Which column of a table the label is, from 1, and its name if the table has a header. */
  readonly labelColumn?: number;
  readonly labelName?: string;
}

/**
 * Samples of one split, in shared memory: plain data, so posting it to the compute threads of a
 * process shares the one copy.
 *
 * Shapes: x [sampleCount, ...features] row-major, bytes or float32 to be normalised, or int32 token
 *         ids; y [sampleCount] labels 0 .. classes - 1 (int32), [sampleCount, length] for a
 *         sequence and [sampleCount, ...size] for a segmentation (int32), or [sampleCount, outputs]
 *         float32.
 */
export interface Dataset {
  readonly name: string;
  readonly sampleCount: number;
  /** Shape of one sample, e.g. [784]. */
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  /** Size of the vocabulary when x are token ids 0 .. vocabulary - 1. */
  readonly vocabulary?: number;
  /** Names of the classes, or the characters of the tokens, where they have any. */
  readonly classNames?: readonly string[];
  readonly x:
    Uint8Array<SharedArrayBuffer> | Float32Array<SharedArrayBuffer> | Int32Array<SharedArrayBuffer>;
  readonly y: Int32Array<SharedArrayBuffer> | Float32Array<SharedArrayBuffer>;
  readonly normalisation: Normalisation;
  readonly fileForm?: FileForm;
  /** Training split only. */
  readonly augmentation?: Augmentation;
  /** SHA-256 (hex) over shapes, types and bytes of x and y; see dataset-digest.ts. */
  readonly digest: string;
}

/**
 * A data set as training uses it: `test` is what evaluation reports; `validation` exists only when
 * it was asked for.
 */
export interface DatasetSplits {
  readonly name: string;
  /** Where the samples came from, in words: a folder, a package, an address, a formula. */
  readonly origin: string;
  /**
   * What the user should know of how they were read: what was left out, what could not be verified.
   */
  readonly notes?: readonly string[];
  readonly train: Dataset;
  readonly test: Dataset;
  readonly validation?: Dataset;
}

/** Where data files may lie. All folders are absolute or relative to the working folder. */
export interface DataPlaces {
  /** The user's own folder, searched first. */
  readonly dataDir?: string | undefined;
  /**
   * Lockstep's cache folder; downloads go to a folder of the data set's name in it. Need not exist.
   */
  readonly cacheDir: string;
}

/** Number of stored values of one sample. */
export function featureCountOf(dataset: Pick<Dataset, 'features'>): number {
  return dataset.features.reduce((count, size) => count * size, 1);
}

/** Number of target values of one sample: 1 label, all labels of it, or the outputs. */
export function targetCountOf({ target }: Pick<Dataset, 'target'>): number {
  if (target.kind === 'classification') return 1;
  if (target.kind === 'segmentation') return target.size.reduce((count, size) => count * size, 1);
  return target.kind === 'sequence' ? target.length : target.outputs;
}

/** How the values of an array of a data set are stored. */
export function storedTypeOf(values: Dataset['x'] | Dataset['y']): 'uint8' | 'int32' | 'float32' {
  if (values instanceof Uint8Array) return 'uint8';
  return values instanceof Int32Array ? 'int32' : 'float32';
}

/** No normalisation: features are used as they are stored. */
export const AS_STORED: Normalisation = { scale: [1], shift: [0] };

/**
 * Gives the normalisation that maps bytes to `(byte / 255 - mean) / std`, in all channels or each.
 */
export function normalisationOfBytes(
  mean: number | readonly number[],
  std: number | readonly number[],
): Normalisation {
  const means = [mean].flat();
  const stds = [std].flat();
  return {
    scale: stds.map((value) => Math.fround(1 / (255 * value))),
    shift: stds.map((value, i) => Math.fround(-(means[i] ?? 0) / value)),
  };
}
