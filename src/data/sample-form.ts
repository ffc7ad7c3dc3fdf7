/** What samples are, without the samples: how their files hold them, and what they mean. */
import { storedTypeOf } from './dataset.ts';
import type { Dataset } from './dataset.ts';

/** What one must know of a data set to give a model that learned from it samples of one's own. */
export interface SampleForm extends Pick<
  Dataset,
  'features' | 'target' | 'vocabulary' | 'classNames' | 'normalisation' | 'fileForm'
> {
  readonly storedAs: 'uint8' | 'int32' | 'float32';
}

/** The form of the samples of a data set. */
export function sampleFormOf(dataset: Dataset): SampleForm {
  const { features, target, vocabulary, classNames, normalisation, fileForm } = dataset;
  return {
    features,
    target,
    normalisation,
    storedAs: storedTypeOf(dataset.x),
    ...(vocabulary !== undefined && { vocabulary }),
    ...(classNames !== undefined && { classNames }),
    ...(fileForm !== undefined && { fileForm }),
  };
}

/** The shape of a sample in its file. */
export function fileShapeOf({
  features,
  fileForm,
}: Pick<SampleForm, 'features' | 'fileForm'>): readonly number[] {
  const [channels = 1, ...size] = features;
  if (fileForm?.layout === 'grey') return size;
  return fileForm?.layout === 'channels-last' ? [...size, channels] : features;
}

/** Stored samples [N, ...features] as their file has them: the same numbers, perhaps reordered. */
export function asInFile(
  stored: Uint8Array | Float32Array | Int32Array,
  { features, fileForm }: Pick<SampleForm, 'features' | 'fileForm'>,
): Uint8Array | Float32Array | Int32Array {
  const copy = stored.slice();
  if (fileForm?.layout !== 'channels-last') return copy;
  const sourceOf = channelsLast(features);
  for (let i = 0; i < copy.length; i++) copy[sourceOf(i)] = stored[i] ?? 0;
  return copy;
}

/** Gives where element i of [N, C, H, W] lies in an array [N, H, W, C]. */
export function channelsLast([channels = 1, height = 1, width = 1]: readonly number[]): (
  index: number,
) => number {
  const plane = height * width;
  return (index) => {
    const inSample = index % (channels * plane);
    return index - inSample + (inSample % plane) * channels + Math.floor(inSample / plane);
  };
}
