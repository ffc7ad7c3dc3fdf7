/** The same model, and the same gradient norms, with more of the settings. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertSameModel, type Run } from '../cluster/runs.ts';
import { assertSameOnTwoWorkers, BRIEF, trained } from '../cluster/trained.ts';

const OPTIMIZERS: readonly (readonly string[])[] = [
  [
    ...['--optimizer', 'sgd', '--lr', '0.1', '--clip-norm', '0.5'],
    ...['--schedule', 'step', '--step-size', '4'],
  ],
  [
    ...['--optimizer', 'momentum', '--lr', '0.05'],
    ...['--schedule', 'cosine', '--warmup-steps', '3', '--min-lr', '0.01'],
  ],
];

describe('lockstep train', () => {
  for (const args of OPTIMIZERS)
    test(`makes the same model on 1 lane and on 2 workers of 2: ${args.join(' ')}`, (t) =>
      assertSameOnTwoWorkers(t, args));

  test('records the same gradient norms whoever computes them', async (t) => {
    const args = [...BRIEF, '--track-gradients'];
    const alone = await trained(t, [...args, '--workers', '1', '--lanes', '1']);
    const lanes = await trained(t, [...args, '--workers', '1', '--lanes', '3']);
    const workers = await trained(t, [...args, '--workers', '2', '--lanes', '1']);

    const expected = normsOf(alone.run);

    assert.equal(expected.length, 12);
    for (const [, norms] of expected) {
      assert.equal(Object.keys(norms).length, 6);
      for (const norm of Object.values(norms)) assert.ok(norm > 0 && norm < 100, String(norm));
    }
    assert.deepEqual(normsOf(lanes.run), expected);
    assert.deepEqual(normsOf(workers.run), expected);
    assertSameModel(workers.outcome, alone.outcome);
  });
});

function normsOf(run: Run): (readonly [number, Readonly<Record<string, number>>])[] {
  return run.eventsOf('gradient-norms').map(({ step, norms }) => [step, norms] as const);
}
