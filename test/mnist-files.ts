import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackZeroRunsInto } from '../src/data/formats/zero-runs.ts';
import { MNIST } from '../src/data/sources/mnist.ts';

/** The bytes of one of the four files of MNIST, header included. */
export function mnistFile(which: keyof typeof MNIST.files): Buffer {
  const { fileName, shape } = MNIST.files[which];
  const elements = shape.reduce((product, size) => product * size, 1);
  const bytes = Buffer.alloc(4 + 4 * shape.length + elements);
  const path = join(import.meta.dirname, '../datasets/mnist', `${fileName}.runs`);
  unpackZeroRunsInto(bytes, readFileSync(path));
  return bytes;
}
