import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type TestContext, describe, test } from 'node:test';

const repository = resolve(import.meta.dirname, '..');
const COPIED = [
  ...['bin', 'scripts/build.mjs', 'scripts/bundle.mjs'],
  ...['tsconfig.json', 'tsconfig.build.json', 'src/dashboard/page/tsconfig.json'],
];

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A clone with one program and one page, after `npm ci`. */
function makeClone(t: TestContext, main: string): string {
  const root = mkdtempSync(join(tmpdir(), 'lockstep-clone-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const path of COPIED) cpSync(join(repository, path), join(root, path), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(root, 'src/cli'), { recursive: true });
  writeMain(root, main);
  writeFileSync(join(root, 'src/dashboard/page/main.ts'), 'export {};\n');
  return root;
}

function writeMain(root: string, text: string): void {
  writeFileSync(join(root, 'src/cli/main.ts'), text);
}

function runBin(
  root: string,
  environment: Readonly<Record<string, string>> = {},
  who: { readonly uid?: number } = {},
): Promise<Ended> {
  const { LOCKSTEP_NO_BUILD: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [join(root, 'bin/lockstep.js')], {
    ...who,
    env: { ...inherited, ...environment },
    timeout: 120_000,
  });
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return chunks;
  });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (status) =>
      done({
        status,
        stdout: Buffer.concat(stdout!).toString(),
        stderr: Buffer.concat(stderr!).toString(),
      }),
    );
  });
}

/** Folders that a build should have removed. */
function leftoversIn(root: string): string[] {
  return readdirSync(root).filter((name) => name.startsWith('.dist-'));
}

describe('bin/lockstep.js', () => {
  test('builds when dist/ is missing, with one line on stderr, and not again', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);

    const first = await runBin(root);
    const second = await runBin(root);

    assert.deepEqual(first, {
      status: 0,
      stdout: 'one\n',
      stderr: 'building Lockstep (first run)...\n',
    });
    assert.deepEqual(second, { status: 0, stdout: 'one\n', stderr: '' });
    assert.deepEqual(leftoversIn(root), []);
  });

  test('builds again when a source is changed, added or removed', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    const other = join(root, 'src/cli/other.ts');
    await runBin(root);

    writeMain(root, `console.log('two');\n`);
    const changed = await runBin(root);
    writeFileSync(other, 'export const three = 3;\n');
    utimesSync(other, 0, 0); // older than dist/, as after a copy that keeps times
    const added = await runBin(root);
    const hasOther = existsSync(join(root, 'dist/cli/other.js'));
    unlinkSync(other);
    const removed = await runBin(root);

    for (const ended of [changed, added, removed])
      assert.deepEqual(ended, {
        status: 0,
        stdout: 'two\n',
        stderr: 'building Lockstep (sources changed)...\n',
      });
    assert.ok(hasOther);
    assert.ok(!existsSync(join(root, 'dist/cli/other.js')));
  });

  test('does not build for a changed test', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    await runBin(root);

    writeFileSync(join(root, 'src/cli/main.test.ts'), 'export const wrong: string = 1;\n');
    const ended = await runBin(root);

    assert.deepEqual(ended, { status: 0, stdout: 'one\n', stderr: '' });
  });

  test('works when four start at once, without dist/ and with an old one', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    const runFour = () => Promise.all([1, 2, 3, 4].map(() => runBin(root)));

    const first = await runFour();
    writeMain(root, `console.log('two');\n`);
    const second = await runFour();

    for (const { status, stdout } of first) assert.deepEqual([status, stdout], [0, 'one\n']);
    for (const { status, stdout } of second) assert.deepEqual([status, stdout], [0, 'two\n']);
    assert.deepEqual(leftoversIn(root), []);
  });

  test("prints tsc's errors, ends with 1 and keeps the old dist/ when a build fails", async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    await runBin(root);

    writeMain(root, `console.log('two');\nexport const wrong: string = 1;\n`);
    const failed = await runBin(root);
    const old = await runBin(root, { LOCKSTEP_NO_BUILD: '1' });

    assert.equal(failed.status, 1);
    assert.equal(failed.stdout, '');
    assert.match(failed.stderr, /src\/cli\/main\.ts.*error TS2322.*\n[^]*dist\/ is unchanged\n$/);
    assert.deepEqual(old, { status: 0, stdout: 'one\n', stderr: '' });
    assert.deepEqual(leftoversIn(root), []);
  });

  test('says what to do when neither dist/ nor TypeScript is there', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    unlinkSync(join(root, 'node_modules'));

    const ended = await runBin(root);

    assert.equal(ended.status, 1);
    assert.match(
      ended.stderr,
      /^Lockstep is not built yet.* Run npm ci in .*lockstep-clone-[^\n]*\n$/,
    );
  });

  test('runs the old dist/, and says so, when sources changed without TypeScript', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    await runBin(root);
    unlinkSync(join(root, 'node_modules'));
    writeMain(root, `console.log('two');\n`);

    const ended = await runBin(root);

    assert.deepEqual(ended, {
      status: 0,
      stdout: 'one\n',
      stderr: 'TypeScript is not installed: running the last build, which is older than src/\n',
    });
  });

  test('removes what a killed build left behind', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    const leftover = join(root, '.dist-killed');
    mkdirSync(leftover);
    utimesSync(leftover, 0, 0);

    await runBin(root);

    assert.deepEqual(leftoversIn(root), []);
  });

  test('runs dist/ of an installed package, which has no src/', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);
    await runBin(root);
    for (const name of ['src', 'scripts', 'tsconfig.json', 'tsconfig.build.json'])
      rmSync(join(root, name), { recursive: true });

    const ended = await runBin(root);

    assert.deepEqual(ended, { status: 0, stdout: 'one\n', stderr: '' });
  });

  test('leaves a dist/ that others may read as far as the umask lets them', async (t) => {
    const root = makeClone(t, `console.log('one');\n`);

    await runBin(root);

    const { mode } = statSync(join(root, 'dist'));
    assert.equal((mode & 0o777).toString(8), (0o777 & ~process.umask()).toString(8));
  });
});

