/**
 * This checkout against another, e.g. the one before a change: one lane's training step, the
 * command to the first committed step, a late worker's first step. Both are measured alternately:
 * `npm run bench -- against ../before`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { median } from './lib/median.ts';
import { fromRoot, machine } from './lib/processes.ts';
import { since, WatchedRun } from './lib/watched-run.ts';

const ROUNDS = 7;
const WORKERS = 3;

/** Milliseconds of a step of MNIST's perceptron at batch 32, in the checkout `root`. */
function laneStep(root: string): number {
  const program = `
    import { measureOneThread, planRun } from ${JSON.stringify(join(root, 'bench/lib/engine.ts'))};
    const plan = await planRun({ microBatch: 32, globalBatch: 32 });
    console.log((await measureOneThread(plan, 300, 1500)).stepMs);`;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (status !== 0)
    throw new Error(`${root}: the lane ended with ${status}: ${stderr.slice(-500)}`);
  return Number(stdout);
}

/** Milliseconds to the first step of a run, and of a worker that comes late. */
async function reactions(root: string): Promise<{ first: number; late: number }> {
  const run = new WatchedRun(WORKERS, root);
  try {
    const first = since(run.startedMs, await run.event(({ kind }) => kind === 'step'));
    return { first, late: await run.joinLate() };
  } finally {
    await run.end();
  }
}

const [other] = process.argv.slice(2).map((path) => resolve(path));
if (other === undefined || !existsSync(join(other, 'bin', 'lockstep.js'))) {
  console.error('against: expected the folder of another checkout, with its node_modules');
  process.exit(2);
}

const roots = [other, fromRoot()];
const seen = roots.map(() => ({
  lane: [] as number[],
  first: [] as number[],
  late: [] as number[],
}));
console.log(machine());
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, root] of roots.entries()) {
    const { first, late } = await reactions(root);
    seen[index]?.lane.push(laneStep(root));
    seen[index]?.first.push(first);
    seen[index]?.late.push(late);
  }
}
const TEXTS = {
  lane: "one lane's training step, MNIST's perceptron at batch 32",
  first: `command to first committed step, ${WORKERS} workers`,
  late: 'start of a late worker to the first step with its samples',
} as const;
for (const [name, text] of Object.entries(TEXTS)) {
  const [before = Number.NaN, now = Number.NaN] = seen.map((times) =>
    median(times[name as keyof typeof TEXTS]),
  );
  const digits = name === 'lane' ? 3 : 0;
  console.log(
    `${text}: ${before.toFixed(digits)} ms there, ${now.toFixed(digits)} ms here ` +
      `(${(now / before).toFixed(2)}x), medians of ${ROUNDS}`,
  );
}
