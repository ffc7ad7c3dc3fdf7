/** More of the frames of test/cluster/fuzzed-run.test.ts, from more strangers at once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fuzz } from '../cluster/frame-fuzzer.ts';
import { startDisturbedRun } from '../cluster/peer.ts';
import { assertSameModel, lasting, referenceOf, testSeed } from '../cluster/runs.ts';

describe('a run at whose door strangers say anything', () => {
  test('goes on through 40,000 mutated frames to the same model', async (t) => {
    const args = await lasting(t, 15_000);
    const reference = await referenceOf(t, args);
    const { run, address } = await startDisturbedRun(t, args);
    const seed = testSeed(t);

    const report = await fuzz({ address, seed, frames: 40_000, visitors: 64, wholeOneIn: 200 });
    const outcome = await run.outcome();

    t.diagnostic(JSON.stringify(report));
    assert.ok(report.frames >= 40_000);
    assert.equal(run.program.stderr.includes('internal'), false);
    assertSameModel(outcome, reference);
  });
});
