/**
 * Help texts, files with their keys, exit codes and messages are as they were recorded. When a
 * change of them is wanted: `node --import tsx scripts/record-unchanged.ts`, and commit what it
 * writes with the change.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  differencesOf,
  FIXTURES,
  readObservation,
  writeObservation,
} from './unchanged/fixtures.ts';
import { keyPathsOf } from './unchanged/key-paths.ts';
import { type Observation, observe } from './unchanged/observe.ts';
import { describeOptions } from '../src/config/option-docs.ts';
import { REPOSITORY } from './cluster/processes.ts';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-unchanged-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

const RECORD_ANEW =
  'If this is wanted: node --import tsx scripts/record-unchanged.ts, and commit what it writes.';

describe('what users and their scripts see', () => {
  const recorded = readObservation(FIXTURES);
  let present: Observation;

  before(async () => {
    const bin = join(REPOSITORY, 'bin/lockstep.js');
    const { status, stderr } = spawnSync(process.execPath, [bin, '--version']); // Builds it, too.
    assert.equal(status, 0, stderr.toString());
    present = await observe(REPOSITORY, folder);
  });

  const GROUPS: readonly (readonly [title: string, prefix: string, least: number])[] = [
    ['the help of every command is as it was', 'help/', 36],
    ['files have the keys that they had, and commands their exit codes', 'files/', 8],
    ['wrong input is answered as it was', 'wrong-input', 1],
  ];
  for (const [title, prefix, least] of GROUPS)
    test(title, () => {
      const only = (all: Observation): Observation =>
        new Map([...all].filter(([name]) => name.startsWith(prefix)));

      assert.ok(only(recorded).size >= least, 'the records are there');
      const differences = differencesOf(only(recorded), only(present));
      assert.equal(differences.join('\n'), '', RECORD_ANEW);
    });
});

describe('help', () => {
  const pages = [...readObservation(FIXTURES)].filter(([name]) => name.startsWith('help/'));

  test('has no line that is wider than 80 columns', () => {
    const wide = pages.flatMap(([name, text]) =>
      text.split('\n').flatMap((line) => (line.length > 80 ? [`${name}: ${line}`] : [])),
    );

    assert.deepEqual(wide, []);
  });

  test('shows the options that most runs need, and all when it is asked for all', () => {
    for (const command of ['train', 'coordinator']) {
      const page = new Map(pages).get(`help/lockstep-${command}.txt`)!;
      const all = new Map(pages).get(`help/lockstep-${command}--all.txt`)!;
      const flagsOf = (text: string): string[] =>
        [...text.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag!);

      const settings = describeOptions().map(({ flag }) => flag);
      const others = ['--json', '--resume', '--verify', '--dashboard', '--help'];
      assert.deepEqual(new Set(flagsOf(all)), new Set([...settings, ...others]));
      assert.ok(flagsOf(page).length < 25, 'a page of everyday options');
      const left = flagsOf(all).length - flagsOf(page).length;
      assert.match(page, new RegExp(`\n${left} more options: lockstep ${command} --help --all\n$`));
    }
  });
});

describe('keyPathsOf', () => {
  test('gives keys with types, of all elements of an array together', () => {
    const text = JSON.stringify({ b: [{ x: 1 }, { x: null, y: 'z' }], a: { c: true }, e: [] });

    assert.deepEqual(keyPathsOf('file.json', text), [
      'a.c: boolean',
      'b: array',
      'b[].x: null or number',
      'b[].y: string',
      'e: array',
    ]);
  });

  test('tells events apart by kind, and leaves out disturbances', () => {
    const lines = [
      { kind: 'step', step: 1 },
      { kind: 'worker-slow', rank: 0 },
    ];

    assert.deepEqual(
      keyPathsOf('metrics.jsonl', lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
      ['step.kind: string', 'step.step: number'],
    );
  });

  test('knows the settings without a value in a configuration, and no other kinds of files', () => {
    assert.deepEqual(
      keyPathsOf('config.yaml', '# A model (of some kind).\nmodel: mlp\n# steps:\n'),
      ['model: string', 'steps: none'],
    );
    assert.equal(keyPathsOf('model.onnx', 'bytes'), undefined);
  });
});

describe('differencesOf', () => {
  const recorded = readObservation(FIXTURES);
  const changed = (name: string, change: (text: string) => string): string[] => {
    const text = recorded.get(name);
    assert.ok(text !== undefined, `${name} is recorded`);
    return differencesOf(recorded, new Map(recorded).set(name, change(text)));
  };

  test('finds none where there is none, also after writing and reading', () => {
    const copy = join(folder, 'copy');
    writeObservation(copy, recorded);

    assert.deepEqual(differencesOf(recorded, readObservation(copy)), []);
  });

  test('shows a word of a help text that is another', () => {
    assert.deepEqual(
      changed('help/lockstep-train.txt', (text) => text.replace('--epochs', '--epoch')).map(
        (line) => line.replace(/<.*/, '').trimEnd(),
      ),
      ['help/lockstep-train.txt:', '  -   --epochs', '  +   --epoch'],
    );
  });

  test('shows a key that is gone, one that is new, and a type that is another', () => {
    const key = '  ledger.counted: number\n';

    assert.deepEqual(
      changed('files/train-sync.txt', (text) => text.replace(key, '')),
      ['files/train-sync.txt:', '  -   ledger.counted: number'],
    );
    assert.deepEqual(
      changed('files/train-sync.txt', (text) => text.replace(key, `${key}  ledger.more: string\n`)),
      ['files/train-sync.txt:', '  +   ledger.more: string'],
    );
    assert.deepEqual(
      changed('files/train-sync.txt', (text) => text.replace(key, '  ledger.counted: string\n')),
      ['files/train-sync.txt:', '  -   ledger.counted: number', '  +   ledger.counted: string'],
    );
  });

  test('shows a file of a run that is gone, another exit code, and another message', () => {
    assert.deepEqual(
      changed('files/train-rounds.txt', (text) => text.replace('rounds/model.onnx\n', '')),
      ['files/train-rounds.txt:', '  - rounds/model.onnx'],
    );
    assert.deepEqual(
      changed('files/train-failed.txt', (text) => text.replace('exit code 1', 'exit code 2')),
      ['files/train-failed.txt:', '  - exit code 1', '  + exit code 2'],
    );
    assert.equal(changed('wrong-input.txt', (text) => text.replace('mean', 'want')).length, 3);
  });

  test('shows commands that are gone or new', () => {
    const without = new Map([...recorded].filter(([name]) => name !== 'help/lockstep-run.txt'));

    assert.deepEqual(differencesOf(recorded, without), ['- help/lockstep-run.txt']);
    assert.deepEqual(differencesOf(without, recorded), ['+ help/lockstep-run.txt']);
  });
});
