/**
 * The plan of the house: a file imports (types included) only from its own folder or from strictly
 * lower floors, what a browser tab can run reaches nothing of Node.js, and no folder has become a
 * drawer.
 */
import { roomOf, type SourceFile } from './sources.ts';

/**
 * Every folder that holds files, from the ground up. A room of a wing is a folder like any other.
 */
export const FLOORS: readonly (readonly string[])[] = [
  ['base'],
  ['charts', 'graph/values', 'kernels', 'metrics', 'options', 'transport'],
  ['checkpoint', 'collectives', 'dashboard/view', 'data', 'data/formats', 'graph/operators'],
  ['collectives/shm', 'dashboard/page', 'data/parcels', 'data/sources', 'graph', 'letters/numeric'],
  ['autodiff', 'graph/file', 'letters/thrift'],
  ['models', 'optim', 'protocol'],
  ['access', 'models/imported', 'plan'],
  ['launch/group', 'state'],
  ['membership', 'runtime'],
  ['coordinator/steps', 'runtime/lanes'],
  ['coordinator/states'],
  ['coordinator/groups'],
  ['config', 'coordinator', 'letters', 'worker'],
  ['remote', 'strategies'],
  ['job', 'runs/journal', 'schedulers'],
  ['doctor/checks', 'runs'],
  ['dashboard', 'launch', 'trackers'],
  ['api', 'doctor/facts', 'validate/results'],
  ['doctor', 'replay', 'validate/bench', 'validate/compare', 'validate/watch'],
  ['validate/drills', 'validate/reports'],
  ['cli/shell'],
  ['cli/texts'],
  ['cli/dashboard'],
  ['cli/training'],
  ['cli/commands', 'cli/data', 'cli/letters'],
  ['cli/checkpoints', 'cli/hosts'],
  ['cli'],
];

/** What a browser tab can run. This list only grows. */
export const WITHOUT_NODE: ReadonlySet<string> = new Set([
  'base',
  'charts',
  'checkpoint',
  'collectives',
  'graph',
  'graph/values',
  'graph/operators',
  'graph/file',
  'autodiff',
  'kernels',
  'optim',
  'plan',
  'protocol',
  'metrics',
  'options',
  'models',
  'models/imported',
  'membership',
  'worker',
  'coordinator',
  'coordinator/steps',
  'coordinator/states',
  'coordinator/groups',
  'letters/thrift',
  'dashboard/view',
  'dashboard/page',
]);

/** Packages that only one wing may import. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = {
  'onnxruntime-node': 'runtime',
  'node:net': 'transport',
  'node:tls': 'transport',
  'node:http': 'dashboard',
  commander: 'cli',
  koffi: 'collectives',
  'bonjour-service': 'launch',
};

/** More files than this in one folder is a drawer: look for the rooms in it. */
const MAX_SOURCES = 25;
const MAX_FILES = 40;

const PLAN = 'scripts/house/floors.ts';

/** Finds imports that climb or go sideways, and packages that belong to another wing. */
export function checkFloors(files: readonly SourceFile[], floors = FLOORS): string[] {
  const floorOf = new Map(
    floors.flatMap((rooms, floor) => rooms.map((room) => [room, floor] as const)),
  );
  return programOf(files).flatMap(({ path, room, imports }) => {
    const floor = floorOf.get(room);
    if (floor === undefined)
      return [`${path}: folder ${room}/ stands on no floor; give it one in ${PLAN}`];
    return imports.flatMap(({ target, isFile, line }) => {
      const where = `${path}:${line}`;
      const owner = OWNED_PACKAGES[target];
      if (owner !== undefined && owner !== room.split('/')[0])
        return [`${where}: only ${owner}/ may import ${target}; use what ${owner}/ makes of it`];
      const targetRoom = roomOf(target);
      if (!isFile || targetRoom === room) return [];
      const targetFloor = floorOf.get(targetRoom ?? '');
      if (targetFloor === undefined)
        return [`${where}: imports ${target}, which is outside the house`];
      if (targetFloor < floor) return [];
      return [
        `${where}: ${room}/ on floor ${floor} imports ${targetRoom}/ on floor ${targetFloor}; ` +
          `expected a lower floor. Move what is needed down, or hand it in as a parameter`,
      ];
    });
  });
}

/** Finds files that a browser could not run, since a chain of imports ends at Node.js. */
export function checkWithoutNode(
  files: readonly SourceFile[],
  withoutNode: ReadonlySet<string> = WITHOUT_NODE,
): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const chains = programOf(files)
    .filter(({ room }) => withoutNode.has(room))
    .flatMap((file) => chainToNode(file, byPath) ?? [])
    .sort((a, b) => a.steps.length - b.steps.length);
  return [...new Set(chains.map(({ culprit }) => culprit))].flatMap((culprit) => {
    const [shortest, ...others] = chains.filter((chain) => chain.culprit === culprit);
    if (shortest === undefined) return [];
    return [
      `${shortest.where}: must run in a browser, but reaches Node.js: ` +
        shortest.steps.join(' > ') +
        (others.length > 0 ? ` (others that reach it so: ${others.length}). ` : '. ') +
        `Hand in what ${culprit} needs as a parameter`,
    ];
  });
}

/** Finds folders with more files than a reader takes in, and floors of folders that are gone. */
export function checkDrawers(files: readonly SourceFile[], floors = FLOORS): string[] {
  return floors.flat().flatMap((room) => {
    const inRoom = files.filter((file) => file.room === room);
    const sources = inRoom.filter(({ isTest }) => !isTest).length;
    if (inRoom.length === 0)
      return [`src/${room}: there is no such folder; remove it from its floor in ${PLAN}`];
    if (sources <= MAX_SOURCES && inRoom.length <= MAX_FILES) return [];
    return [
      `src/${room}: ${sources} source files, ${inRoom.length} with tests; expected at most ` +
        `${MAX_SOURCES} and ${MAX_FILES}. Which rooms are in it?`,
    ];
  });
}

/** What stands on the floors: tests and the door of the package (`src/index.ts`) do not. */
function programOf(files: readonly SourceFile[]): (SourceFile & { readonly room: string })[] {
  return files.flatMap((file) => {
    const { room, isTest, path } = file;
    return room === undefined || isTest || path === 'src/index.ts' ? [] : [{ ...file, room }];
  });
}

interface Chain {
  /** Path and line of the first import. */
  readonly where: string;
  readonly steps: readonly string[];
  /** The file that imports Node.js itself. */
  readonly culprit: string;
}

/** Looks breadth first, so that the chain is the shortest one. */
function chainToNode(
  start: SourceFile,
  byPath: ReadonlyMap<string, SourceFile>,
): Chain | undefined {
  const seen = new Set([start.path]);
  const queue = [{ file: start, where: '', steps: [start.path] }];
  for (const { file, where, steps } of queue) {
    for (const { target, line } of file.imports) {
      const from = where === '' ? `${file.path}:${line}` : where;
      if (target.startsWith('node:') || target === 'onnxruntime-node')
        return { where: from, steps: [...steps, target], culprit: file.path };
      const next = byPath.get(target);
      if (next === undefined || seen.has(target)) continue;
      seen.add(target);
      queue.push({ file: next, where: from, steps: [...steps, target] });
    }
  }
  return undefined;
}
