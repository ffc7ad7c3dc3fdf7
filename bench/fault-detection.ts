/**
 * Every fault with 20 seeds, and 100 clean runs: what
 * was detected, after how long, and every false alarm.
 *
 * What was measured is kept in `experiments/fault-detection.jsonl`; the benchmark ends after
 * `--minutes` (12) and goes on from there when it is run again. Once all is measured it writes the
 * table in docs/fault-detection.md. Begin anew by removing the file.
 *
 *   npm run bench -- fault-detection --minutes 5 --seeds 2 --clean 10
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { dataPlaces } from '../src/job/data-source.ts';
import { alarmText } from '../src/validate/drills/alarms.ts';
import { type Fault, FAULTS } from '../src/validate/drills/fault-catalogue.ts';
import { isUnrecovered, TestBench } from '../src/validate/drills/fault-test.ts';
import { faultResultSchema } from '../src/validate/results/result.ts';
import { fromRoot, machine } from './lib/processes.ts';

const RECORDS = fromRoot('experiments', 'fault-detection.jsonl');
const PAGE = fromRoot('docs', 'fault-detection.md');
const BEGIN = '<!-- measured by `npm run bench -- fault-detection` -->';
const END = '<!-- end -->';
const FIRST_SEED = 1;
const STEPS = 20;

const recordSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('clean'), seed: z.number(), alarms: z.array(z.string()) }),
  z.object({ kind: z.literal('fault'), result: faultResultSchema }),
]);
type Record = z.infer<typeof recordSchema>;

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    minutes: { type: 'string', default: '12' },
    seeds: { type: 'string', default: '20' },
    clean: { type: 'string', default: '100' },
  },
});
const seeds = Number(values.seeds);
const cleanRuns = Number(values.clean);
const untilMs = performance.now() + 60_000 * Number(values.minutes);

function readRecords(): Record[] {
  if (!existsSync(RECORDS)) return [];
  const lines = readFileSync(RECORDS, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => recordSchema.parse(JSON.parse(line)));
}

function keep(record: Record): void {
  appendFileSync(RECORDS, `${JSON.stringify(record)}\n`);
}

mkdirSync(fromRoot('experiments'), { recursive: true });
const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
const bench = new TestBench({
  workers: 3,
  steps: STEPS,
  audit: 0.25,
  tolerance: 0.01,
  places: dataPlaces(undefined, process.env),
  self: { program: process.execPath, arguments: [fromRoot('dist', 'cli', 'main.js')] },
  signal: interrupt.signal,
});

async function measureClean(seed: number): Promise<void> {
  const { alarms } = await bench.control('mlp', seed);
  keep({ kind: 'clean', seed, alarms: alarms.map(alarmText) });
  if (alarms.length > 0)
    console.log(`FALSE ALARM  clean run, seed ${seed}: ${alarms.map(alarmText).join('; ')}`);
}

async function measureFault(fault: Fault, seed: number): Promise<void> {
  const { loss_curve: _, ...result } = await bench.try(fault, seed);
  keep({ kind: 'fault', result });
  if (!result.was_detected || isUnrecovered(result))
    console.log(`MISSED  ${fault.name}, seed ${seed}: ${result.reason} ${JSON.stringify(result)}`);
}

/** What is still to be done, faults and clean runs mixed. */
function remaining(records: readonly Record[]): (() => Promise<void>)[] {
  const done = new Set(
    records.map((record) =>
      record.kind === 'clean'
        ? `clean ${record.seed}`
        : `${record.result.fault_type} ${record.result.seed}`,
    ),
  );
  const left: (() => Promise<void>)[] = [];
  const perRound = Math.ceil(cleanRuns / seeds);
  for (let round = 0; round < seeds; round++) {
    const seed = FIRST_SEED + round;
    for (const fault of FAULTS)
      if (!done.has(`${fault.name} ${seed}`)) left.push(async () => measureFault(fault, seed));
    for (let i = round * perRound; i < Math.min(cleanRuns, (round + 1) * perRound); i++)
      if (!done.has(`clean ${1000 + i}`)) left.push(async () => measureClean(1000 + i));
  }
  return left;
}

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;

function row(fault: Fault, records: readonly Record[]): string {
  const results = records.flatMap((record) =>
    record.kind === 'fault' && record.result.fault_type === fault.name ? [record.result] : [],
  );
  const detected = results.filter(({ was_detected: isDetected }) => isDetected);
  const span = (measured: readonly (number | null | undefined)[], unit: string): string => {
    const sorted = measured.filter((value) => typeof value === 'number').sort((a, b) => a - b);
    return sorted.length === 0 ? '-' : `${quantile(sorted, 0.5)}, ${sorted.at(-1)}${unit}`;
  };
  const same = results.filter(({ digest_equal: isEqual }) => isEqual === true).length;
  return `| \`${fault.name}\` | ${results.length} | ${detected.length} | ${span(
    detected.map((result) => result.detection_latency_steps),
    '',
  )} | ${span(
    detected.map((result) => result.detection_latency_ms),
    ' ms',
  )} | ${fault.isSurvived ? same : 'ends, as it must'} |`;
}

function table(records: readonly Record[]): string {
  const clean = records.flatMap((record) => (record.kind === 'clean' ? [record] : []));
  const alarms = clean.filter((record) => record.alarms.length > 0);
  const date = new Date().toISOString().slice(0, 10);
  return [
    `Measured on ${date}: ${machine()}; 3 workers, ${STEPS} steps, audits in a quarter of the ` +
      'steps.',
    '',
    'Columns: how often the fault was injected; how often it was detected, with the right worker ' +
      'named; the steps and the time until then, median and worst; how often the model was that ' +
      'of the clean run.',
    '',
    '| fault | injected | detected | steps | time | same model |',
    '| --- | --- | --- | --- | --- | --- |',
    ...FAULTS.map((fault) => row(fault, records)),
    '',
    `Clean runs: ${clean.length}, of them with a false alarm: ${alarms.length}.`,
  ].join('\n');
}

console.log(machine());
const left = remaining(readRecords());
console.log(`${left.length} runs to do`);
let done = 0;
try {
  for (const run of left) {
    if (performance.now() > untilMs || interrupt.signal.aborted) break;
    await run();
    done++;
  }
} catch (error) {
  if (!interrupt.signal.aborted) throw error;
} finally {
  bench.clear();
}
const summary = table(readRecords());
console.log(summary);
if (done < left.length)
  console.log(`${left.length - done} runs are left: run the same command again`);
else {
  const page = readFileSync(PAGE, 'utf8');
  const [before = '', rest = ''] = page.split(BEGIN);
  const [, after = ''] = rest.split(END);
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${summary}\n\n${END}${after}`);
  console.log(
    'wrote the table in docs/fault-detection.md; format it with npx prettier --write ' +
      'docs/fault-detection.md',
  );
}
