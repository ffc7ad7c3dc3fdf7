/** Brief runs, to their end. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { assertSameModel, type Outcome, type Run, startRun } from './runs.ts';

/** Twelve steps of a small network. */
export const BRIEF: readonly string[] = ['--hidden', '64,32', '--steps', '12', '--seed', '7'];

/** Runs `lockstep train` to its end, and gives the run with what it made. */
export async function trained(
  t: TestContext,
  args: readonly string[],
): Promise<{ run: Run; outcome: Outcome }> {
  const run = startRun(t, args);
  return { run, outcome: await run.outcome() };
}

/** A brief run makes the same model on one lane as on two workers with two lanes each. */
export async function assertSameOnTwoWorkers(
  t: TestContext,
  args: readonly string[],
): Promise<void> {
  const alone = await trained(t, [...BRIEF, ...args, '--workers', '1', '--lanes', '1']);
  const shared = await trained(t, [...BRIEF, ...args, '--workers', '2', '--lanes', '2']);

  assertSameModel(shared.outcome, alone.outcome);
  const rates = new Set(alone.run.eventsOf('step').map(({ learningRate }) => learningRate));
  assert.equal(rates.size > 1, args.includes('--schedule'));
}
