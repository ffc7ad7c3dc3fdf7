import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { testGroups } from '../cluster/groups.contract.ts';
import { aim } from '../cluster/aim.ts';
import { assertSumsWentPast, assertWentOn, startGroupedRun } from '../cluster/grouped-runs.ts';
import { movesBytes } from '../cluster/processes.ts';
import { PROMISE, SHORT, startRun, testSeed } from '../cluster/runs.ts';

/** 6.7 million parameters: adding up 27 MB takes most of a step. */
const LONG: readonly string[] = [
  ...['--model', 'mlp', '--hidden', '2400,2000', '--dataset', 'mnist', '--seed', '7'],
  ...['--micro-batch', '4', '--global-batch', '12', '--steps', '20'],
];
/** A piece of it on its way. */
const SEGMENT_BYTES = 512 << 10;

testGroups('ring');

describe('a ring of workers with two lanes', () => {
  test('makes the model of one worker', async (t) => {
    const { run } = await startGroupedRun(t, [...PROMISE, '--lanes', '2'], 'ring', 2);

    await assertWentOn(t, run, PROMISE);
  });
});

describe('a ring whose sums are long', () => {
  test('goes on when one of three is killed in the midst of adding up', async (t) => {
    const { rank } = aim(testSeed(t), 1);
    const { run, workers } = await startGroupedRun(t, LONG, 'ring');
    const victim = workers.get(rank)!;
    await run.reachesStep(3);

    // Nothing else moves as much at once.
    await movesBytes(victim, SEGMENT_BYTES);
    process.kill(victim, 'SIGKILL');
    const { summary } = await assertWentOn(t, run, LONG);

    assert.equal(summary.events.workersLost, 1);
    const [lost] = run.eventsOf('worker-lost');
    assert.equal(lost!.rank, rank);
    assert.ok(lost!.step < 20, `it was lost in step ${lost!.step}`);
    const { counted, dropped, duplicated } = summary.ledger;
    assert.deepEqual([counted, dropped, duplicated], [20 * 12, 0, 0]);
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
