/**
 * What `npm test` runs: system packages, formatter, linter, compiler, house, build, then the
 * quick tests. `npm run test:all` (`--all`) adds the long and the real ones: it runs what
 * `npm test` leaves out. The last lines are node's own closing lines ("# tests", "# pass", ...)
 * over all tests that ran; exit code 1 if anything failed.
 *
 * `npm test -- kernels simulation` runs only the test files whose path holds one of the words, of
 * either kind, and no checks.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { pathToFileURL } from 'node:url';
import { BuildError, buildIfStale } from './build.mjs';
import { provideSystemPackages } from './system-packages.mjs';

const root = resolve(import.meta.dirname, '..');

/** For one file: a test that hangs ends here. */
const FILE_TIMEOUT_MS = 420_000;
const CHECK_TIMEOUT_MS = 300_000;

/**
 * Tests beside their files compute in memory, mostly for less time than a process takes to start:
 * many of them share one. Those with threads, sockets or files have one each.
 */
const TOGETHER = ['src/'];
const APART = ['src/runtime/', 'src/data/', 'src/launch/', 'src/transport/', 'src/collectives/'];
/** So many processes for each core, so that all cores end at about the same time. */
const BUNDLES_PER_CORE = 3;

/** Tests that `npm test` leaves out; all others are quick. */
const LATER = ['test/long/', 'test/real/'];
/** Of them, those that compute in one thread: as many at a time as there are cores. */
const SIMULATED = ['test/long/simulated/'];
/**
 * Tests that start processes: two files at a time, however many cores there are; most of their time
 * they wait for a clock, a link, or a process that starts.
 */
const BY_TWO = ['test/cluster/', 'test/letters/', 'test/validate/', ...LATER];
/** Of them, those that fill two cores, or compare rates: one at a time. */
const ALONE = [
  ...['accuracy', 'bench-policies', 'detectors', 'language-model'].map(
    (name) => `test/long/${name}`,
  ),
  ...['browser', 'gpu-steps', 'parted-workers', 'slow-links', 'throttled-link'].map(
    (name) => `test/real/${name}`,
  ),
];

/** Names of the programs as they are in node_modules, and what they are given. */
const CHECKS = {
  prettier: ['prettier/bin/prettier.cjs', '--check', '.'],
  oxlint: ['oxlint/bin/oxlint', '--type-aware'],
  tsc: ['typescript/bin/tsc', '-p', '.'],
  'tsc of the page': ['typescript/bin/tsc', '-p', 'src/dashboard/page'],
  house: ['tsx/dist/cli.mjs', 'scripts/check-house.ts'],
};

const CLOSING_LINE = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

process.exitCode = await main(process.argv.slice(2));

async function main(args) {
  const filters = args.filter((arg) => arg !== '--all');
  const isAll = args.includes('--all');
  const files = findTests().filter((path) =>
    filters.length === 0
      ? isIn(LATER, path) === isAll
      : filters.some((filter) => path.includes(filter)),
  );
  if (files.length === 0) {
    console.error(`no test file has ${filters.join(' or ')} in its path`);
    return 2;
  }
  provideSystemPackages(files.some((path) => isIn(LATER, path)) ? 'all' : 'quick');
  const areChecksPassed = filters.length > 0 || isAll || (await runChecks());
  try {
    buildIfStale(root);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    return 1;
  }
  // Tests need not look again; test/bin.test.ts builds clones of its own.
  process.env.LOCKSTEP_NO_BUILD = '1';
  const totals = await runTests(files);
  if (!areChecksPassed) console.log('Some checks before the tests failed: see above.');
  for (const [name, value] of totals) console.log(`# ${name} ${value}`);
  const isPassed =
    totals.get('tests') > 0 && totals.get('fail') === 0 && totals.get('cancelled') === 0;
  return isPassed && areChecksPassed ? 0 : 1;
}

function findTests() {
  return ['src', 'test']
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map(
        (name) => `${folder}/${name.replaceAll('\\', '/')}`,
      ),
    )
    .filter((path) => path.endsWith('.test.ts'))
    .sort((a, b) => (a < b ? -1 : 1));
}

/**
 * Runs all checks side by side, prints the output of those that failed; gives true when none did.
 */
async function runChecks() {
  const results = await Promise.all(
    Object.entries(CHECKS).map(async ([name, command]) => ({
      name,
      ...(await runProgram(command)),
    })),
  );
  for (const { name, status, output, seconds } of results) {
    if (status !== 0) console.log(output.trimEnd());
    console.log(`${status === 0 ? 'passed' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
  }
  return results.every(({ status }) => status === 0);
}

async function runProgram([program, ...args]) {
  const startMs = performance.now();
  const child = spawn(process.execPath, [join(root, 'node_modules', program), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: CHECK_TIMEOUT_MS,
  });
  const chunks = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => chunks.push(chunk));
  const status = await new Promise((done, fail) => child.on('error', fail).on('close', done));
  const seconds = (performance.now() - startMs) / 1000;
  return { status, output: Buffer.concat(chunks).toString(), seconds };
}

function isIn(folders, path) {
  return folders.some((folder) => path.startsWith(folder));
}

/** Runs the tests and prints them as they end; gives the closing lines, added up. */
async function runTests(files) {
  const totals = new Map();
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-tests-'));
  // Where test files keep what others of them need too.
  process.env.LOCKSTEP_TEST_SHARED = folder;
  try {
    await pipeline(Readable.from(testEvents(files, folder, totals)), new spec(), process.stdout, {
      end: false,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
  return totals;
}

/** Events of all tests; what runs together is bundled in `folder`. */
async function* testEvents(files, folder, totals) {
  const cores = availableParallelism();
  const isTogether = (path) => isIn(TOGETHER, path) && !isIn(APART, path);
  const isAlone = (path) => isIn(ALONE, path);
  const isByTwo = (path) => isIn(BY_TWO, path) && !isIn([...SIMULATED, ...ALONE], path);
  const isFree = (path) => !isTogether(path) && !isByTwo(path) && !isAlone(path);
  const pathsOf = (belongs) => files.filter(belongs).map((path) => join(root, path));
  const groups = [
    { group: bundle(pathsOf(isTogether), BUNDLES_PER_CORE * cores, folder), concurrency: cores },
    { group: pathsOf(isFree), concurrency: cores },
    { group: pathsOf(isByTwo), concurrency: 2 },
    { group: pathsOf(isAlone), concurrency: 1 },
  ];
  for (const { group, concurrency } of groups) {
    if (group.length === 0) continue;
    for await (const event of run({ files: group, concurrency, timeout: FILE_TIMEOUT_MS })) {
      if (!addClosingLine(event, totals)) yield event;
    }
  }
}

/** Writes files that import all of `paths`, at most `count` of them, and gives their paths. */
function bundle(paths, count, folder) {
  return Array.from({ length: Math.min(count, paths.length) }, (_, i) => {
    const members = paths.filter((path) => paths.indexOf(path) % count === i);
    const bundled = join(folder, `${i}.test.mjs`);
    writeFileSync(bundled, members.map((path) => `import '${pathToFileURL(path)}';\n`).join(''));
    return bundled;
  });
}

function addClosingLine({ type, data }, totals) {
  const match = type === 'test:diagnostic' && data.nesting === 0 && CLOSING_LINE.exec(data.message);
  if (!match) return false;
  const [, name, value] = match;
  totals.set(name, (totals.get(name) ?? 0) + Number(value));
  return true;
}
