import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertSameModel, referenceOf, SHORT, startRun } from './runs.ts';

describe('strategies whose steps go through the coordinator', () => {
  test('make the same model as sync when no gradient is left out', async (t) => {
    const reference = await referenceOf(t, SHORT);

    const run = startRun(t, [...SHORT, '--workers', '2', '--strategy', 'parameter-server']);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.equal(outcome.summary.late, undefined);
  });

  test('add the gradients of a slow worker to later steps, and count every sample', async (t) => {
    const flags = ['--workers', '2', '--throttle', '1,10', '--strategy', 'async'];

    const run = startRun(t, [...SHORT, '--steps', '120', ...flags]);
    const { summary } = await run.outcome();

    const { expected } = summary.ledger;
    assert.deepEqual(summary.ledger, { expected, counted: expected, dropped: 0, duplicated: 0 });
    assert.ok(summary.late!.addedSamples > 0, 'some came later');
    assert.ok(summary.late!.addedAs < summary.late!.addedSamples, 'and counted for less');
    assert.ok(summary.testAccuracy! > 0.85, `accuracy ${summary.testAccuracy}`);
    assert.match(run.program.stderr, /strategy async: .* the result depends on timing/);
  });
});
