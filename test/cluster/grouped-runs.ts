/** Runs whose workers add up sums among themselves: how they are watched, and what must hold. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { BodyName } from '../../src/collectives/body-names.ts';
import { type Outcome, assertSameModel, referenceOf, type Run, startRun } from './runs.ts';

/** A run that is under way in a group of all its workers. */
export interface GroupedRun {
  readonly run: Run;
  /** Process ids by rank. */
  readonly workers: ReadonlyMap<number, number>;
}

/** Starts a run of `count` local workers; resolves once all of them add up by `body`. */
export async function startGroupedRun(
  t: TestContext,
  args: readonly string[],
  body: BodyName,
  count = 3,
): Promise<GroupedRun> {
  const run = startRun(t, [...args, '--workers', String(count), '--collective', body]);
  const workers = await run.workerIds(count);
  await groupOf(run, body, count);
  return { run, workers };
}

/** Resolves once so many workers add up by `body` for steps after `step`; gives the first step. */
export async function groupOf(run: Run, body: BodyName, count: number, step = 0): Promise<number> {
  const chosen = await run.event(
    'collective-chosen',
    (event) => event.collective === body && event.ranks.length === count && event.step >= step,
  );
  return chosen.step;
}

/** The run ends with the model of one undisturbed worker, and no step was ever undone. */
export async function assertWentOn(
  t: TestContext,
  run: Run,
  args: readonly string[],
): Promise<Outcome> {
  const outcome = await run.outcome();
  assertSameModel(outcome, await referenceOf(t, args));
  assert.deepEqual(run.eventsOf('rolled-back'), []);
  return outcome;
}

/** Of what sums through the coordinator would take: all else, and the sums of the first steps. */
const OTHER_BYTES_PART = 0.1;

/** The sums of the run were not what went through the coordinator. */
export function assertSumsWentPast({ summary }: Outcome): void {
  const { parameters, steps, workers, bytesSent } = summary;
  // Each worker's goes up, and the total comes down, 4 bytes a parameter.
  const starBytes = 2 * 4 * parameters * steps * workers.length;
  assert.ok(bytesSent < OTHER_BYTES_PART * starBytes, `${bytesSent} of ${starBytes} bytes`);
}

/** After a disturbance it shows in these steps. */
const STEPS_AFTER = 20;

/** Tells how long the run took to get on after `sinceMs`, a time of `Date.now`. */
export function tellRecovery(t: TestContext, run: Run, what: string, sinceMs: number): void {
  const times = run
    .eventsOf('step')
    .map((event) => Date.parse((event as unknown as { time: string }).time) - sinceMs)
    .filter((ms) => ms >= 0)
    .slice(0, STEPS_AFTER);
  const pauses = times.map((ms, i) => ms - (times[i - 1] ?? 0));
  t.diagnostic(
    `${what}: ${times[0]} ms to the next step, at most ${Math.max(...pauses)} ms between any two ` +
      `of the next ${STEPS_AFTER}`,
  );
}
