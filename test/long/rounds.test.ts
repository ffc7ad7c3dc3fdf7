/** Rounds of a network with running statistics, and rounds that wait for a worker. */
import { describe, test } from 'node:test';
import { DIGITS } from '../cluster/shared-runs.ts';
import { assertSameModel, referenceOf, startRun, startWorker } from '../cluster/runs.ts';

describe('lockstep train --strategy rounds', () => {
  test('learns with running statistics and dropout on two workers of two lanes', async (t) => {
    const args = [
      '--strategy',
      'rounds',
      '--model',
      'simple_cnn',
      '--width',
      '4',
      '--dataset',
      'synthetic_image',
      '--image-size',
      '8',
      '--samples',
      '256',
      '--global-batch',
      '64',
      '--shards',
      '2',
      '--rounds',
      '2',
    ];
    const reference = await referenceOf(t, args);

    const outcome = await startRun(t, [...args, '--workers', '2', '--lanes', '2']).outcome();

    assertSameModel(outcome, reference);
  });

  test('is done by workers that join by hand, and waits for one when all are gone', async (t) => {
    const args = [...DIGITS, '--rounds', '40'];
    const reference = await referenceOf(t, args);

    const run = startRun(t, [...args, '--workers', '1', '--port', '0'], 'coordinator');
    const first = await startWorker(t, run);
    await run.reachesStep(3);
    first.signal('SIGKILL');
    await run.event('run-waiting');
    await startWorker(t, run);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
  });
});
