import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertSameModel, referenceOf, startRun } from './runs.ts';

/** Twenty rounds of six replicas, with everything that a round may have. */
const LOCAL_SGD: readonly string[] = [
  ...['--strategy', 'local-sgd', '--model', 'mlp', '--hidden', '64', '--dataset', 'digits'],
  ...['--seed', '7', '--global-batch', '96', '--micro-batch', '16', '--replicas', '6'],
  ...['--sync-every', '5', '--rounds', '20', '--outer-momentum', '0.6', '--compress', 'topk'],
];

describe('lockstep train --strategy local-sgd', () => {
  test('ends with the same model on three workers, one of which is killed, as on one', async (t) => {
    const reference = await referenceOf(t, LOCAL_SGD);

    const run = startRun(t, [...LOCAL_SGD, '--workers', '3']);
    const processes = await run.workerIds(3);
    await run.reachesStep(4);
    process.kill(processes.get(1)!, 'SIGKILL');
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    assert.deepEqual(
      run.eventsOf('worker-lost').map(({ rank }) => rank),
      [1],
    );
    // 17 steps of 96 samples: four rounds to an epoch.
    assert.deepEqual(outcome.summary.rounds, { shards: 6, localEpochs: 1, localSteps: 5 });
    assert.equal(outcome.summary.ledger.counted, 5 * 1617);
    assert.ok(outcome.summary.testAccuracy! > 0.85, `accuracy ${outcome.summary.testAccuracy}`);
  });
});
