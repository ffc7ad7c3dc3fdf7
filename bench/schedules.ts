/**
 * Random schedules of kills, freezes, partitions, broken connections, joins and leaves, each for a
 * run of real processes: it must end with the model, the losses and the ledger of one undisturbed
 * worker, and leave no process. What fails is told with its seed, and all that is known of it.
 *
 *   npm run bench -- schedules                          200 of them, two at a time
 *   npm run bench -- schedules --seed 17 --count 1      that of seed 17
 *   npm run bench -- schedules --jobs 8 --minutes 30    eight at a time; none begins after 30 minutes
 */
import { parseArgs } from 'node:util';
import type { RunSummary } from '../src/runs/run-summary.ts';
import { Ending } from '../test/cluster/owner.ts';
import { drawSchedule, KINDS, scheduleText } from '../test/cluster/random-schedule.ts';
import { runSchedule, type ScheduledOutcome } from '../test/cluster/scheduled-run.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    jobs: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '60' },
  },
});
const first = Number(values.seed);
const end = first + Number(values.count);
const jobs = Number(values.jobs);
const untilMs = performance.now() + 60_000 * Number(values.minutes);
const outcomes: ScheduledOutcome[] = [];
const failed: number[] = [];
let next = first;

async function runOne(seed: number): Promise<void> {
  const ending = new Ending();
  try {
    const outcome = await runSchedule(ending, seed);
    outcomes.push(outcome);
    console.log(`${scheduleText(drawSchedule(seed))}\n  ${outcome.seconds.toFixed(1)} s`);
  } catch (error) {
    failed.push(seed);
    console.log(`FAILED seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await ending.end();
  }
}

async function runSome(): Promise<void> {
  while (next < end && performance.now() < untilMs) await runOne(next++);
}

function countOf(event: keyof RunSummary['events']): number {
  return outcomes.reduce((sum, { outcome }) => sum + outcome.summary.events[event], 0);
}

function tell(): void {
  const done = outcomes.flatMap((outcome) => outcome.done);
  const worst = (of: (outcome: ScheduledOutcome) => number): number =>
    Math.max(0, ...outcomes.map(of));
  const medianSeconds = median(outcomes.map(({ seconds }) => seconds)).toFixed(1);
  const rows: readonly (readonly [string, string | number])[] = [
    ['schedules that ended as they must', `${outcomes.length} of ${next - first}`],
    ['their seeds', `${first} to ${next - 1}`],
    ...KINDS.map((kind) => [kind, done.filter((one) => one === kind).length] as const),
    ['workers joined', countOf('workersJoined')],
    ['workers lost', countOf('workersLost')],
    ['workers stalled', countOf('workersStalled')],
    ['micro-batches given to others', countOf('microBatchesReissued')],
    ['runs gone back to a snapshot', countOf('rollbacks')],
    ['seconds of a run, median', medianSeconds],
    ['seconds of a run, longest', worst(({ seconds }) => seconds).toFixed(1)],
    ['ms between two steps, most', worst(({ longestPauseMs }) => longestPauseMs)],
  ];
  for (const [what, value] of rows) console.log(`${what.padEnd(36)}${value}`);
  if (failed.length > 0) console.log(`FAILED seeds: ${failed.join(', ')}`);
}

console.log(`${machine()}; ${jobs} at a time`);
await Promise.all(Array.from({ length: jobs }, runSome));
tell();
process.exitCode = failed.length === 0 ? 0 : 1;
