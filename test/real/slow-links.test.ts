/**
 * Runs of real processes on links that are slow, unequal, or become so: they advance, lose nobody,
 * undo nothing, and come to the same model.
 */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startLockstep } from '../cluster/processes.ts';
import { referenceOf, type Run } from '../cluster/runs.ts';
import {
  type Network,
  type Rate,
  reasonToSkip,
  troublesOf,
  watch,
  withBusyCores,
  withNetwork,
} from './network.ts';

const END_MS = 120_000;
/** 784 x 64 + 64 x 10 weights and their biases: 204 kB in a sum. */
const SMALL = ['--hidden', '64', '--seed', '7'];

/** A run whose workers stand behind these links; its files are read before they go. */
async function runOn<T>(
  t: TestContext,
  { args, rates }: { args: readonly string[]; rates: readonly Rate[] },
  use: (run: Run, network: Network) => Promise<T>,
): Promise<T> {
  await startLockstep(t, ['--version']).end();
  return withNetwork(async (network) => {
    const run = await network.coordinate([
      ...['--workers', String(rates.length), '--collective', 'star'],
      ...args,
    ]);
    for (const rate of rates) network.join(rate);
    return use(run, network);
  });
}

/** Nobody was lost or stalled, and the model is that of one worker without a network. */
async function assertUndisturbed(t: TestContext, run: Run, args: readonly string[]): Promise<void> {
  const { summary } = await run.outcome(END_MS);
  assert.deepEqual(troublesOf(run), []);
  assert.equal(summary.stateDigest, (await referenceOf(t, args)).summary.stateDigest);
}

describe('a run on slow links', { skip: reasonToSkip() }, () => {
  test('of two workers whose sums take seconds advances as the links allow', async (t) => {
    const args = [...SMALL, '--steps', '12'];
    await runOn(t, { args, rates: [1_600, 1_600] }, async (run) => {
      await run.reachesStep(4);
      const steps = await watch(run, 12);
      const sumMs = (2 * 32 * (await run.event('run-started')).parameterCount) / 1_600;
      const meanMs = steps.reduce((sum, { ms }) => sum + ms, 0) / steps.length;
      t.diagnostic(`${meanMs.toFixed(0)} ms a step, bytes alone ${sumMs.toFixed(0)} ms`);
      assert.ok(meanMs < 2.5 * sumMs, `${meanMs} ms a step, bytes alone ${sumMs} ms`);
      await assertUndisturbed(t, run, args);
    });
  });

  test('of unequal workers comes to the same model', async (t) => {
    const args = [...SMALL, '--steps', '60'];
    await runOn(t, { args, rates: [10_000, 100_000, 1_000] }, async (run) => {
      await assertUndisturbed(t, run, args);
    });
  });

  test('goes on when one link of three falls to 64 kbit/s, and when a slow worker comes', async (t) => {
    const args = [...SMALL, '--steps', '1000000'];
    await runOn(t, { args, rates: [undefined, undefined] }, async (run, network) => {
      const third = network.join(1_000_000);
      await run.workerIds(3);
      await run.reachesStep(20);
      const before = await watch(run, 5);
      third.limit(64);
      network.join(1_000);
      const after = await watch(run, 15);
      const longestMs = Math.max(...after.map(({ ms }) => ms));
      t.diagnostic(
        `${before.length / 5}, then ${after.length / 15} steps/s, at most ${longestMs} ms`,
      );
      assert.ok(after.length / 15 > 0.3 * (before.length / 5), `${after.length} steps in 15 s`);
      const lost = troublesOf(run).filter(({ kind }) => kind !== 'worker-stalled');
      assert.deepEqual(lost, []);
    });
  });

  test('of workers that get what others leave of the cores raises no alarm', async (t) => {
    const size = ['--layers', '2', '--width', '128', '--samples', '256', '--sequence-length', '64'];
    const args = ['--model', 'bert', '--dataset', 'synthetic_text', ...size, '--steps', '2'];
    await startLockstep(t, ['--version']).end();
    await withNetwork(async (network) =>
      withBusyCores(async () => {
        const run = await network.coordinate(['--workers', '2', ...args]);
        for (let i = 0; i < 2; i++) network.join(undefined, ['nice']);
        assert.equal((await run.program.end(END_MS)).status, 0, run.program.stderr);
        assert.deepEqual(troublesOf(run), []);
      }),
    );
  });
});
