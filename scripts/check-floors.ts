/**
 * Checks the house: a file imports (types included) only from its own folder or from strictly lower
 * floors, the folders that a browser tab will run import no `node:` module, and no folder has
 * become a drawer. Prints what is wrong and exits 1.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Every folder that holds files, from the ground up. A room of a wing is a folder like any other.
 */
const FLOORS: readonly (readonly string[])[] = [
  ['base'],
  ['charts', 'config', 'graph/values', 'kernels', 'metrics', 'transport'],
  ['checkpoint', 'collectives', 'data', 'data/formats', 'graph/operators', 'plan'],
  ['data/sources', 'graph', 'letters/numeric'],
  ['autodiff', 'graph/file', 'letters/thrift'],
  ['models', 'optim', 'protocol'],
  ['membership', 'models/imported', 'runtime', 'state'],
  ['coordinator', 'letters', 'worker'],
  ['strategies'],
  ['job', 'runs'],
  ['launch'],
  ['validate/results'],
  ['validate/bench', 'validate/compare', 'validate/watch'],
  ['validate/drills', 'validate/reports'],
  ['cli/shell'],
  ['cli/texts'],
  ['cli/commands'],
  ['cli'],
];

const WITHOUT_NODE = new Set([
  'base',
  'charts',
  'graph',
  'graph/values',
  'graph/operators',
  'graph/file',
  'autodiff',
  'kernels',
  'membership',
  'optim',
  'plan',
  'protocol',
  'metrics',
  'models',
  'models/imported',
  'worker',
  'coordinator',
]);

/** Packages that only one wing may import. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = {
  'onnxruntime-node': 'runtime',
  'node:net': 'transport',
  commander: 'cli',
};

/** More files than this in one folder is a drawer: look for the rooms in it. */
const MAX_SOURCES = 25;
const MAX_FILES = 40;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(root, 'src');
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;
const floorOf = new Map(
  FLOORS.flatMap((rooms, floor) => rooms.map((room) => [room, floor] as const)),
);

/** The folder of a file, from `src/`, with `/` on every platform. */
function roomOf(file: string): string {
  return relative(source, dirname(file)).split(sep).join('/');
}

function importsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
}

function problemsOf(file: string): string[] {
  const room = roomOf(file);
  const where = relative(root, file);
  if (where === join('src', 'index.ts')) return [];
  const floor = floorOf.get(room);
  if (floor === undefined)
    return [`${where}: folder ${room}/ stands on no floor; add it to scripts/check-floors.ts`];
  const problems: string[] = [];
  for (const target of importsOf(file)) {
    if (!target.startsWith('.')) {
      const owner = OWNED_PACKAGES[target];
      if (owner !== undefined && owner !== room.split('/')[0])
        problems.push(`${where}: only ${owner}/ may import ${target}`);
      if (target.startsWith('node:') && WITHOUT_NODE.has(room))
        problems.push(`${where}: ${room}/ must run in a browser, but imports ${target}`);
      continue;
    }
    const targetRoom = roomOf(resolve(dirname(file), target));
    const targetFloor = floorOf.get(targetRoom);
    if (targetRoom === room) continue;
    if (targetFloor === undefined)
      problems.push(`${where}: imports ${target}, which is outside the house`);
    else if (targetFloor >= floor)
      problems.push(`${where}: floor ${floor} imports ${targetRoom}/ on floor ${targetFloor}`);
  }
  return problems;
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts') || file.endsWith('.contract.ts');
}

/** Folders with more files than a reader takes in. */
function drawersAmong(files: readonly string[]): string[] {
  return [...floorOf.keys()].flatMap((room) => {
    const inRoom = files.filter((file) => roomOf(file) === room);
    const sources = inRoom.filter((file) => !isTest(file)).length;
    if (inRoom.length === 0)
      return [`src/${room}: there is no such folder; remove it from its floor`];
    if (sources <= MAX_SOURCES && inRoom.length <= MAX_FILES) return [];
    return [
      `src/${room}: ${sources} source files, ${inRoom.length} with tests; expected at most ` +
        `${MAX_SOURCES} and ${MAX_FILES}. Which rooms are in it?`,
    ];
  });
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.includes('assembly'))
  .map((name) => join(source, name));
const sources = files.filter((file) => !isTest(file));
const problems = [...sources.flatMap(problemsOf), ...drawersAmong(files)];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(
  `floors: ${sources.length} files in ${floorOf.size} folders, each imports only downwards`,
);