describe('bin/lockstep.js, which cannot start, says why in one line', () => {
  /** An installed package: no sources. */
  function makePackage(t: TestContext, main?: string, engines = '>=20.19'): string {
    const root = mkdtempSync(join(tmpdir(), 'lockstep-package-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    chmodSync(root, 0o755);
    cpSync(join(repository, 'bin'), join(root, 'bin'), { recursive: true });
    const description = { type: 'module', engines: { node: engines } };
    writeFileSync(join(root, 'package.json'), JSON.stringify(description));
    if (main === undefined) return root;
    mkdirSync(join(root, 'dist/cli'), { recursive: true });
    writeFileSync(join(root, 'dist/cli/main.js'), main);
    return root;
  }

  test('on a Node.js that is too old', async (t) => {
    const root = makePackage(t, "console.log('one');", '>=9999.1');

    const { status, stdout, stderr } = await runBin(root);

    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^error: Lockstep needs Node\.js 9999\.1 or newer, and this is [^\n]+\n$/);
  });

  test('when a package that it needs is missing', async (t) => {
    const root = makePackage(t, "import 'no-such-package';");

    const { status, stderr } = await runBin(root);

    assert.equal(status, 1);
    const says =
      /^error: Lockstep is not installed completely: .*'no-such-package'\. Install [^\n]+\n$/;
    assert.match(stderr, says);
  });

  test('when it was packed without its build', async (t) => {
    const { status, stderr } = await runBin(makePackage(t));

    assert.equal(status, 1);
    assert.match(stderr, /^error: Lockstep is not built: there is no \S+main\.js\. Inst[^\n]+\n$/);
  });

  test('when dist/ is closed to this user', async (t) => {
    const root = makePackage(t, "console.log('one');");
    const isRoot = process.getuid?.() === 0;
    chmodSync(join(root, 'dist'), isRoot ? 0o700 : 0);

    const { status, stderr } = await runBin(root, {}, isRoot ? { uid: 65_534 } : {});
    chmodSync(join(root, 'dist'), 0o700);

    assert.equal(status, 1);
    assert.match(
      stderr,
      /^error: \S+dist belongs to another user, [^\n]+`chmod -R a\+rX [^\n]+\n$/,
    );
  });

  test('but shows where a mistake of its own is', async (t) => {
    const root = makePackage(t, "throw new TypeError('wrong');");

    const { status, stderr } = await runBin(root);

    assert.equal(status, 1);
    assert.match(stderr, /TypeError: wrong\n +at /);
  });
});
