/**
 * What `lockstep plan` predicts against what steps take, on links of real network namespaces (root,
 * Linux): for each network, number of workers and link the ring, the star and one worker alone; and
 * whether the fastest prediction is the fastest measurement.
 *
 *   npm run bench -- planner                  all 12 cases, 6 seconds each way: five minutes
 *   npm run bench -- planner 4 mlp-64         so many seconds, the cases whose name has the word
 *
 * Workers have one lane each. All of them share the cores of this machine, so where there are more
 * workers than cores they are predicted to be slower by as much; nothing else should run beside.
 */
import { availableParallelism } from 'node:os';
import { measureStep, type StepProfile } from '../src/job/step-profile.ts';
import {
  LOOPBACK,
  predictWays,
  type SumPath,
  type TrainingShape,
  type WorkerProfile,
} from '../src/plan/predict.ts';
import { parseLink } from '../src/plan/stated-link.ts';
import { type Rate, reasonToSkip, watch, withNetwork } from '../test/real/network.ts';
import { planRun } from './lib/engine.ts';
import { machine } from './lib/processes.ts';

/** Networks with sums of 0.2, 1.4 and 1.7 MB, of steps that take 2 to 100 ms. */
const NETWORKS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'mlp-64': { hidden: '64' },
  mlp: {},
  simple_cnn: { model: 'simple_cnn' },
};
const WORKERS = [2, 3];
const LINKS_MBIT = [1_000, 100];
const WAYS = ['ring', 'star'] as const;
const ROUND_TRIP_MS = 0.1;
/** The first steps measure speeds and the grid, and connect the workers. */
const WARM_UP_STEPS = 5;
/** A choice is good if it is at most so much slower than the best, a prediction if so near. */
const NEAR_CHOICE = 0.05;
const NEAR_PREDICTION = 0.2;

interface Row {
  readonly name: string;
  readonly predictedMs: number;
  readonly measuredMs: number;
}

/** A network that is planned, and a step of it measured on one lane. */
interface Subject {
  readonly flags: readonly string[];
  readonly profile: StepProfile;
  readonly shape: TrainingShape;
  readonly aloneMs: number;
}

async function subjectOf(settings: Readonly<Record<string, string>>, seconds: number) {
  const flags = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]);
  const { planned } = await planRun(settings);
  const { job, sumElements } = planned.plan;
  const names = { model: settings['model'] ?? 'mlp', dataset: 'mnist' };
  const profile = await measureStep(planned, { ...names, device: 'cpu', lanes: 1 });
  const shape = {
    microBatches: Math.ceil(job.globalBatch / job.microBatch),
    microBatch: job.microBatch,
    sumBytes: 4 * sumElements,
    coordinator: { host: 'hub', bytesPerSecond: LOOPBACK.bytesPerSecond },
  };
  const aloneMs = await measuredMs(flags, { workers: 1, rate: undefined, way: 'auto' }, seconds);
  return { flags, profile, shape, aloneMs } satisfies Subject;
}

interface Cluster {
  readonly workers: number;
  readonly rate: Rate;
  readonly way: 'auto' | (typeof WAYS)[number];
}

/** The mean time of the steps of `seconds`, once the workers add up that way. */
async function measuredMs(
  flags: readonly string[],
  { workers, rate, way }: Cluster,
  seconds: number,
): Promise<number> {
  return withNetwork(async (network) => {
    const endless = ['--steps', '1000000', '--eval-every', 'never', '--collective', way];
    const run = await network.coordinate(['--workers', String(workers), ...flags, ...endless]);
    for (let i = 0; i < workers; i++) network.join(rate);
    if (way === 'ring') await run.event('collective-chosen', (one) => one.collective === way);
    await run.reachesStep(
      Math.max(0, ...run.eventsOf('step').map(({ step }) => step)) + WARM_UP_STEPS,
    );
    const steps = await watch(run, seconds);
    if (steps.length === 0) throw new Error(`no step within ${seconds} s`);
    return steps.reduce((sum, { ms }) => sum + ms, 0) / steps.length;
  });
}

