import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { checkChildWindows } from '../scripts/house/child-windows.ts';
import { checkDocumentation } from '../scripts/house/documentation.ts';
import {
  checkDrawers,
  checkFloors,
  checkWithoutNode,
  FLOORS,
  WITHOUT_NODE,
} from '../scripts/house/floors.ts';
import { checkLineWidths } from '../scripts/house/line-widths.ts';
import { checkOutput } from '../scripts/house/output.ts';
import { readSources, type SourceFile } from '../scripts/house/sources.ts';
import { checkStrategyNames } from '../scripts/house/strategy-names.ts';
import { checkUnreadFields } from '../scripts/house/unread-fields.ts';
import { checkUnusedExports } from '../scripts/house/unused-exports.ts';

const project = join(import.meta.dirname, '..');
const folders: string[] = [];

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** Builds a project of these files and gives its folder. */
function build(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'lockstep-house-'));
  folders.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

function sourcesOf(files: Readonly<Record<string, string>>): SourceFile[] {
  return readSources(build(files));
}

/** Lints a project by our rules; gives what the linter says. */
function lint(files: Readonly<Record<string, string>>): string {
  const root = build(files);
  copyFileSync(join(project, '.oxlintrc.json'), join(root, '.oxlintrc.json'));
  const program = join(project, 'node_modules/oxlint/bin/oxlint');
  try {
    return execFileSync(process.execPath, [program], { cwd: root, encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

function lines(count: number, line: string): string {
  return `${line}\n`.repeat(count);
}

describe('FLOORS', () => {
  test('are drawn in ARCHITECTURE.md as they are, with what a browser can run', () => {
    const drawn = FLOORS.toReversed().map((rooms) =>
      rooms.map((room) => `${room}/${WITHOUT_NODE.has(room) ? '°' : ''}`).join('  '),
    );

    const page = readFileSync(join(project, 'ARCHITECTURE.md'), 'utf8');

    assert.ok(page.includes(`\n\`\`\`\n${drawn.join('\n')}\n\`\`\`\n`), drawn.join('\n'));
  });
});

describe('checkFloors', () => {
  const floors = [['base'], ['data', 'plan'], ['cli']];

  test('finds imports upwards and sideways, of every kind, and none downwards', () => {
    const sources = sourcesOf({
      'src/base/up.ts': "\nimport type { C } from '../cli/c.ts';\nexport type D = C;\n",
      'src/base/up.test.ts': "import { c } from '../cli/c.ts';\n",
      'src/data/across.ts': "export { p } from '../plan/p.ts';\n",
      'src/data/later.ts': "export const p = () => import('../cli/c.ts');\n",
      'src/data/within.ts': "export const c = (c: import('../cli/c.ts').C) => c;\n",
      'src/plan/p.ts': "export { c as p } from '../base/b.ts';\nexport * from './q.ts';\n",
      'src/plan/q.ts': 'export const q = 1;\n',
      'src/base/b.ts': 'export const c = 1;\n',
      'src/cli/c.ts': "import { p } from '../plan/p.ts';\nexport type C = typeof p;\n",
    });

    const problems = checkFloors(sources, floors);

    assert.deepEqual(
      problems.map((problem) => problem.slice(0, problem.indexOf(';'))),
      [
        'src/base/up.ts:2: base/ on floor 0 imports cli/ on floor 2',
        'src/data/across.ts:1: data/ on floor 1 imports plan/ on floor 1',
        'src/data/later.ts:1: data/ on floor 1 imports cli/ on floor 2',
        'src/data/within.ts:1: data/ on floor 1 imports cli/ on floor 2',
      ],
    );
  });

  test('finds a folder without a floor, what lies outside, and the package of another wing', () => {
    const sources = sourcesOf({
      'src/attic/a.ts': 'export const a = 1;\n',
      'src/base/b.ts': "import '../../test/t.ts';\nimport '../cli.ts';\n",
      'src/data/d.ts': "import { createServer } from 'node:net';\n",
      'src/plan/p.ts': "const runtime = require('onnxruntime-node');\n",
    });

    assert.deepEqual(checkFloors(sources, floors), [
      'src/attic/a.ts: folder attic/ stands on no floor; give it one in scripts/house/floors.ts',
      'src/base/b.ts:1: imports test/t.ts, which is outside the house',
      'src/base/b.ts:2: imports src/cli.ts, which is outside the house',
      'src/data/d.ts:1: only transport/ may import node:net; use what transport/ makes of it',
      'src/plan/p.ts:1: only runtime/ may import onnxruntime-node; use what runtime/ makes of it',
    ]);
  });
});

describe('checkWithoutNode', () => {
  test('finds Node.js at the end of a chain, and tells every culprit once', () => {
    const sources = sourcesOf({
      'src/plan/far.ts': "import type { A } from './near.ts';\n",
      'src/plan/near.ts': "\nimport { c } from '../data/c.ts';\nexport type A = typeof c;\n",
      'src/plan/alone.ts': 'export const alone = 1;\n',
      'src/data/c.ts': "import './d.ts';\n",
      'src/data/d.ts': "import { readFileSync } from 'node:fs';\n",
    });

    assert.deepEqual(checkWithoutNode(sources, new Set(['plan'])), [
      'src/plan/near.ts:2: must run in a browser, but reaches Node.js: src/plan/near.ts > ' +
        'src/data/c.ts > src/data/d.ts > node:fs (others that reach it so: 1). ' +
        'Hand in what src/data/d.ts needs as a parameter',
    ]);
  });

  test('lets tests use Node.js, and whom no browser runs', () => {
    const sources = sourcesOf({
      'src/plan/plan.test.ts': "import { test } from 'node:test';\n",
      'src/data/d.ts': "import { readFileSync } from 'node:fs';\n",
    });

    assert.deepEqual(checkWithoutNode(sources, new Set(['plan'])), []);
  });
});

describe('checkDrawers', () => {
  function folderOf(sources: number, tests: number): Record<string, string> {
    return Object.fromEntries([
      ...Array.from({ length: sources }, (_, index) => [`src/base/${index}.ts`, '']),
      ...Array.from({ length: tests }, (_, index) => [`src/base/${index}.test.ts`, '']),
    ]);
  }

  test('finds more than 25 sources, more than 40 files, and a floor of nothing', () => {
    assert.deepEqual(checkDrawers(sourcesOf(folderOf(25, 15)), [['base']]), []);
    assert.match(checkDrawers(sourcesOf(folderOf(26, 0)), [['base']])[0]!, /26 source files/);
    assert.match(checkDrawers(sourcesOf(folderOf(25, 16)), [['base']])[0]!, /41 with tests/);
    assert.match(checkDrawers([], [['attic']])[0]!, /^src\/attic: there is no such folder/);
  });
});

describe('checkStrategyNames', () => {
  test('finds the name of a strategy where only its interface is known', () => {
    const uses = "export const isInRounds = (name: string) => name === 'rounds';\n";
    const sources = sourcesOf({
      'src/config/a.ts': uses,
      'src/cli/texts/b.ts': uses,
      'src/job/c.ts': `// 'rounds' in a comment, and rounds: 1\n\n${uses}`,
      'src/job/c.test.ts': uses,
      'src/job/d.ts': 'class D {\n  #isInRounds = true;\n}\n',
    });

    assert.deepEqual(
      checkStrategyNames(sources).map((problem) => problem.slice(0, problem.indexOf(' is '))),
      ['src/job/c.ts:3: isInRounds', "src/job/c.ts:3: 'rounds'", 'src/job/d.ts:2: isInRounds'],
    );
  });
});

describe('checkOutput', () => {
  test('finds what is printed past the place where text is cleaned', () => {
    const prints = "process.stderr.write('x');\nconsole.log('y');\n";
    const sources = sourcesOf({
      'src/cli/shell/a.ts': prints,
      'src/cli/b.ts': `// console.log\n${prints}`,
      'src/cli/b.test.ts': prints,
      'scripts/c.ts': prints,
    });

    assert.deepEqual(
      checkOutput(sources).map((problem) => problem.slice(0, problem.indexOf(': text'))),
      ['src/cli/b.ts:2: process.stderr.write', 'src/cli/b.ts:3: console.log'],
    );
  });
});

describe('checkChildWindows', () => {
  test('finds processes that would open a console window on Windows', () => {
    const start = "import { spawn, spawnSync } from 'node:child_process';\nspawn('a', []);\n";
    const sources = sourcesOf({
      'src/launch/a.ts': `${start}spawnSync('b', [], { windowsHide: true });\n`,
      'src/launch/b.ts': "const spawn = () => {};\nspawn('a', []);\n",
      'src/launch/a.test.ts': start,
    });

    assert.deepEqual(
      checkChildWindows(sources).map((problem) => problem.slice(0, problem.indexOf(' without'))),
      ['src/launch/a.ts:2: spawn'],
    );
  });
});

describe('checkUnreadFields', () => {
  test('finds what is declared and written, but never read', () => {
    const sources = sourcesOf({
      'src/a.ts': [
        'export interface Counts {',
        '  readonly seen: number;',
        '  lost: number;',
        '  total(): number;',
        '}',
        'class Tally {',
        '  hits = 0;',
        '  read = 0;',
        '  constructor(counts: Counts) {',
        '    counts.lost = 1;',
        '    this.hits += this.read;',
        '  }',
        '  toLine(): void {}',
        '}',
        "export const counts = { seen: 1, 'lost': 2 };",
      ].join('\n'),
    });

    assert.deepEqual(
      checkUnreadFields(sources).map((problem) => problem.slice(0, problem.indexOf('.', 9))),
      [
        'src/a.ts:2: nobody reads seen',
        'src/a.ts:3: nobody reads lost',
        'src/a.ts:4: nobody reads total',
        'src/a.ts:7: nobody reads hits',
        'src/a.ts:13: nobody reads toLine',
      ],
    );
  });

  test('takes for read what follows a dot, is taken apart, or is named by a string', () => {
    const sources = sourcesOf({
      'src/a.ts': 'export interface A {\n  b: 1;\n  c: 2;\n  d: 3;\n  e: 4;\n}\n',
      'src/b.ts': "const { b, c: other } = a;\nlog(a.d);\ntype E = A['e'];\n",
    });

    assert.deepEqual(checkUnreadFields(sources), []);
  });

  test('leaves alone what other programs read', () => {
    const sources = sourcesOf({ 'src/a.ts': 'export interface A {\n  b: 1;\n}\n' });

    assert.equal(checkUnreadFields(sources).length, 1);
    assert.deepEqual(checkUnreadFields(sources, { 'src/a.ts': 'a.json' }), []);
  });
});

describe('checkUnusedExports', () => {
  test('finds what nobody imports, or tests only, and files that nothing leads to', async () => {
    const root = build({
      'package.json': '{ "type": "module" }',
      'src/index.ts': "export { used } from './base/a.ts';\n",
      'src/base/a.ts': [
        'export const used = 1;',
        'export interface Unused {}',
        'export const unused = 2;',
        'export const tested = 3;',
        'export const testedAndUsed = used;',
        'console.log(testedAndUsed);',
      ].join('\n'),
      'src/base/a.test.ts': "import { tested, testedAndUsed } from './a.ts';\n",
      'src/base/lost.ts': '',
      'src/base/lane-thread.ts': '',
    });

    assert.deepEqual(await checkUnusedExports(root), [
      'src/base/a.ts:2: Unused is imported by nobody. Delete it, or the word export before it',
      'src/base/a.ts:3: unused is imported by nobody. Delete it, or the word export before it',
      'src/base/a.ts:4: tested is used by tests only. Delete it, or move it beside them',
      'src/base/lost.ts: nobody imports this file. Delete it',
    ]);
  });
});

describe('checkDocumentation', () => {
  const documented = lines(16, '/** A number. */\nexport const a = 1;\n');

  test('lists what lacks a doc comment in a folder below 80 %', () => {
    const sources = sourcesOf({
      'src/base/a.ts': documented + documented + documented,
      'src/plan/a.ts': `${documented}${lines(4, 'export const b = 1;')}`,
      'src/data/a.ts': `${documented}${lines(4, 'export const b = 1;')}\nexport class C {}\n`,
      'src/data/a.test.ts': lines(9, 'export const b = 1;'),
    });

    assert.deepEqual(checkDocumentation(sources), [
      [
        'src/data: 76 % of 21 exports have a doc comment; expected 80 %. Say what these are:',
        '  src/data/a.ts:49 b',
        '  src/data/a.ts:50 b',
        '  src/data/a.ts:51 b',
        '  src/data/a.ts:52 b',
        '  src/data/a.ts:54 C',
      ].join('\n'),
    ]);
  });

  test('wants 85 % of all, and does not list a folder twice', () => {
    const sources = sourcesOf({
      'src/base/a.ts': `${documented}// Not this.\nexport const b = 1;\n`,
      'src/data/a.ts': `${documented}${lines(4, '/** Far. */\nlet a;\nexport const c = 1;')}`,
      'src/plan/a.ts': 'export const d = 1;\n',
      'src/index.ts': "export { b } from './base/a.ts';\n",
    });

    assert.deepEqual(checkDocumentation(sources), [
      'src/plan: 0 % of 1 exports have a doc comment; expected 80 %. Say what these are:\n' +
        '  src/plan/a.ts:1 d',
      [
        'src: 84 % of 38 exports have a doc comment; expected 85 %. Say what these are:',
        '  src/base/a.ts:50 b',
        '  src/data/a.ts:51 c',
        '  src/data/a.ts:54 c',
        '  src/data/a.ts:57 c',
        '  src/data/a.ts:60 c',
      ].join('\n'),
    ]);
  });

  test('counts a function with overloads once', () => {
    const overloads = lines(3, 'export function f(a: number): void;');
    const sources = sourcesOf({ 'src/base/a.ts': `/** Does it. */\n${overloads}` });

    assert.deepEqual(checkDocumentation(sources), []);
  });
});

describe('checkLineWidths', () => {
  const wide = `// ${'x'.repeat(98)}\n`;

  test('lists lines over 100 in a tree that has 0.2 % of them', () => {
    const sources = sourcesOf({
      'src/base/a.ts': `${lines(400, '')}${wide}`,
      'src/base/b.ts': lines(98, ''),
      'src/kernels/kernel-bytes.ts': wide,
      'test/a.ts': `${lines(501, '// '.padEnd(100, 'x'))}${wide}`,
    });

    assert.deepEqual(checkLineWidths(sources), [
      [
        'src: 1 of 499 lines are wider than 100; expected less than 0.2 %. ' +
          'Break these, a message into joined parts:',
        `  src/base/a.ts:401 // ${'x'.repeat(57)}`,
      ].join('\n'),
    ]);
  });
});

describe('the linter', () => {
  test('finds a ring of imports, of types too, within a folder', () => {
    const report = lint({
      'src/base/a.ts': "import type { B } from './b.ts';\nexport type A = B | 1;\n",
      'src/base/b.ts': "import type { C } from './c.ts';\nexport type B = C | 2;\n",
      'src/base/c.ts': "import type { A } from './a.ts';\nexport type C = A | 3;\n",
    });

    assert.match(report, /no-cycle[^]*src\/base\/a\.ts/);
  });

  test('finds a function over 50 lines in job/, and lets tests be longer', () => {
    const functionOf = (count: number) =>
      `export function f() {\n${lines(count - 2, '  g();')}}\nfunction g() {}\n`;

    const report = lint({
      'src/job/long.ts': functionOf(51),
      'src/job/short.ts': functionOf(50),
      'src/job/long.test.ts': functionOf(51),
      'src/plan/long.ts': functionOf(51),
    });

    assert.equal(report.match(/max-lines-per-function/g)?.length, 1);
    assert.match(report, /src\/job\/long\.ts/);
  });
});
