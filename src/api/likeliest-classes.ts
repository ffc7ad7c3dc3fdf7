/** Which classes the scores of a network stand for. */
import type { DatasetTarget } from '../data/dataset.ts';
import type { ModelDescription } from '../runs/model-description.ts';
import { staticElementCount } from '../graph/values/shape.ts';

/**
 * The class with the greatest score, of equal ones the first, of every sample, position or pixel;
 * none for tasks without classes.
 *
 * Shapes: scores [count, classes], of a sequence [count, length, classes], of a segmentation [count,
 *         classes, ...size] -> [count], [count, length], [count, ...size]. One score alone is that of
 *         the second of two classes.
 */
export function likeliestClasses(
  task: DatasetTarget['kind'],
  scores: Float32Array,
  shape: readonly number[],
  gives: ModelDescription['output']['gives'] = 'logits',
): Int32Array {
  switch (task) {
    case 'classification':
    case 'sequence':
      if (shape.length === 1 || shape.at(-1) === 1)
        return secondOfTwo(scores, gives === 'probabilities' ? 0.5 : 0);
      return largest(scores, shape.at(-1) ?? 1);
    case 'segmentation':
      return largest(channelsLast(scores, shape), shape[1] ?? 1);
    case 'regression':
    case 'binary':
      return new Int32Array(0);
    default:
      return task satisfies never;
  }
}

/** Scores [count, classes, ...size] as [count, ...size, classes]. */
function channelsLast(
  scores: Float32Array,
  [, classes = 1, ...size]: readonly number[],
): Float32Array {
  const pixels = staticElementCount(size);
  return scores.map((_, index) => {
    const [row, column] = [Math.floor(index / classes), index % classes];
    const sample = Math.floor(row / pixels);
    return scores[(sample * classes + column) * pixels + (row % pixels)] ?? 0;
  });
}

/** 1 where a score is above that of even chances. */
function secondOfTwo(scores: Float32Array, even: number): Int32Array {
  return Int32Array.from(scores, (score) => Number(score > even));
}

/** The index of the largest number in every row; of equal ones the first. */
function largest(scores: Float32Array, rowLength: number): Int32Array {
  const found = new Int32Array(scores.length / rowLength);
  for (const row of found.keys()) {
    const start = row * rowLength;
    let best = start;
    for (let i = start + 1; i < start + rowLength; i++)
      if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
    found[row] = best - start;
  }
  return found;
}
