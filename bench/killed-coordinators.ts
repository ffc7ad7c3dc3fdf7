/**
 * Coordinators that are killed at random moments, and started again: what is lost, and how long it
 * takes until the training goes on. Every run must end with the model of an undisturbed one.
 *
 *   npm run bench -- killed-coordinators                      10 runs of 4 workers, 4 kills each
 *   npm run bench -- killed-coordinators --seed 7 --runs 1
 */
import { parseArgs } from 'node:util';
import { type Kill, runKilled } from '../test/cluster/killed-coordinator.ts';
import { Ending } from '../test/cluster/owner.ts';
import { median } from './lib/median.ts';
import { machine } from './lib/processes.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '10' },
    workers: { type: 'string', default: '4' },
    kills: { type: 'string', default: '4' },
  },
});
const [first, runs] = [Number(values.seed), Number(values.runs)];
const how = { workers: Number(values.workers), kills: Number(values.kills) };
const kills: Kill[] = [];
const failed: number[] = [];

console.log(machine());
for (let seed = first; seed < first + runs; seed++) {
  const ending = new Ending();
  try {
    const done = await runKilled(ending, seed, how);
    kills.push(...done.kills);
    const shown = done.kills.map(
      ({ recordedStep, resumedAtStep, awayMs }) =>
        `${recordedStep} -> ${resumedAtStep} (${awayMs} ms)`,
    );
    console.log(`seed ${seed}: ${shown.join(', ')}`);
  } catch (error) {
    failed.push(seed);
    console.log(`FAILED seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await ending.end();
  }
}
const lost = kills.map(({ recordedStep, resumedAtStep }) => recordedStep - resumedAtStep);
const awayMs = kills.map((kill) => kill.awayMs);
const rows: readonly (readonly [string, string | number])[] = [
  ['runs with the model of an undisturbed one', `${runs - failed.length} of ${runs}`],
  ['kills', kills.length],
  ['steps lost, all kills together', lost.reduce((sum, steps) => sum + Math.max(0, steps), 0)],
  ['went on from workers', kills.filter(({ workersWithState }) => workersWithState > 0).length],
  ['ms until the next step, median', median(awayMs).toFixed(0)],
  ['ms until the next step, most', Math.max(0, ...awayMs).toFixed(0)],
];
for (const [what, value] of rows) console.log(`${what.padEnd(44)}${value}`);
process.exitCode = failed.length === 0 ? 0 : 1;
