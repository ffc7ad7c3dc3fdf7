/** The letters that come with Lockstep, and the directory that is written of them. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { DataError, messageOf } from '../../base/errors.ts';
import { sha256Of, VALIDATION_FILE } from './letters-directory.ts';

const PACKED = new URL('../../../datasets/letter-recognition.br', import.meta.url);
const ROWS = 20_000;
const ROW_BYTES = 17;
const SHA256 = '7596403f161055a6e3be895f00d83f490850d765e9488a87f5d1ee6323929816';
const TRAINING_FILES = 11;
const ROWS_PER_FILE = 1_500;

/**
 * 20,000 rows of 17 bytes: 16 features from 0 to 15, then the letter, A = 0; in the order of UCI's
 * file.
 *
 * Source: D. Slate, "Letter Recognition", UCI Machine Learning Repository, 1991 (CC BY 4.0).
 */
export async function readPackedLetters(): Promise<Uint8Array> {
  const path = fileURLToPath(PACKED);
  let rows: Uint8Array;
  try {
    rows = brotliDecompressSync(await readFile(path), { maxOutputLength: ROWS * ROW_BYTES });
  } catch (error) {
    throw new DataError(
      `reading ${path}, which comes with Lockstep: ${messageOf(error)}. Install Lockstep again.`,
      { path },
      { cause: error },
    );
  }
  if (sha256Of(rows) !== SHA256)
    throw new DataError(
      `reading ${path}: expected the letters of UCI, got other bytes. Install Lockstep again.`,
    );
  return rows;
}

/**
 * Writes the seed system's directory: train_letters1.txt to train_letters11.txt with 1500 rows each
 * and validate_letters.txt with the last 3500; gives the names. The directory is made if it is
 * missing.
 *
 * Throws: DataError when it holds other training files, which would become part of the data, or
 *         cannot be written.
 */
export async function writeLettersDirectory(directory: string): Promise<string[]> {
  const packed = await readPackedLetters();
  const names = Array.from({ length: TRAINING_FILES }, (_, i) => `train_letters${i + 1}.txt`);
  try {
    await mkdir(directory, { recursive: true });
    const foreign = (await readdir(directory)).find(
      (name) => /^train_letters.*\.txt$/.test(name) && !names.includes(name),
    );
    if (foreign !== undefined) {
      throw new DataError(
        `writing ${directory}: ${foreign} is there already and would be trained on too. ` +
          'Choose an empty directory.',
      );
    }
    for (const [i, name] of names.entries())
      await writeFile(
        join(directory, name),
        textOf(packed, i * ROWS_PER_FILE, (i + 1) * ROWS_PER_FILE),
      );
    await writeFile(
      join(directory, VALIDATION_FILE),
      textOf(packed, TRAINING_FILES * ROWS_PER_FILE, ROWS),
    );
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `writing ${directory}: ${messageOf(error)}`,
      { directory },
      { cause: error },
    );
  }
  return [...names, VALIDATION_FILE];
}

function textOf(packed: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let row = from; row < to; row++)
    text += `${packed.subarray(row * ROW_BYTES, (row + 1) * ROW_BYTES).join(',')}\n`;
  return text;
}
