/**
 * Joins each program of dist/ with the modules that it needs: a process or a thread that reads a
 * few large files starts in half of the time of one that reads hundreds. All other modules stay as
 * they were compiled, for those who import Lockstep.
 */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** What is started as a process or a thread. A link's end is not: it travels as one file. */
const PROGRAMS = [
  'cli/main',
  'launch/heartbeat-thread',
  'letters/compute-thread',
  'runs/hash-thread',
  'runtime/device-probe-process',
  'runtime/lanes/digest-thread',
  'runtime/lanes/lane-thread',
  'runtime/node-placement-process',
  'validate/bench/bench-collective-process',
  'validate/drills/faulty-heartbeat-thread',
  'validate/drills/faulty-lane-thread',
  'validate/drills/faulty-worker-process',
];

/** Packages that become a part of programs, which take little of them; others stay apart. */
const TAKEN_IN = ['zod'];

/** Modules that find files beside themselves still do, from wherever they were moved. */
const OWN_ADDRESS = 'import.meta.url';
const DIST_ADDRESS =
  "const __dist = import.meta.url.slice(0, import.meta.url.lastIndexOf('/dist/') + 6);";

/**
 * Replaces the programs in `folder`, which will be dist/, with `esbuild` of this checkout.
 *
 * Throws: Error with the messages of esbuild, or when it is not installed.
 */
export function bundlePrograms(root, folder, modules) {
  const esbuild = findBundler(root);
  const programs = PROGRAMS.map((name) => `${name}.js`).filter((path) =>
    existsSync(join(folder, path)),
  );
  const asCompiled = new Map();
  for (const path of modules) {
    const text = readFileSync(join(folder, path), 'utf8');
    if (!text.includes(OWN_ADDRESS)) continue;
    if (!programs.includes(path)) asCompiled.set(path, text);
    const moved = text.replaceAll(OWN_ADDRESS, `(__dist + ${JSON.stringify(path)})`);
    writeFileSync(join(folder, path), moved);
  }
  esbuild.buildSync({
    absWorkingDir: folder,
    entryPoints: programs,
    outdir: folder,
    outbase: folder,
    allowOverwrite: true,
    bundle: true,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: packagesApart(root),
    // Resolves packages from where they are installed, and not from `folder`.
    nodePaths: [join(root, 'node_modules')],
    banner: { js: DIST_ADDRESS },
    logLevel: 'silent',
  });
  for (const [path, text] of asCompiled) writeFileSync(join(folder, path), text);
  for (const name of TAKEN_IN)
    cpSync(join(root, 'node_modules', name, 'LICENSE'), join(folder, 'licences', name));
}

function packagesApart(root) {
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  return Object.keys({ ...dependencies, ...optionalDependencies }).filter(
    (name) => !TAKEN_IN.includes(name),
  );
}

function findBundler(root) {
  try {
    return createRequire(join(root, 'package.json'))('esbuild');
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error;
    throw new Error(`esbuild, which joins modules, is not installed: run npm ci in ${root}`, {
      cause: error,
    });
  }
}
