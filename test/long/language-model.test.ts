import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Dataset } from '../../src/data/dataset.ts';
import { lockstep } from '../cluster/lockstep-command.ts';
import { startRun } from '../cluster/runs.ts';
import { samplesOf, worthOf } from './inference.ts';

const DATA = { dataset: 'moby_dick', 'sequence-length': '64' };
const TRAINING = [
  ...['--model', 'gpt', '--dataset', 'moby_dick', '--sequence-length', '64'],
  ...['--layers', '2', '--width', '64', '--heads', '2', '--workers', '2', '--lanes', '1'],
  ...['--micro-batch', '16', '--global-batch', '32', '--steps', '500', '--eval-every', '1000000'],
  ...['--lr', '0.008', '--schedule', 'cosine', '--warmup-steps', '50', '--clip-norm', '1'],
];
/** Three times what the run takes on two free cores. */
const DEADLINE_MS = 120_000;

/**
 * Mean loss on `held`, in nats, of models that count characters, or pairs of them, in `train`; none
 * has count 0.
 */
function countingLosses(train: Dataset, held: Dataset): { unigram: number; bigram: number } {
  const size = train.vocabulary!;
  const single = new Float64Array(size).fill(1);
  const pairs = Array.from({ length: size }, () => new Float64Array(size).fill(1));
  train.y.forEach((next, i) => {
    single[next]!++;
    pairs[train.x[i]!]![next]!++;
  });
  const total = (counts: Float64Array): number => counts.reduce((sum, count) => sum + count, 0);
  const singleTotal = total(single);
  const pairTotals = pairs.map(total);
  let [unigram, bigram] = [0, 0];
  held.y.forEach((next, i) => {
    const token = held.x[i]!;
    unigram -= Math.log(single[next]! / singleTotal);
    bigram -= Math.log(pairs[token]![next]! / pairTotals[token]!);
  });
  return { unigram: unigram / held.y.length, bigram: bigram / held.y.length };
}

test('a gpt learns more of Moby Dick than what follows which character, and writes', async (t) => {
  const run = startRun(t, TRAINING);
  const { summary } = await run.outcome(DEADLINE_MS);
  const { train, test: held } = await samplesOf(DATA);

  await t.test('its loss is below that of counting characters, and pairs of them', async () => {
    const { unigram, bigram } = countingLosses(train, held);

    const { loss } = await worthOf(join(run.folder, 'model.onnx'), held);

    // Measured: 2.030, where counting characters has 3.118 and counting pairs 2.466.
    assert.ok(
      loss < Math.min(unigram, bigram) - 0.1,
      `${loss}, of characters ${unigram}, of pairs ${bigram}`,
    );
    assert.ok(Math.abs(loss - summary.testLoss!) < 0.001, `${loss}, not ${summary.testLoss}`);
  });

  await t.test('it writes characters of the text, the same ones for the same seed', async () => {
    const args = [run.folder, '--prompt', 'The whale', '--tokens', '150', '--json', '--seed'];

    const [first, again, other] = [
      await lockstep(t, 'generate', ...args, '1'),
      await lockstep(t, 'generate', ...args, '1'),
      await lockstep(t, 'generate', ...args, '2'),
    ].map(({ status, stdout, stderr }) => {
      assert.equal(status, 0, stderr);
      return (JSON.parse(stdout) as { text: string }).text;
    });

    const known = new Set(train.classNames);
    const characters = Array.from(first!);
    assert.equal(characters.length, 150);
    assert.ok(
      characters.every((character) => known.has(character)),
      first,
    );
    assert.ok(first!.includes(' ') && new Set(characters).size > 10, first);
    assert.equal(again, first);
    assert.notEqual(other, first);
  });

  await t.test('it refuses a prompt that it cannot read, and flags that are none', async () => {
    const unknown = await lockstep(
      t,
      'generate',
      run.folder,
      '--prompt',
      'the \u{1f433} and the \u{1f433}',
    );
    const empty = await lockstep(t, 'generate', run.folder, '--prompt', '');
    const many = await lockstep(t, 'generate', run.folder, '--tokens', 'many');

    const says =
      '^error: prompt: expected characters that the model was trained on, got "\u{1f433}"\\. ' +
      '[^\n]*\n$';
    assert.match(unknown.stderr, new RegExp(says, 'u'));
    assert.equal(empty.stderr, 'error: --prompt: expected at least one character\n');
    assert.match(
      many.stderr,
      /^error: --tokens: expected a whole number from 1 to \d+, got "many"\n$/,
    );
    for (const { status, stdout } of [unknown, empty, many])
      assert.deepEqual([status, stdout], [2, '']);
  });
});
