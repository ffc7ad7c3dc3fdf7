/**
 * Records help texts, files with their keys, and messages for test/unchanged.test.ts, when a change
 * of them is wanted: `node --import tsx scripts/record-unchanged.ts [folder of a checkout]`, by
 * default of this one. What is different from the last record is printed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  differencesOf,
  FIXTURES,
  readObservation,
  writeObservation,
} from '../test/unchanged/fixtures.ts';
import { observe } from '../test/unchanged/observe.ts';

const root = resolve(process.argv[2] ?? join(import.meta.dirname, '..'));
const folder = mkdtempSync(join(tmpdir(), 'lockstep-unchanged-'));
try {
  // Builds it, too.
  const { status } = spawnSync(process.execPath, [join(root, 'bin/lockstep.js'), '--version'], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
  const present = await observe(root, folder);
  const differences = differencesOf(readObservation(FIXTURES), present);
  console.log(differences.length === 0 ? 'nothing is different' : differences.join('\n'));
  writeObservation(FIXTURES, present);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
