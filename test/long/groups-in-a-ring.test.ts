import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testGroups } from '../cluster/groups.contract.ts';
import { assertSumsWentPast, assertWentOn, startGroupedRun } from '../cluster/grouped-runs.ts';
import { PROMISE, SHORT, startRun } from '../cluster/runs.ts';

testGroups('ring');

describe('a ring of workers with two lanes', () => {
  test('makes the model of one worker', async (t) => {
    const { run } = await startGroupedRun(t, [...PROMISE, '--lanes', '2'], 'ring', 2);

    await assertWentOn(t, run, PROMISE);
  });
});

describe('sums through the coordinator', () => {
  test('make the model of one worker, and are most of what is sent', async (t) => {
    const run = startRun(t, [...SHORT, '--workers', '3', '--collective', 'star']);

    const outcome = await assertWentOn(t, run, SHORT);

    assert.deepEqual(run.eventsOf('collective-chosen'), []);
    assert.throws(() => assertSumsWentPast(outcome), { code: 'ERR_ASSERTION' });
    t.diagnostic(`star, 3 workers: ${outcome.summary.bytesSent} bytes`);
  });
});
