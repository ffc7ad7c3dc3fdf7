/** A trained model in the hands of its user: rows as they stand in the table, and no more. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { RandomWords } from '../../src/base/random.ts';
import { loadData } from '../../src/index.ts';
import { REPOSITORY, startLockstep, startProgram, temporaryFolder } from './processes.ts';
import { startRun } from './runs.ts';

const KINDS = ['setosa', 'versicolor', 'virginica'];
const ROWS = 400;

/** Columns of very different sizes: who does not scale them as training did is lost. */
function tableIn(folder: string): string {
  const words = new RandomWords(5, 'synthetic', 0);
  const lines = Array.from({ length: ROWS }, (_, i) => {
    const kind = words.below(4 * i, 3);
    const noise = (column: number): number => words.uniform(4 * i + column) - 0.5;
    const length = 5 + kind + 1.6 * noise(1);
    const width = 300 - 100 * kind + 150 * noise(2);
    const depth = 0.001 * kind + 0.0012 * noise(3);
    return `${length.toFixed(2)},${width.toFixed(1)},${KINDS[kind]},${depth.toFixed(6)}`;
  });
  const path = join(folder, 'table.csv');
  writeFileSync(path, `length,width,kind,depth\n${lines.join('\n')}\n`);
  return path;
}

/** File, line and class of every row, as the example says them with plain ONNX Runtime. */
async function classified(t: TestContext, folder: string, table: string): Promise<string[]> {
  const example = join(REPOSITORY, 'examples/predict.mjs');
  const program = startProgram(t, process.execPath, [example, folder, table]);
  assert.equal((await program.end()).status, 0, program.stderr);
  return program.stdout.trimEnd().split('\n');
}

describe('the model of a table', () => {
  test('takes its rows as they are: in JavaScript, from the command line, to train on', async (t) => {
    const table = tableIn(temporaryFolder(t));
    const run = startRun(t, ['--dataset', table, '--epochs', '12', '--workers', '1']);
    const { summary } = await run.outcome();
    const lines = readFileSync(table, 'utf8').trim().split('\n').slice(1);
    const lineOf = new Map(
      lines.map((line) => {
        const [length, width, , depth] = line.split(',');
        return [Float32Array.of(Number(length), Number(width), Number(depth)).join(), line];
      }),
    );
    const { test: held } = await loadData({ dataset: table });
    const inputs = held.inputs();
    const rows = Array.from({ length: held.count }, (_, i) =>
      lineOf.get(inputs.slice(3 * i, 3 * i + 3).join())!,
    );
    const heldTable = join(run.folder, 'held.csv');
    writeFileSync(heldTable, `length,width,kind,depth\n${rows.join('\n')}`);

    const classes = await classified(t, run.folder, heldTable);
    const predict = startLockstep(t, ['predict', run.folder, heldTable]);
    const { status } = await predict.end();
    const again = startRun(t, [
      '--dataset',
      table,
      '--model',
      join(run.folder, 'model.onnx'),
      '--steps',
      '1',
    ]);
    const { summary: later, losses } = await again.outcome();

    const right = rows.filter(
      (line, i) => classes[i] === `${heldTable}:${i + 2}: ${line.split(',')[2]}`,
    ).length;
    assert.ok(summary.testAccuracy! > 0.85, `accuracy ${summary.testAccuracy}`);
    assert.equal(right / rows.length, summary.testAccuracy);
    assert.deepEqual(summary.input!.shape, ['batch', 3]);
    assert.match(summary.input!.about, /^cells of a row .*\(length, width, depth\), not scaled/);
    assert.deepEqual(summary.input!.columnNames, ['length', 'width', 'depth']);
    assert.deepEqual(summary.classNames, KINDS);
    assert.equal(status, 0, predict.stderr);
    const wrong = Number(/^error (\S+)$/m.exec(predict.stderr)![1]);
    assert.ok(Math.abs(1 - wrong - summary.testAccuracy!) < 1e-9, predict.stderr);
    const predicted = predict.stdout.trimEnd().split('\n');
    assert.deepEqual(
      predicted.map((line) => line.split(/ [01]\./)[0]),
      classes,
    );
    assert.ok(losses[0]! < 0.5, `trained on from loss ${losses[0]}`);
    assert.ok(!again.program.stderr.includes('scaled otherwise'), again.program.stderr);
    assert.equal(later.input!.name, 'input');
  });
});

describe('lockstep predict', () => {
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a run that is not there', ['none', 'rows.csv'], /^error: model none: there is no such file/],
    [
      'a network that Lockstep has not trained',
      ['test/fixtures/onnx/cnn-13.onnx', 'rows.csv'],
      /^error: loading .*cnn-13\.onnx: expected a model\.onnx as `lockstep train` writes it/,
    ],
  ];
  for (const [what, args, message] of wrong)
    test(`refuses with exit code 2: ${what}`, async (t) => {
      const program = startLockstep(t, ['predict', ...args], REPOSITORY);

      assert.equal((await program.end()).status, 2);
      assert.match(program.stderr, message);
    });
});