/** What `count` workers behind such links are predicted to take, by way. */
function predictedMs(
  { profile, shape }: Subject,
  count: number,
  mbit: number,
): Readonly<Partial<Record<SumPath, number>>> {
  const factor = Math.max(1, count / availableParallelism());
  const workers = Array.from({ length: count }, (_, index): WorkerProfile => ({
    ...{ host: `host ${index}`, cores: 1, lanes: 1 },
    microBatchMs: factor * profile.micro_batch_ms,
    stepFixedMs: factor * profile.step_fixed_ms,
    ownFixedMs: factor * profile.own_fixed_ms,
    link: parseLink(`${mbit}mbit,${ROUND_TRIP_MS}ms`),
  }));
  const ways = predictWays(workers, [...workers.keys()], shape);
  return Object.fromEntries(ways.map(({ path, stepMs }) => [path, stepMs]));
}

/** One case: what was predicted and measured of each way, the first that of one worker. */
async function caseOf(subject: Subject, count: number, mbit: number, seconds: number) {
  const predicted = predictedMs(subject, count, mbit);
  const alone = predictedMs(subject, 1, mbit).alone ?? Number.NaN;
  const rows: Row[] = [{ name: 'alone', predictedMs: alone, measuredMs: subject.aloneMs }];
  for (const way of WAYS) {
    const cluster = { workers: count, rate: 1_000 * mbit, way };
    const ms = await measuredMs(subject.flags, cluster, seconds);
    rows.push({ name: way, predictedMs: predicted[way] ?? Number.NaN, measuredMs: ms });
  }
  return rows;
}

function least(rows: readonly Row[], of: (row: Row) => number): Row {
  const [best] = rows.toSorted((a, b) => of(a) - of(b));
  if (best === undefined) throw new Error('nothing was measured');
  return best;
}

const [seconds = '6', wanted = ''] = process.argv.slice(2);
const skipped = reasonToSkip();
if (skipped !== false) throw new Error(`links cannot be made: ${skipped}`);
console.log(machine());
console.log('case                        way    predicted  measured   error');
const errors: number[] = [];
const losses: number[] = [];
for (const [network, settings] of Object.entries(NETWORKS)) {
  const cases = WORKERS.flatMap((count) => LINKS_MBIT.map((mbit) => ({ count, mbit })))
    .map((one) => ({ ...one, name: `${network} ${one.count} x ${one.mbit} Mbit/s` }))
    .filter(({ name }) => name.includes(wanted));
  if (cases.length === 0) continue;
  const subject = await subjectOf(settings, Number(seconds));
  for (const { name, count, mbit } of cases) {
    const rows = await caseOf(subject, count, mbit, Number(seconds));
    for (const { name: way, predictedMs: ms, measuredMs: took } of rows) {
      const error = ms / took - 1;
      errors.push(error);
      console.log(
        `${name.padEnd(28)}${way.padEnd(7)}${ms.toFixed(2).padStart(6)} ms ` +
          `${took.toFixed(2).padStart(8)} ms ${(100 * error).toFixed(0).padStart(5)} %`,
      );
    }
    const chosen = least(rows, (row) => row.predictedMs);
    const best = least(rows, (row) => row.measuredMs);
    losses.push(chosen.measuredMs / best.measuredMs - 1);
    console.log(`${name.padEnd(28)}chosen ${chosen.name}, best ${best.name}`);
  }
}
const near = errors.filter((error) => Math.abs(error) <= NEAR_PREDICTION).length;
const good = losses.filter((loss) => loss <= NEAR_CHOICE).length;
console.log(
  `${near} of ${errors.length} predictions within ${100 * NEAR_PREDICTION} % of the measured ` +
    `step; the choice within ${100 * NEAR_CHOICE} % of the best in ${good} of ${losses.length} cases`,
);
