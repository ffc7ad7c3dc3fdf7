/** A folder of images, one folder per class. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { ConfigError, DataError, messageOf, ShortageError } from '../../base/errors.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import type { DatasetSettings } from '../dataset-settings.ts';
import { decodeImage, IMAGE_ENDINGS, resizeImage } from '../formats/decode-image.ts';
import type { Image } from '../formats/decode-image.ts';
import { checkArrayBytes, sharedBytes, sharedInt32 } from '../shared-memory.ts';
import { withTestSplit } from '../split.ts';

/** One file may have this many bytes. */
const MAX_FILE_BYTES = 2 ** 28;
const MAX_NAMED_FILES = 5;

/**
 * Images of `<folder>/<class>/<image>`, a tenth of them for the test, or of `<folder>/train/...`
 * and `<folder>/test/...`. Classes and images are taken in the order of their names; names with a
 * dot in front are not seen.
 *
 * Throws: DataError for a file that is no image (unless bad rows are skipped), for images of
 *         different sizes when no `imageSize` is given, and when there are not two classes;
 *         ConfigError for other `channels` than 1 or 3.
 */
export async function loadImageFolder(
  folder: string,
  settings: DatasetSettings,
  seed: number,
): Promise<DatasetSplits> {
  const { channels } = settings;
  if (channels !== 1 && channels !== 3)
    throw new ConfigError(
      `channels: expected 1 (grey) or 3 (red, green, blue) for images of a folder, got ${channels}`,
    );
  const folders = await visible(folder);
  if (!folders.includes('train') || !folders.includes('test')) {
    const { dataset, skipped } = await readClasses(folder, folders, settings, channels);
    return withNotes(withTestSplit(dataset, `folder ${folder}`, seed), skipped);
  }
  const [trainFolder, testFolder] = [join(folder, 'train'), join(folder, 'test')];
  const classNames = await visible(trainFolder);
  const train = await readClasses(trainFolder, classNames, settings, channels);
  const foreign = (await visible(testFolder)).filter((name) => !classNames.includes(name));
  if (foreign.length > 0)
    throw new DataError(
      `reading ${testFolder}: expected the classes of ${trainFolder}, found also ` +
        foreign.slice(0, MAX_NAMED_FILES).join(', '),
    );
  const test = await readClasses(testFolder, classNames, settings, channels);
  if (train.dataset.features.join() !== test.dataset.features.join())
    throw new DataError(
      `reading ${folder}: expected images of one size, found ` +
        `[${train.dataset.features.join(', ')}] in train and ` +
        `[${test.dataset.features.join(', ')}] in test. Bring them to one with image_size.`,
    );
  const splits = {
    name: folder,
    origin: `folder ${folder}`,
    train: train.dataset,
    test: test.dataset,
  };
  return withNotes(splits, [...train.skipped, ...test.skipped]);
}

function withNotes(splits: DatasetSplits, skipped: readonly string[]): DatasetSplits {
  if (skipped.length === 0) return splits;
  const named =
    skipped.slice(0, MAX_NAMED_FILES).join('; ') +
    (skipped.length > MAX_NAMED_FILES ? '; ...' : '');
  return { ...splits, notes: [`${splits.name}: ${skipped.length} files skipped (${named})`] };
}

interface ImageClasses {
  readonly dataset: Dataset;
  /** What was left out, and why. */
  readonly skipped: readonly string[];
}

