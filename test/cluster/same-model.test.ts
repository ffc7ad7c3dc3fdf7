import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertSameModel, PROMISE, PROMISE_STEPS, referenceOf, SHORT, startRun } from './runs.ts';

describe('lockstep train', () => {
  test('trains MNIST in one epoch, with one worker', async (t) => {
    const { summary, losses } = await referenceOf(t, PROMISE);

    assert.equal(losses.length, PROMISE_STEPS);
    assert.equal(summary.ledger.counted, 60_000);
    assert.ok(summary.testAccuracy! > 0.95, `accuracy ${summary.testAccuracy}`);
    assert.match(summary.stateDigest!, /^[0-9a-f]{64}$/);
  });

  for (const [workers, args] of [
    [2, PROMISE],
    [3, SHORT],
  ] as const)
    test(`ends with the same model on ${workers} workers`, async (t) => {
      const reference = await referenceOf(t, args);

      const outcome = await startRun(t, [...args, '--workers', String(workers)]).outcome();

      assertSameModel(outcome, reference);
      assert.equal(outcome.summary.events.workersJoined, workers);
      assert.equal(outcome.summary.events.workersLost, 0);
    });

  test('notes that two workers cannot tell who of them is wrong', async (t) => {
    const run = startRun(t, ['--steps', '2', '--workers', '2', '--audit', '1']);
    await run.outcome();

    assert.match(run.program.stderr, /audit: it takes three workers/);
  });

  test('ends with another model for another seed', async (t) => {
    const args = ['--steps', '3', '--seed'];
    const [seven, eight] = [
      await startRun(t, [...args, '7', '--workers', '1']).outcome(),
      await startRun(t, [...args, '8', '--workers', '1']).outcome(),
    ];

    assert.notEqual(seven.summary.stateDigest, eight.summary.stateDigest);
  });
});
