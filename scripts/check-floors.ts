/**
 * Checks the house: a file imports (types included) only from its own folder or from strictly lower floors,
 * and the folders that a browser tab will run import no `node:` module. Prints what is wrong and exits 1.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const FLOORS: Readonly<Record<string, number>> = {
  base: 0,
  config: 1, graph: 1, kernels: 1, metrics: 1, transport: 1,
  autodiff: 2, collectives: 2, data: 2, plan: 2, checkpoint: 2, dashboard: 2, tracking: 2, letters: 2,
  models: 3, optim: 3, protocol: 3, faults: 3,
  runtime: 4,
  worker: 5, coordinator: 5, rounds: 5,
  launch: 6,
  validate: 7,
  cli: 8,
}; // prettier-ignore

const WITHOUT_NODE = new Set([
  'base',
  'graph',
  'autodiff',
  'kernels',
  'optim',
  'plan',
  'protocol',
  'metrics',
  'models',
  'worker',
  'coordinator',
]);

/** Packages that only one folder may import. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = {
  'onnxruntime-node': 'runtime',
  'node:net': 'transport',
  commander: 'cli',
};

const source = resolve(dirname(fileURLToPath(import.meta.url)), '..', 'src');
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;

function problemsOf(file: string): string[] {
  const folder = relative(source, file).split(sep)[0] ?? '';
  const where = relative(join(source, '..'), file);
  if (where === join('src', 'index.ts')) return [];
  const floor = FLOORS[folder];
  if (floor === undefined)
    return [`${where}: folder ${folder}/ stands on no floor; add it to scripts/check-floors.ts`];
  const problems: string[] = [];
  for (const match of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    const target = match[1] ?? match[2] ?? match[3] ?? '';
    if (!target.startsWith('.')) {
      const owner = OWNED_PACKAGES[target];
      if (owner !== undefined && owner !== folder)
        problems.push(`${where}: only ${owner}/ may import ${target}`);
      if (target.startsWith('node:') && WITHOUT_NODE.has(folder))
        problems.push(`${where}: ${folder}/ must run in a browser, but imports ${target}`);
      continue;
    }
    const targetFolder = relative(source, resolve(dirname(file), target)).split(sep)[0] ?? '';
    const targetFloor = FLOORS[targetFolder];
    if (targetFolder === folder) continue;
    if (targetFloor === undefined) problems.push(`${where}: imports ${target}, which is outside the house`);
    else if (targetFloor >= floor)
      problems.push(`${where}: floor ${floor} imports ${targetFolder}/ on floor ${targetFloor}`);
  }
  return problems;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter(
    (name) =>
      name.endsWith('.ts') &&
      !name.endsWith('.test.ts') &&
      !name.endsWith('.contract.ts') &&
      !name.includes('assembly'),
  )
  .map((name) => join(source, name));
const problems = files.flatMap(problemsOf);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`floors: ${files.length} files, each imports only downwards`);
