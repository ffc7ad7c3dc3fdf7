/**
 * Packs the four files of MNIST in a folder for datasets/mnist/:
 * `node --import tsx scripts/pack-mnist.ts <folder of the plain files>`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packZeroRuns } from '../src/data/formats/zero-runs.ts';
import { MNIST } from '../src/data/sources/mnist.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('expected the folder of the plain files');
for (const { fileName } of Object.values(MNIST.files)) {
  const target = join(import.meta.dirname, '../datasets/mnist', `${fileName}.runs`);
  writeFileSync(target, packZeroRuns(readFileSync(join(folder, fileName))));
}
