/** Workers of which some have slow links: who sends sums to whom, and who stands by. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startLockstep } from '../cluster/processes.ts';
import { assertSameModel, referenceOf, SHORT } from '../cluster/runs.ts';
import { named, reasonToSkip, troublesOf, withNetwork } from './network.ts';

const END_MS = 120_000;
const ARGS = [
  ...['--hidden', '256', '--seed', '7', '--steps', '30', '--eval-every', 'never'],
  '--keep-slow-links',
];
/** Kilobits a second. */
const FAST = 500_000;
const SLOW = 5_000;
/** Takes many times longer for a sum than a step takes without. */
const FAR = 20_000;

describe('a run of workers of which two have a slow link', { skip: reasonToSkip() }, () => {
  test('leaves sums to the coordinator, which all reach quickly', async (t) => {
    await startLockstep(t, ['--version']).end();
    const reference = await referenceOf(t, ARGS);
    await withNetwork(async (network) => {
      const run = await network.coordinate([...ARGS, '--workers', '3', '--collective', 'auto']);
      const hosts = [0, 1, 2].map(() => network.addHost(FAST));
      const [first, second] = hosts as [(typeof hosts)[0], (typeof hosts)[0]];
      // Whichever of the two sends to the other.
      first.limitTo(second, SLOW);
      second.limitTo(first, SLOW);
      for (const [index, host] of hosts.entries()) network.joinAt(host, named(`host-${index}`));

      await run.program.end(END_MS);

      assertSameModel(await run.outcome(END_MS), reference);
      assert.deepEqual(troublesOf(run), []);
      const [chosen, ...others] = run.eventsOf('collective-chosen');
      t.diagnostic(chosen?.reason ?? '');
      assert.equal(chosen?.collective, 'star');
      assert.match(chosen.reason ?? '', /slowest link [34567]\.\d Mbit/);
      assert.ok((chosen.predictedMs ?? 0) > 0);
      assert.deepEqual(others, []);
    });
  });
});

describe('a run whose second machine has a slow link', { skip: reasonToSkip() }, () => {
  test('has it stand by, and makes the same model', async (t) => {
    await startLockstep(t, ['--version']).end();
    const reference = await referenceOf(t, SHORT);
    await withNetwork(async (network) => {
      const run = await network.coordinate([...SHORT, '--workers', '2']);
      network.join(undefined, named('near'));
      network.join(FAR, named('far'));

      await run.program.end(END_MS);

      const outcome = await run.outcome(END_MS);
      assertSameModel(outcome, reference);
      const [leftOut, ...others] = run.eventsOf('workers-left-out');
      t.diagnostic(JSON.stringify(leftOut));
      assert.deepEqual(others, []);
      assert.ok(leftOut!.predictedMs < leftOut!.stepMs);
      assert.match(run.program.stderr, /! rank [01] stands by: a step takes .* without/);
      const samples = outcome.summary.workers.map((worker) => worker.samples);
      assert.ok(Math.min(...samples) < Math.max(...samples) / 2, `samples ${samples.join()}`);
    });
  });
});
