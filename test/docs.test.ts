import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { SETTINGS_FILE, settingsPage } from '../scripts/write-settings.ts';
import { GRADIENT_RULES } from '../src/autodiff/gradient-rules.ts';
import { parseTrainConfig } from '../src/config/parse-train-config.ts';
import { blocksOf, commandsOf, USER_PAGES } from './pages.ts';

const root = join(import.meta.dirname, '..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const PAGES = [...USER_PAGES, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];

/** Blocks of commands that the long tests do not run, by how they begin, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  '$ ssh-keygen': 'needs other machines',
  '$ lockstep launch': 'needs other machines; test/real/launch.test.ts has them',
  '$ mpirun': 'needs a launcher; test/real/schedulers.test.ts has it',
  '$ npm ci': 'is run as README.md has it',
  '$ python3 -m venv venv': 'needs the network, for pip',
  '$ npx lockstep train --dataset photos/': 'needs images, which are not there',
  '$ ONNXRUNTIME_NODE_INSTALL=skip npm install': 'needs a tarball',
};
/** Programs that stand in a page as they are in examples/. */
const SHOWN_PROGRAMS = [
  ['docs/validate-your-own-training.md', 'examples/validate/my_training.py'],
  ['docs/clusters.md', 'examples/clusters/slurm.yaml'],
  ['docs/clusters.md', 'examples/clusters/kubernetes.yaml'],
  ['docs/clusters.md', 'examples/clusters/Dockerfile'],
  ['docs/use-the-model.md', 'examples/predict.mjs'],
  ['docs/use-the-model.md', 'examples/predict.py'],
] as const;

/** Flags with values of every `lockstep train` or `lockstep coordinator` command in a page. */
function trainCommandsIn(page: string): string[][] {
  const lines = page.replaceAll(/\\\n\s*/g, '');
  return [...lines.matchAll(/lockstep (?:train|coordinator)\b([^\n#`|]*)/g)].map((match) =>
    (match[1] ?? '').trim().split(/\s+/),
  );
}

/** The names under which the headings of a page can be linked to. */
function anchorsOf(page: string): Set<string> {
  return new Set(
    [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\d _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** Flags of `train` that are no settings. */
const OF_COMMANDS = ['--json', '--help', '--resume', '--dashboard'];

describe('the documents', () => {
  test('list every setting as the program knows it', async () => {
    assert.equal(readFileSync(SETTINGS_FILE, 'utf8'), await settingsPage());
  });

  test('list every operator, and through which gradients pass', () => {
    const page = readFileSync(join(root, 'docs/your-network.md'), 'utf8').replaceAll(/\s+/g, ' ');
    const listed = (before: string): string[] =>
      (page.split(before)[1]?.split('.')[0] ?? '').trim().split(', ');
    const rules = Object.entries(GRADIENT_RULES).sort(([a], [b]) => (a < b ? -1 : 1));
    const named = (isDifferentiable: boolean): string[] =>
      rules.flatMap(([name, rule]) =>
        (typeof rule === 'function') === isDifferentiable ? name : [],
      );

    assert.deepEqual(listed('Gradients pass through '), named(true));
    assert.deepEqual(listed('comparisons, with no gradient: '), named(false));
  });

  test('show only flags that exist, with values that are allowed', () => {
    const commands = trainCommandsIn(readme);
    assert.ok(commands.length >= 5);
    for (const words of commands) {
      const flags: Record<string, string> = {};
      for (const [index, word] of words.entries()) {
        if (word.startsWith('--') && !OF_COMMANDS.includes(word))
          flags[word.slice(2)] = words[index + 1] ?? 'true';
      }
      parseTrainConfig([], flags);
    }
  });

  test('tag what users type as sh, which is run, or as console, where it cannot be', () => {
    const typed =
      /^(?:(?:\w+\$ +)?(?:npx|npm|node|python3|lockstep|pip|ssh|git)\b(?!:)|\w+=\w+ npm )/;
    const blocks = USER_PAGES.flatMap(blocksOf);
    const places = blocks
      .filter(
        (block) =>
          !['sh', 'console'].includes(block.language) &&
          commandsOf(block).some((command) => typed.test(command)),
      )
      .map(({ page, line }) => `${page}:${line}`);
    const notRun = blocks
      .filter(({ language }) => language === 'console')
      .map(
        ({ page, line, text }) =>
          Object.keys(NOT_RUN).find((start) => text.startsWith(start)) ?? `${page}:${line}`,
      );

    assert.deepEqual(places, []);
    assert.deepEqual([...new Set(notRun)].sort(), Object.keys(NOT_RUN).sort());
    assert.ok(blocks.filter(({ language }) => language === 'sh').length >= 15);
  });

  for (const [page, file] of SHOWN_PROGRAMS)
    test(`${page} shows ${file} as it is`, () => {
      const program = readFileSync(join(root, file), 'utf8');

      assert.ok(
        blocksOf(page).some(({ text }) => text === program),
        `no block of ${page} is ${file}`,
      );
    });

  test('name only tests that are there, for every fault one, and events as they are called', () => {
    const page = readFileSync(join(root, 'docs/faults.md'), 'utf8');
    const events = readFileSync(join(root, 'src/metrics/events.ts'), 'utf8');
    const [, ...faults] = page.split('## What there is not')[0]!.split('\n- **');
    const files = [...page.matchAll(/`((?:src|test)\/[^`]*)`/g)].map(([, path = '']) => path);
    const kinds = [...page.matchAll(/\(`([a-z-]+)`\)/g)].map(([, kind = '']) => kind);

    assert.ok(faults.length > 30);
    const untested = faults.filter((fault) => !/Tested: |: see\s/.test(fault));
    assert.deepEqual(untested, []);
    assert.deepEqual(
      files.filter((path) => !existsSync(join(root, path))),
      [],
    );
    assert.ok(kinds.length > 10);
    assert.deepEqual(
      kinds.filter((kind) => !events.includes(`kind: '${kind}'`)),
      [],
    );
  });

  test('are no wider than the code', () => {
    const wide = PAGES.flatMap((page) =>
      readFileSync(join(root, page), 'utf8')
        .split('\n')
        .filter((line) => line.length > 100)
        .map((line) => `${page}: ${line}`),
    );

    assert.deepEqual(wide, []);
  });

  test('link only to files and headings that are there', () => {
    assert.ok(PAGES.length > 10);
    for (const page of PAGES) {
      const text = readFileSync(join(root, page), 'utf8');
      for (const [, target = '', heading] of text.matchAll(/\]\((?!http)([^)#]+)(?:#([^)]+))?/g)) {
        const linked = readFileSync(join(root, dirname(page), target), 'utf8');
        if (heading !== undefined)
          assert.ok(anchorsOf(linked).has(heading), `${page}: ${target}#${heading}`);
      }
    }
  });
});
