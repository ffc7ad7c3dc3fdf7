/**
 * Compiles src/ to dist/ with the TypeScript of this checkout. `npm run build` runs it always,
 * bin/lockstep.js only when dist/ is missing or older than src/.
 *
 * Several processes may build at once (workers started by hand on a fresh clone, a shared home
 * directory). Each compiles into a folder of its own and renames it to dist/; who comes second
 * finds a dist/ made of the same sources and throws its own away. So nobody waits, and a process
 * that is killed leaves no lock behind.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundlePrograms } from './bundle.mjs';

const COMPILE_TIMEOUT_MS = 120_000;

/** The page of the dashboard is compiled for browsers. */
const PAGE = 'src/dashboard/page';

/** Folders left by killed builds are removed after this time; a build that runs is younger. */
const LEFTOVER_AFTER_MS = 10 * 60_000;

/** Inside dist/: the sources it was made of, as `fingerprint` lists them. */
const STAMP = '.sources';
const TEMPORARY = '.dist-';

const WRITE_REFUSED = new Set(['EACCES', 'EPERM', 'EROFS']);

/** A build that failed, with a message for the user. */
export class BuildError extends Error {
  name = 'BuildError';
}

/**
 * Builds when dist/ is missing or was made of other sources; gives true when it built.
 *
 * Cost:   one `stat` per source file, about 3 ms, when nothing changed.
 * Throws: BuildError; dist/ is then as it was.
 */
export function buildIfStale(root) {
  const sources = fingerprint(root);
  if (isMadeOf(root, sources)) return false;
  const isFirst = !existsSync(join(root, 'dist'));
  const compiler = findCompiler(root);
  if (compiler === undefined) {
    if (isFirst)
      throw new BuildError(
        'Lockstep is not built yet, and TypeScript, which builds it, is not installed. Run ' +
          `npm ci in ${root}`,
      );
    console.error('TypeScript is not installed: running the last build, which is older than src/');
    return false;
  }
  console.error(`building Lockstep (${isFirst ? 'first run' : 'sources changed'})...`);
  build(root, sources, compiler);
  return true;
}

/**
 * Compiles and replaces dist/.
 *
 * Throws: BuildError with the output of tsc; dist/ is then as it was.
 */
export function build(root, sources = fingerprint(root), compiler = findCompiler(root)) {
  if (compiler === undefined)
    throw new BuildError(
      `TypeScript, which builds Lockstep, is not installed. Run npm ci in ${root}`,
    );
  try {
    removeLeftovers(root);
    // Not mkdtemp, whose folders only their owner may enter: others may run this clone.
    const folder = join(root, `${TEMPORARY}${randomUUID()}`);
    mkdirSync(folder);
    try {
      compile(root, compiler, folder);
      writeFileSync(join(folder, STAMP), sources);
      publish(root, sources, folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  } catch (error) {
    if (error instanceof BuildError) throw error;
    const advice = WRITE_REFUSED.has(error.code)
      ? ' This user may not write there: ask its owner to run `npm run build`, or use a clone of ' +
        'your own.'
      : '';
    throw new BuildError(`building Lockstep in ${root}: ${error.message}.${advice}`, {
      cause: error,
    });
  }
}

/**
 * Path, time of change and size of everything the build reads, as text. Taken before compiling,
 * never after.
 */
function fingerprint(root) {
  const settings = ['tsconfig.json', 'tsconfig.build.json', `${PAGE}/tsconfig.json`];
  const lines = [...settings, 'scripts/bundle.mjs'].map((name) => describeFile(root, name));
  const visit = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (isCompiled(entry.name)) lines.push(describeFile(root, path));
    }
  };
  visit('src');
  return lines.join('\n');
}

/** As tsconfig.build.json has it: tests are not part of the build, so changing one needs none. */
function isCompiled(name) {
  return name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('.contract.ts');
}

function describeFile(root, path) {
  const stats = statSync(join(root, path), { throwIfNoEntry: false });
  return `${path} ${stats?.mtimeMs} ${stats?.size}`;
}

function isMadeOf(root, sources) {
  try {
    return readFileSync(join(root, 'dist', STAMP), 'utf8') === sources;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

function findCompiler(root) {
  try {
    const { resolve: resolvePackage } = createRequire(join(root, 'package.json'));
    return join(resolvePackage('typescript/package.json'), '../bin/tsc');
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/**
 * What Node.js runs, then what browsers do: the page of the dashboard, and what it imports once
 * more, without comments.
 */
function compile(root, compiler, outDir) {
  runCompiler(root, compiler, ['-p', 'tsconfig.build.json', '--outDir', outDir]);
  const written = readdirSync(outDir, { recursive: true }).map((path) =>
    path.replaceAll('\\', '/'),
  );
  bundlePrograms(
    root,
    outDir,
    written.filter((path) => path.endsWith('.js')),
  );
  const forPage = ['--noEmit', 'false', '--declaration', 'false', '--removeComments'];
  runCompiler(root, compiler, ['-p', PAGE, '--outDir', outDir, ...forPage]);
}

function runCompiler(root, compiler, what) {
  const options = [...what, '--pretty', `${process.stderr.isTTY === true}`];
  const result = spawnSync(process.execPath, [compiler, ...options], {
    cwd: root,
    encoding: 'utf8',
    timeout: COMPILE_TIMEOUT_MS,
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0)
    throw new BuildError(
      `${result.stdout}${result.stderr}building Lockstep failed; dist/ is unchanged`,
    );
}

/** Renames `folder` to dist/, unless another process has just put the same build there. */
function publish(root, sources, folder) {
  const dist = join(root, 'dist');
  const old = `${folder}-old`;
  for (let attempt = 1; !isMadeOf(root, sources); attempt++) {
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(folder, dist); // fails when another process was faster: then its dist/ is looked at again
      break;
    } catch (error) {
      if (existsSync(old) && !existsSync(dist)) renameSync(old, dist);
      if (attempt === 10) throw error;
    } finally {
      rmSync(old, { recursive: true, force: true });
    }
  }
}

function removeLeftovers(root) {
  const before = Date.now() - LEFTOVER_AFTER_MS;
  for (const name of readdirSync(root)) {
    if (!name.startsWith(TEMPORARY)) continue;
    const { mtimeMs } = statSync(join(root, name), { throwIfNoEntry: false }) ?? {
      mtimeMs: Infinity,
    };
    if (mtimeMs < before) rmSync(join(root, name), { recursive: true, force: true });
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const startMs = performance.now();
  try {
    build(resolve(import.meta.dirname, '..'));
    console.error(`built dist/ in ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
