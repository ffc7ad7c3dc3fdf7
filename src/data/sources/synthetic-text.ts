import { ConfigError } from '../../base/errors.ts';
import { RandomWords } from '../../base/random.ts';
import { AS_STORED } from '../dataset.ts';
import type { Dataset, DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { sharedInt32 } from '../shared-memory.ts';

/** How many texts are made, how long, and from which randomness. */
export interface SyntheticTextOptions {
  readonly seed: number;
  readonly sampleCount: number;
  readonly testSampleCount: number;
  readonly classes: number;
  /** Different tokens; at least two per class. */
  readonly vocabulary: number;
  /** Tokens of a sample. */
  readonly length: number;
}

/** Second counter word: what is drawn. The values are part of the digest contract. */
const DRAWS = { train: 32, test: 33 };

/** Tokens that belong to one class, at most. */
const MAX_WORDS_PER_CLASS = 8;

/**
 * Parts of all positions that hold a word of the sample's class, and a word of any class; the rest
 * belong to none.
 */
const OWN_PART = 0.2;
const ANY_PART = 0.2;

/**
 * Makes token sequences labelled with the class that has most words in them, the lowest of several.
 *
 * Class k owns the tokens k W .. (k + 1) W - 1, W = min(8, vocabulary / (2 classes)); all others
 * mean nothing. A sample is drawn for a class: a fifth of its positions hold words of that class, a
 * fifth words of any class. Sample i is the same whatever the counts. The bits are the same on
 * every machine.
 * Throws: ConfigError when the vocabulary is too small for the classes.
 */
export function makeSyntheticText(options: SyntheticTextOptions): DatasetSplits {
  const { seed, classes, vocabulary, length } = options;
  const wordsPerClass = Math.min(MAX_WORDS_PER_CLASS, Math.floor(vocabulary / (2 * classes)));
  if (wordsPerClass === 0)
    throw new ConfigError(
      `${NAME}: expected a vocabulary of at least ${2 * classes}, two tokens for each of ` +
        `${classes} classes, got ${vocabulary}`,
      [{ path: 'vocabulary', expected: `at least ${2 * classes}`, got: String(vocabulary) }],
    );
  const makeSplit = (draw: number, sampleCount: number): Dataset => {
    const x = sharedInt32(sampleCount * length, NAME);
    const y = sharedInt32(sampleCount, NAME);
    for (let i = 0; i < sampleCount; i++) {
      const sample = x.subarray(i * length, (i + 1) * length);
      drawTokens(new RandomWords(seed, 'synthetic', draw, i), sample, options, wordsPerClass);
      y[i] = labelOf(sample, classes, wordsPerClass);
    }
    return makeDataset({
      name: NAME,
      sampleCount,
      features: [length],
      target: { kind: 'classification', classes },
      vocabulary,
      x,
      y,
      normalisation: AS_STORED,
    });
  };
  return {
    name: NAME,
    origin: `computed from seed ${seed}`,
    train: makeSplit(DRAWS.train, options.sampleCount),
    test: makeSplit(DRAWS.test, options.testSampleCount),
  };
}

const NAME = 'synthetic_text';

function drawTokens(
  words: RandomWords,
  sample: Int32Array,
  { classes, vocabulary }: SyntheticTextOptions,
  wordsPerClass: number,
): void {
  const own = words.below(0, classes);
  const owned = classes * wordsPerClass;
  for (let position = 0; position < sample.length; position++) {
    const at = 2 * (position + 1);
    const choice = words.uniform(at);
    if (choice < OWN_PART)
      sample[position] = own * wordsPerClass + words.below(at + 1, wordsPerClass);
    else if (choice < OWN_PART + ANY_PART) sample[position] = words.below(at + 1, owned);
    else sample[position] = owned + words.below(at + 1, vocabulary - owned);
  }
}

function labelOf(sample: Int32Array, classes: number, wordsPerClass: number): number {
  const counts = new Int32Array(classes);
  for (const token of sample) {
    const label = Math.floor(token / wordsPerClass);
    if (label < classes) counts[label] = (counts[label] ?? 0) + 1;
  }
  return counts.indexOf(counts.reduce((most, count) => Math.max(most, count), 0));
}
