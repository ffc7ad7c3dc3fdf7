/** What one micro-batch takes, told before anybody waits for it. */
import { operationCount } from '../graph/operation-count.ts';
import { peakBytes } from '../graph/peak-bytes.ts';
import type { Graph } from '../graph/types.ts';
import { usualMicroBatch } from '../models/usual-batch.ts';

/** Operations of a core in ten seconds. */
const MUCH_WORK = 500e9;
const MUCH_MEMORY = 4 * 2 ** 30;

/**
 * A note when a micro-batch of the training graph takes a core more than ten seconds or so, or 4
 * GiB: with the size that takes less. Models with a name choose theirs; networks from files, and
 * large images, have 32 samples unless somebody says otherwise.
 */
export function noteOnMicroBatch(train: Graph, microBatch: number): string | undefined {
  const operations = operationCount(train);
  const bytes = peakBytes(train);
  if (microBatch === 1 || (operations < MUCH_WORK && bytes < MUCH_MEMORY)) return undefined;
  const withRoom = Math.floor((MUCH_MEMORY / 2 / bytes) * microBatch);
  const fitting = 2 ** Math.floor(Math.log2(Math.max(1, withRoom)));
  const size = Math.min(usualMicroBatch(operations / microBatch), fitting);
  return (
    `micro_batch: ${microBatch} samples take ${(operations / 1e9).toFixed(0)} billion operations ` +
    `and up to ${(bytes / 2 ** 30).toFixed(1)} GiB on every lane; with --micro-batch ${size} more ` +
    'workers have a part in a step, and less is lost with one of them'
  );
}
