/**
 * The package as a user gets it: packed in a clean clone, installed without install scripts in a
 * folder of its own that has no build tools, used by command, its types checked, and the program of
 * docs/api.md run. Other code blocks of the pages are type-checked.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunEvent } from '../../src/metrics/events.ts';
import type { RunSummary } from '../../src/runs/run-summary.ts';
import { assertGone, REPOSITORY } from '../cluster/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-package-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const DEADLINE_MS = 120_000;
const TSC = join(REPOSITORY, 'node_modules/typescript/bin/tsc');

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runIn(cwd: string, program: string, ...args: readonly string[]): Ended {
  const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...inherited } = process.env;
  const env = { ...inherited, XDG_CACHE_HOME: join(folder, 'no-cache') };
  const ended = spawnSync(program, args, { cwd, env, encoding: 'utf8', timeout: DEADLINE_MS });
  assert.equal(ended.error, undefined);
  return ended;
}

/** The same, of a program that must end well. */
function succeedIn(cwd: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = runIn(cwd, program, ...args);
  assert.equal(status, 0, `${program} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** The packages that ours depends on, from the lock file: nothing needs to be fetched then. */
function copyDependencies(target: string): void {
  const { packages } = JSON.parse(readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; bin?: Record<string, string> }>;
  };
  const otherSystems = new RegExp(
    `/bin/napi-v\\d+/(?!${process.platform}(/|$)|${process.platform}/${process.arch})`,
  );
  for (const [path, { dev, bin = {} }] of Object.entries(packages)) {
    if (path === '' || dev === true || !existsSync(join(REPOSITORY, path))) continue;
    const links = Object.keys(bin).map((name) => `node_modules/.bin/${name}`);
    for (const one of [path, ...links.filter((link) => existsSync(join(REPOSITORY, link)))])
      cpSync(join(REPOSITORY, one), join(target, one), {
        recursive: true,
        verbatimSymlinks: true,
        mode: constants.COPYFILE_FICLONE,
        filter: (from) => !otherSystems.test(from),
      });
  }
}

/** What a clone of this working tree would have, with nothing that is built, after `npm ci`. */
function makeClone(): string {
  const clone = mkdtempSync(join(tmpdir(), 'lockstep-clone-'));
  after(() => rmSync(clone, { recursive: true, force: true, maxRetries: 5 }));
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const paths = succeedIn(REPOSITORY, 'git', '-c', `safe.directory=${REPOSITORY}`, ...list);
  for (const path of paths.split('\0').filter((name) => existsSync(join(REPOSITORY, name))))
    if (path !== '') cpSync(join(REPOSITORY, path), join(clone, path));
  symlinkSync(join(REPOSITORY, 'node_modules'), join(clone, 'node_modules'));
  return clone;
}

/** An empty project with the package, as `npm install` of its tarball leaves it. */
function makeProject(): void {
  succeedIn(makeClone(), 'npm', 'run', 'pack', '--', '--silent', '--pack-destination', folder);
  const [tarball = ''] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  mkdirSync(join(folder, 'node_modules'));
  copyDependencies(folder);
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'];
  succeedIn(folder, 'npm', 'install', ...flags, `./${tarball}`);
}

/** The TypeScript in a page, block by block. */
function blocksOf(page: string): string[] {
  const text = readFileSync(join(REPOSITORY, page), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block!);
}

const OPTIONS = {
  ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
  ...{ skipLibCheck: false, noEmitOnError: true },
  ...{ target: 'es2023', lib: ['es2023'], module: 'nodenext', types: ['node'] },
  typeRoots: [join(REPOSITORY, 'node_modules/@types')],
};

describe('the package', () => {
  const blocks = blocksOf('docs/api.md');
  const [program = ''] = blocks;
  let said: Ended;

  before(() => {
    makeProject();
    const files = new Map(
      [...blocks, ...blocksOf('README.md')].map((block, i) => [`${i}.ts`, block]),
    );
    for (const [name, block] of files) writeFileSync(join(folder, name), block);
    const config = { compilerOptions: OPTIONS, files: [...files.keys()] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  });

  test('has all that it needs, with licences and documents, and nothing of its making', () => {
    const root = join(folder, 'node_modules/lockstep-train');
    const files = readdirSync(root, { recursive: true }).map(String);

    const wanted = ['dist/index.d.ts', 'LICENSE', 'CHANGELOG.md', 'docs/platforms.md'];
    for (const path of [...wanted, 'datasets/README.md', 'datasets/mnist']) {
      assert.ok(files.includes(path), path);
    }
    assert.deepEqual(
      files.filter((path) => /^(src|scripts|test|bench|node_modules)\b|\.test\./.test(path)),
      [],
    );
    const bytes = files.reduce((sum, path) => sum + statSync(join(root, path)).size, 0);
    assert.ok(bytes < 23e6, `${bytes} bytes`);
  });

  test('links from page to page inside itself only', () => {
    const root = join(folder, 'node_modules/lockstep-train');
    const pages = readdirSync(root, { recursive: true }).map(String);
    for (const page of pages.filter((path) => path.endsWith('.md'))) {
      const text = readFileSync(join(root, page), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\((?!http)([^)#]+)/g))
        assert.ok(existsSync(join(root, dirname(page), target)), `${page}: ${target}`);
    }
  });

  test('trains by command, with files of its own only', () => {
    const flags = ['--epochs', '1', '--out-dir', 'by-command', '--json'];

    const train = (dataset: string, ...more: string[]): RunSummary => {
      const args = ['lockstep', 'train', '--dataset', dataset, ...flags, ...more];
      return JSON.parse(succeedIn(folder, 'npx', '--no', ...args)) as RunSummary;
    };
    const { status, testAccuracy = 0 } = train('digits');
    const { stateDigest } = train('mnist', '--steps', '2');

    assert.equal(status, 'finished');
    assert.ok(testAccuracy > 0.8, `accuracy ${testAccuracy}`);
    assert.match(stateDigest ?? '', /^[0-9a-f]{64}$/);
  });

  test('has types that every block of the pages passes, strictly', () => {
    assert.ok(blocks.length >= 7);
    succeedIn(folder, process.execPath, TSC, '-p', '.');
  });

  test('has types that refuse a setting that there is none of', () => {
    const wrong = "import { train } from 'lockstep-train';\ntrain({ epoch: 1 });\n";
    writeFileSync(join(folder, 'wrong.ts'), wrong);
    const config = { compilerOptions: OPTIONS, files: ['wrong.ts'] };
    writeFileSync(join(folder, 'tsconfig.wrong.json'), JSON.stringify(config));

    const { status, stdout } = runIn(folder, process.execPath, TSC, '-p', 'tsconfig.wrong.json');

    assert.notEqual(status, 0);
    assert.match(stdout, /wrong\.ts\(2,9\): error TS\d+: .*'epoch'/);
  });

  test('runs the program of docs/api.md, of at most 15 lines', () => {
    assert.ok(program.trimEnd().split('\n').length <= 15);

    said = runIn(folder, process.execPath, '0.js');

    assert.equal(said.status, 0, said.stderr);
    assert.equal(said.stderr, '', 'nothing is printed but by the program');
    const lines = said.stdout.trimEnd().split('\n');
    assert.equal(lines.length, 12);
    for (const [i, line] of lines.slice(0, 10).entries())
      assert.match(line, new RegExp(`^epoch ${i + 1} \\d\\.\\d+$`));
    assert.equal(lines[10], 'the second run was interrupted');
  });

  test('predicts as well as the run was measured to do', () => {
    const [, right, told] = /^right (\S+) and the summary says (\S+)$/m.exec(said.stdout) ?? [];

    assert.equal(right, told);
    assert.ok(Number(right) > 0.9, `accuracy ${right}`);
  });

  test('leaves the files of both runs and no process', async () => {
    const runs = readdirSync(join(folder, 'experiments')).map((name) => {
      const read = (file: string) => readFileSync(join(folder, 'experiments', name, file), 'utf8');
      const events = read('metrics.jsonl').trimEnd().split('\n');
      return {
        summary: JSON.parse(read('summary.json')) as RunSummary,
        events: events.map((line) => JSON.parse(line) as RunEvent),
      };
    });
    const joined = runs
      .flatMap(({ events }) => events)
      .filter((event) => event.kind === 'worker-joined');

    assert.deepEqual(runs.map(({ summary }) => summary.status).sort(), ['finished', 'interrupted']);
    assert.equal(joined.length, 4);
    await assertGone(joined.map(({ processId }) => processId));
  });

  test('exports nothing that docs/api.md does not show', () => {
    const door = readFileSync(join(REPOSITORY, 'src/index.ts'), 'utf8');
    const names = [...door.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list]) =>
      list!.split(',').map((name) => name.trim()),
    );
    const shown = new Set(blocks.join('\n').match(/\w+/g));

    const missing = names.filter((name) => name !== '' && !shown.has(name));

    assert.ok(names.length > 20);
    assert.deepEqual(missing, []);
  });
});
