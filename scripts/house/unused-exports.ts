/**
 * Exports that nobody needs, as knip finds them. It also takes the word export away:
 *
 *     npx knip --config scripts/house/knip.config.ts --include exports,types --fix
 */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const PROGRAM = resolve(import.meta.dirname, '../../node_modules/knip/bin/knip.js');
const CONFIG = join(import.meta.dirname, 'knip.config.ts');

/** One file of knip's report; the keys are its kinds of issues. */
interface Row {
  readonly file: string;
  readonly files?: readonly unknown[];
  readonly exports: readonly Unused[];
  readonly types: readonly Unused[];
}

interface Unused {
  readonly name: string;
  readonly line: number;
}

/** Finds files and exports that nobody imports, and what only tests keep alive. */
export async function checkUnusedExports(root: string): Promise<string[]> {
  const [unused, unusedButByTests] = await Promise.all([
    runKnip(root, 'files,exports,types'),
    runKnip(root, 'exports,types', '--production'),
  ]);
  const problems = new Map([
    ...placesOf(unusedButByTests, 'is used by tests only. Delete it, or move it beside them'),
    ...placesOf(unused, 'is imported by nobody. Delete it, or the word export before it'),
  ]);
  for (const { file, files = [] } of unused)
    if (files.length > 0) problems.set(file, 'nobody imports this file. Delete it');
  const { compare } = new Intl.Collator('en', { numeric: true });
  return [...problems].map(([place, problem]) => `${place}: ${problem}`).sort(compare);
}

function placesOf(rows: readonly Row[], problem: string): [place: string, problem: string][] {
  return rows.flatMap(({ file, exports, types }) =>
    [...exports, ...types].map(({ name, line }) => [`${file}:${line}`, `${name} ${problem}`]),
  );
}

async function runKnip(root: string, kinds: string, ...mode: string[]): Promise<Row[]> {
  const args = ['--config', CONFIG, '--reporter', 'json', '--include', kinds, ...mode];
  const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: root });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const status = await new Promise((done, fail) => child.on('error', fail).on('close', done));
  if (status !== 0 && status !== 1)
    throw new Error(`knip ended with ${String(status)}: ${output.stderr}${output.stdout}`);
  return (JSON.parse(output.stdout) as { issues: Row[] }).issues;
}
