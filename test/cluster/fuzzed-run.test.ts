import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fuzz } from './frame-fuzzer.ts';
import { startDisturbedRun } from './peer.ts';
import { assertSameModel, PROMISE, referenceOf } from './runs.ts';

describe('a run at whose door strangers say anything', () => {
  test('goes on through 2,000 mutated frames to the same model', async (t) => {
    const reference = await referenceOf(t, PROMISE);
    const { run, address } = await startDisturbedRun(t, PROMISE);

    const report = await fuzz({ address, seed: 11, frames: 2_000, visitors: 8, wholeOneIn: 100 });
    const outcome = await run.outcome();

    t.diagnostic(JSON.stringify(report));
    assert.ok(report.frames >= 2_000);
    assert.ok(Object.keys(report.byKind).length >= 20);
    assertSameModel(outcome, reference);
  });
});
