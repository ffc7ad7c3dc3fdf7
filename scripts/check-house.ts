/**
 * Checks the house, beside what the compiler and the linter see: floors, rooms, what a browser can
 * run, unused exports and fields, doc comments, wide lines. Prints what is wrong and exits 1.
 *
 * Rings of imports, and functions of `src/job/` over a screen, are for the linter: `npm run lint`.
 */
import { resolve } from 'node:path';
import { checkChildWindows } from './house/child-windows.ts';
import { checkDocumentation } from './house/documentation.ts';
import { checkDrawers, checkFloors, checkWithoutNode } from './house/floors.ts';
import { checkLineWidths } from './house/line-widths.ts';
import { checkOutput } from './house/output.ts';
import { readSources } from './house/sources.ts';
import { checkStrategyNames } from './house/strategy-names.ts';
import { checkUnreadFields } from './house/unread-fields.ts';
import { checkUnusedExports } from './house/unused-exports.ts';

const root = resolve(import.meta.dirname, '..');
const unusedExports = checkUnusedExports(root);
const files = readSources(root);
const problems = [
  ...checkFloors(files),
  ...checkWithoutNode(files),
  ...checkDrawers(files),
  ...checkStrategyNames(files),
  ...checkOutput(files),
  ...checkChildWindows(files),
  ...checkUnreadFields(files),
  ...(await unusedExports),
  ...checkDocumentation(files),
  ...checkLineWidths(files),
];
for (const problem of problems) console.error(problem);
if (problems.length > 0) {
  console.error(`house: ${problems.length} problems`);
  process.exitCode = 1;
} else {
  console.log(`house: ${files.length} files, each where it belongs`);
}
