/** The promised run on more workers and lanes than the machine of a developer has cores. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertSameModel, PROMISE, referenceOf, startRun } from '../cluster/runs.ts';

describe('lockstep train', () => {
  for (const workers of [3, 5])
    test(`ends with the same model on ${workers} workers`, async (t) => {
      const reference = await referenceOf(t, PROMISE);

      const outcome = await startRun(t, [...PROMISE, '--workers', String(workers)]).outcome();

      assertSameModel(outcome, reference);
      assert.equal(outcome.summary.events.workersJoined, workers);
      assert.equal(outcome.summary.events.workersLost, 0);
    });

  test('ends with the same model on four lanes of one worker', async (t) => {
    const reference = await referenceOf(t, PROMISE);

    const args = [...PROMISE, '--workers', '1', '--lanes', '4'];
    const outcome = await startRun(t, args).outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.workers[0]!.lanes, 4);
  });
});
