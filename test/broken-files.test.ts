/** Files that cannot be used end every command in the same way: one message, and exit code 2. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { REPOSITORY } from './cluster/processes.ts';

/** What may be wrong with a file. */
const FILES = {
  missing: undefined,
  folder: 'folder',
  broken: 'not \u0000 what it should be\n',
  'of another kind': '{"a": "x"}',
} as const;
type Defect = keyof typeof FILES;

const ALL = Object.keys(FILES) as readonly Defect[];
const NOT_THERE = ['missing', 'folder', 'broken'] as const;

/** Commands with the place of a file in them, the end of its name, and what may be wrong with it. */
const COMMANDS: readonly (readonly [
  command: string,
  ending: string,
  defects: readonly Defect[],
])[] = [
  ['train FILE --steps 1', '.yaml', ALL],
  ['train --model FILE --dataset digits', '.onnx', ALL],
  ['train --dataset ./FILE --steps 1', '.csv', NOT_THERE],
  ['train --dataset ./FILE --steps 1', '.npz', ALL],
  ['train --data-dir FILE --steps 1', '', ['missing', 'broken']],
  ['coordinator FILE', '.yaml', ALL],
  ['coordinator --dataset ./FILE', '.npz', ALL],
  ['data ./FILE', '.csv', NOT_THERE],
  ['data ./FILE', '.npz', ALL],
  ['data --data-dir FILE', '', ['missing', 'broken']],
  ['model FILE', '.onnx', ALL],
  ['generate FILE', '', ALL],
  ['predict FILE rows', '', ALL],
  ['run --steps 1 --baseline-throughput FILE', '.json', ALL],
  ['validate FILE FILE', '.json', ALL],
  ['baseline save --name x --metrics FILE', '.json', ALL],
  ['baseline compare --name x --metrics FILE', '.json', ALL],
  ['report check FILE', '.json', NOT_THERE],
  ['report html --result FILE', '.json', ALL],
  ['report pdf --result FILE', '.json', ALL],
  ['report heatmap --results-dir FILE', '', ALL],
  ['report fault-timeline --json FILE', '.json', ALL],
  ['monitor status --checkpoint FILE', '.json', ALL],
  ['monitor report --checkpoint FILE', '.json', ALL],
  ['monitor watch --checkpoint FILE', '.json', ['broken']],
  ['coordinator-node 0 1 --nodes FILE', '', ALL],
  ['coordinator-node 0 1 --data-dir FILE', '', ['missing', 'broken']],
  ['compute-node 0 0 --data-dir FILE', '', ['missing', 'broken']],
];

/** Runs commands one after the other in one process; tells how each ended and what it said. */
const PROGRAM = `
  const [door, list] = process.argv.slice(1);
  const ends = [];
  for (const one of [process, process.stdout, process.stderr]) one.setMaxListeners(0);
  for (const [at, words] of JSON.parse(list).entries()) {
    let said = '';
    process.stderr.write = (text) => ((said += text), true);
    process.argv = [process.execPath, 'lockstep', ...words];
    process.exitCode = 0;
    await import(door + '?' + at);
    ends.push([process.exitCode, said]);
  }
  process.exitCode = 0;
  process.stdout.write('\\n' + JSON.stringify(ends));`;

describe('a file that cannot be used', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-broken-'));
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  const cases = COMMANDS.flatMap(([command, ending, defects]) =>
    defects.map((defect) => ({ command, defect, name: `${defect.replaceAll(' ', '-')}${ending}` })),
  );
  for (const { defect, name } of cases)
    if (defect === 'folder') mkdirSync(join(folder, name), { recursive: true });
    else if (defect !== 'missing') writeFileSync(join(folder, name), FILES[defect]);

  test('is exit code 2 and a message in every command, and nothing is run', () => {
    const before = readdirSync(folder);
    const lines = cases.map(({ command, name }) => command.replaceAll('FILE', name).split(' '));
    const door = pathToFileURL(join(REPOSITORY, 'src/cli/main.ts')).href;

    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [
        ...['--import', pathToFileURL(join(REPOSITORY, 'node_modules/tsx/dist/loader.mjs')).href],
        ...['--input-type', 'module', '-e', PROGRAM, door, JSON.stringify(lines)],
      ],
      { cwd: folder, encoding: 'utf8', timeout: 60_000, env: { ...process.env, NO_COLOR: '1' } },
    );

    assert.equal(status, 0, stderr);
    const ends = JSON.parse(stdout.split('\n').at(-1)!) as [number, string][];
    const odd = ends.flatMap(([code, said], at) => {
      const isTold = /^error: .+\n$/.test(said) || lines[at]!.includes('check');
      return code === 2 && isTold ? [] : [`${code}: lockstep ${lines[at]!.join(' ')}: ${said}`];
    });
    assert.deepEqual(odd, []);
    assert.deepEqual(readdirSync(folder), before);
  });
});
