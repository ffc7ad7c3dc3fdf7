/** What a sample is to be mapped to. */
export type DatasetTarget =
  | { readonly kind: 'classification'; readonly classes: number }
  | { readonly kind: 'regression'; readonly outputs: number };

/** Turns a stored feature into the float a model sees: `x = stored * scale + shift`. Both are float32 numbers. */
export interface Normalisation {
  readonly scale: number;
  readonly shift: number;
}

/**
 * Samples of one split, in shared memory: plain data, so posting it to the compute threads of a process
 * shares the one copy.
 *
 * Shapes: x [sampleCount, ...features] row-major; y [sampleCount] labels 0 .. classes - 1 (int32), or
 *         [sampleCount, outputs] float32 for regression.
 */
export interface Dataset {
  readonly name: string;
  readonly sampleCount: number;
  /** Shape of one sample, e.g. [784]. */
  readonly features: readonly number[];
  readonly target: DatasetTarget;
  readonly x: Uint8Array<SharedArrayBuffer> | Float32Array<SharedArrayBuffer>;
  readonly y: Int32Array<SharedArrayBuffer> | Float32Array<SharedArrayBuffer>;
  readonly normalisation: Normalisation;
  /** SHA-256 (hex) over shapes, types and bytes of x and y; see `digestOf`. */
  readonly digest: string;
}

/** A data set as training uses it: `test` is what evaluation reports; `validation` exists only when it was asked for. */
export interface DatasetSplits {
  readonly name: string;
  /** Where the samples came from, in words: a folder, a package, an address, a formula. */
  readonly origin: string;
  readonly train: Dataset;
  readonly test: Dataset;
  readonly validation?: Dataset;
}

/** Where data files may lie. All folders are absolute or relative to the working folder. */
export interface DataPlaces {
  /** The user's own folder, searched first. */
  readonly dataDir?: string | undefined;
  /** Lockstep's cache folder; downloads go to a folder of the data set's name in it. Need not exist. */
  readonly cacheDir: string;
  /** Folders from which installed npm packages are resolved, as `require` would from a file in them. */
  readonly packageDirs: readonly string[];
}

/** Number of stored values of one sample. */
export function featureCountOf(dataset: Pick<Dataset, 'features'>): number {
  return dataset.features.reduce((count, size) => count * size, 1);
}

/** Number of target values of one sample: 1 label, or the outputs of a regression. */
export function targetCountOf(dataset: Pick<Dataset, 'target'>): number {
  return dataset.target.kind === 'classification' ? 1 : dataset.target.outputs;
}

/** The normalisation that maps stored bytes to `(byte / 255 - mean) / std`. */
export function normalisationOfBytes(mean: number, std: number): Normalisation {
  return { scale: Math.fround(1 / (255 * std)), shift: Math.fround(-mean / std) };
}