async function readClasses(
  folder: string,
  classNames: readonly string[],
  settings: DatasetSettings,
  channels: 1 | 3,
): Promise<ImageClasses> {
  const { images, labels, skipped } = await readImages(folder, classNames, settings, channels);
  const [first] = images;
  if (classNames.length < 2 || first === undefined)
    throw new DataError(
      `reading ${folder}: expected folders named for at least 2 classes with images ` +
        `(${IMAGE_ENDINGS.join(', ')}) in them, found ${classNames.length} folders and ` +
        `${images.length} images`,
      { folder },
    );
  const { height, width } = first;
  const pixels = channels * height * width;
  const x = sharedBytes(images.length * pixels, folder);
  images.forEach((image, sample) => x.set(image.pixels, sample * pixels));
  const y = sharedInt32(labels.length, folder);
  y.set(labels);
  const dataset = makeDataset({
    name: folder,
    sampleCount: images.length,
    features: [channels, height, width],
    target: { kind: 'classification', classes: classNames.length },
    classNames,
    x,
    y,
    normalisation: AS_STORED,
    fileForm: {
      layout: channels === 1 ? 'grey' : 'channels-last',
      ...(settings.imageSize !== undefined && { imageSize: settings.imageSize }),
    },
  });
  return { dataset, skipped };
}

interface LabelledImages {
  /** All of one size. */
  readonly images: readonly Image[];
  /** One for each image. */
  readonly labels: readonly number[];
  readonly skipped: readonly string[];
}

async function readImages(
  folder: string,
  classNames: readonly string[],
  { imageSize, onBadRow }: DatasetSettings,
  channels: 1 | 3,
): Promise<LabelledImages> {
  const images: Image[] = [];
  const labels: number[] = [];
  const skipped: string[] = [];
  let first: NamedImage | undefined;
  for await (const { path, label } of filesIn(folder, classNames)) {
    // Small files may hold large images: looked at before the next one is unpacked.
    checkArrayBytes((images.length + 1) * (first?.image.pixels.length ?? 0), folder);
    try {
      const read = await readImage(path, channels);
      const image = imageSize === undefined ? read : resizeImage(read, imageSize);
      first ??= { path, image };
      refuseOtherSize({ path, image }, first);
      images.push(image);
      labels.push(label);
    } catch (error) {
      if (onBadRow === 'stop' || error instanceof ShortageError) throw error;
      skipped.push(messageOf(error));
    }
  }
  return { images, labels, skipped };
}

interface NamedImage {
  readonly path: string;
  readonly image: Image;
}

function refuseOtherSize({ path, image }: NamedImage, first: NamedImage): void {
  const { width, height } = first.image;
  if (image.height === height && image.width === width) return;
  throw new DataError(
    `reading ${path}: expected ${width} x ${height} pixels as ${first.path} has, found ` +
      `${image.width} x ${image.height}. Bring all images to one size with image_size.`,
  );
}

async function readImage(path: string, channels: 1 | 3): Promise<Image> {
  if (!IMAGE_ENDINGS.includes(extname(path).toLowerCase()))
    throw new DataError(`reading ${path}: expected an image (${IMAGE_ENDINGS.join(', ')})`, {
      path,
    });
  const stats = await stat(path);
  if (!stats.isFile() || stats.size > MAX_FILE_BYTES)
    throw new DataError(
      `reading ${path}: expected an image of at most ${MAX_FILE_BYTES} bytes, found ` +
        (stats.isFile() ? stats.size : 'no file but a device, a pipe or a folder'),
      { path },
    );
  return decodeImage(await readFile(path), path, channels);
}

/** The files of every class, in the order of the names; a test may have none of a class. */
async function* filesIn(
  folder: string,
  classNames: readonly string[],
): AsyncGenerator<{ readonly path: string; readonly label: number }, void> {
  const present = await visible(folder);
  for (const [label, name] of classNames.entries()) {
    if (!present.includes(name)) continue;
    for (const file of await visible(join(folder, name)))
      yield { path: join(folder, name, file), label };
  }
}

/** Names in a folder, sorted by their code units: the same order on every machine. */
async function visible(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  } catch (error) {
    const isFile = error instanceof Error && 'code' in error && error.code === 'ENOTDIR';
    const found = isFile
      ? ', found a file. Beside it there may only be one folder for each class: move it elsewhere.'
      : `: ${messageOf(error)}`;
    throw new DataError(
      `reading ${folder}: expected a folder of images of one class${found}`,
      { folder },
      { cause: error },
    );
  }
}
