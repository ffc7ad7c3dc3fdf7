import { createHash } from 'node:crypto';
import { invariant } from '../base/errors.ts';
import { storedTypeOf, featureCountOf, targetCountOf } from './dataset.ts';
import type { Dataset, DatasetTarget } from './dataset.ts';

/**
 * Hashes (SHA-256, hex) a data set's content: one line of JSON with shapes and types, then the
 * bytes of x, then those of y (little-endian). Names, origin, normalisation, augmentation are out.
 *
 * Cost: about 1 ms per 2 MB.
 */
export function datasetDigest(content: Omit<Dataset, 'digest'>): string {
  // Every platform of Node.js and ONNX Runtime is little-endian; others would need swapping.
  invariant(
    new Uint8Array(new Uint16Array([1]).buffer)[0] === 1,
    'data digests need a little-endian machine',
  );
  const { sampleCount, features, target, vocabulary, x, y } = content;
  const header = {
    format: 'lockstep-dataset-1',
    sampleCount,
    features,
    target: targetHeader(target),
    ...(vocabulary === undefined ? {} : { vocabulary }),
    x: storedTypeOf(x),
    y: storedTypeOf(y),
  };
  const hash = createHash('sha256');
  hash.update(`${JSON.stringify(header)}\n`);
  hash.update(new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
  hash.update(new Uint8Array(y.buffer, y.byteOffset, y.byteLength));
  return hash.digest('hex');
}

function targetHeader(target: DatasetTarget): readonly (string | number)[] {
  switch (target.kind) {
    case 'classification':
      return [target.kind, target.classes];
    case 'sequence':
      return [target.kind, target.classes, target.length];
    case 'segmentation':
      return [target.kind, target.classes, ...target.size];
    case 'regression':
    case 'binary':
      return [target.kind, target.outputs];
    default:
      return target satisfies never;
  }
}

/**
 * Adds the digest to a data set, once its arrays have the lengths that its shapes promise. That of
 * a content whose files are verified may be known.
 */
export function makeDataset(content: Omit<Dataset, 'digest'>, known?: string): Dataset {
  const featureCount = featureCountOf(content);
  const targetCount = targetCountOf(content);
  invariant(
    content.x.length === content.sampleCount * featureCount,
    `${content.name}: length of x`,
  );
  invariant(content.y.length === content.sampleCount * targetCount, `${content.name}: length of y`);
  return { ...content, digest: known ?? datasetDigest(content) };
}
