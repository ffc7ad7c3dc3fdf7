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

/** Classifies rows with plain ONNX Runtime; the program gets model and rows as arguments. */
const CLASSIFY = `
  import { InferenceSession, Tensor } from 'onnxruntime-node';
  const [file, text] = process.argv.slice(1);
  const rows = JSON.parse(text);
  const session = await InferenceSession.create(file);
  const input = new Tensor('float32', Float32Array.from(rows.flat()), [rows.length, 3]);
  const { logits } = await session.run({ input });
  const classes = rows.map((_, i) => {
    const row = logits.data.subarray(3 * i, 3 * i + 3);
    return row.indexOf(Math.max(...row));
  });
  console.log(JSON.stringify(classes));
`;

async function classified(t: TestContext, ...args: readonly string[]): Promise<string> {
  const program = startProgram(t, process.execPath, ['--input-type=module', '--eval', ...args]);
  assert.equal((await program.end()).status, 0, program.stderr);
  return program.stdout;
}

/** The first block of a language on a page. */
function blockOf(page: string, language: string): string {
  const text = readFileSync(join(REPOSITORY, page), 'utf8');
  return new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(text)![1]!;
}

describe('the model of a table', () => {
  test('takes its rows as they are: in JavaScript, from the command line, to train on', async (t) => {
    const table = tableIn(temporaryFolder(t));
    const run = startRun(t, ['--dataset', table, '--epochs', '12', '--workers', '1']);
    const { summary } = await run.outcome();
    const model = join(run.folder, 'model.onnx');
    const lines = readFileSync(table, 'utf8').trim().split('\n').slice(1);
    const cellsOf = new Map(
      lines.map((line) => {
        const [length, width, kind, depth] = line.split(',');
        const cells = [length, width, depth].map(Number);
        return [Float32Array.from(cells).join(), { cells, line, kind: kind ?? '' }] as const;
      }),
    );
    const { test: held } = await loadData({ dataset: table });
    const inputs = held.inputs();
    const rows = Array.from({ length: held.count }, (_, i) =>
      cellsOf.get(inputs.slice(3 * i, 3 * i + 3).join())!,
    );

    const classes = JSON.parse(
      await classified(t, CLASSIFY, model, JSON.stringify(rows.map(({ cells }) => cells))),
    ) as number[];
    const heldTable = join(run.folder, 'held.csv');
    writeFileSync(heldTable, `length,width,kind,depth\n${rows.map(({ line }) => line).join('\n')}`);
    const predict = startLockstep(t, ['predict', run.folder, heldTable]);
    const { status } = await predict.end();
    const documented = blockOf('docs/use-the-model.md', 'js');
    const shown = await classified(t, documented.replaceAll('experiments/table', run.folder));
    const again = startRun(t, ['--dataset', table, '--model', model, '--steps', '1']);
    const { summary: later, losses } = await again.outcome();

    const right = rows.filter(({ kind }, i) => KINDS[classes[i]!] === kind).length;
    assert.ok(summary.testAccuracy! > 0.85, `accuracy ${summary.testAccuracy}`);
    assert.equal(right / rows.length, summary.testAccuracy);
    assert.deepEqual(summary.input!.shape, ['batch', 3]);
    assert.match(summary.input!.about, /^cells of a row .*\(length, width, depth\), not scaled/);
    assert.deepEqual(summary.classNames, KINDS);
    assert.equal(status, 0, predict.stderr);
    const wrong = Number(/^error (\S+)$/m.exec(predict.stderr)![1]);
    assert.ok(Math.abs(1 - wrong - summary.testAccuracy!) < 1e-9, predict.stderr);
    const [first] = predict.stdout.split('\n');
    assert.equal(first!.startsWith(`${heldTable}:2: ${KINDS[classes[0]!]} 0.`), true, first);
    assert.deepEqual(shown, 'setosa\nvirginica\n');
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
