/**
 * The validation suite's own measurements: two workers against one on the
 * transformer workload, the file against a stopwatch, and what profiling
 * costs. Rounds are interleaved; the first argument is their number.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEvent, StepCommitted } from '../src/metrics/events.ts';
import { ManualClock } from '../src/base/clock.ts';
import { RunObserver } from '../src/validate/watch/run-observer.ts';
import { RunHealth } from '../src/validate/watch/run-health.ts';
import { StepRecorder } from '../src/validate/watch/step-recorder.ts';
import {
  type Result,
  resultSchema,
  type TrainingPayload,
  trainingPayloadSchema,
} from '../src/validate/results/result.ts';
import { median } from './lib/median.ts';
import { fromRoot, machine } from './lib/processes.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const STEPS = 60;
/** As the product does. */
const LOOK_EVERY_MS = 200;
const folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));

/** A finished run, and what the stopwatch outside saw of it. */
interface Measured {
  readonly result: Result;
  readonly payload: TrainingPayload;
  /** Of all steps as events, in order. */
  readonly steps: readonly (StepCommitted & { readonly time: string })[];
  readonly commandMs: number;
}

function run(args: readonly string[]): Measured {
  const output = join(folder, 'result.json');
  const files = [
    '--output',
    output,
    '--health-checkpoint-path',
    join(folder, 'health.json'),
    '--keep-files',
  ];
  const startedMs = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    [fromRoot('bin', 'lockstep.js'), 'run', ...files, ...args],
    { encoding: 'utf8', env: { ...process.env, LOCKSTEP_NO_BUILD: '1' } },
  );
  const commandMs = performance.now() - startedMs;
  if (status !== 0)
    throw new Error(`lockstep run ${args.join(' ')} ended with ${status}: ${stderr.slice(-500)}`);
  const result = resultSchema.parse(JSON.parse(readFileSync(output, 'utf8')));
  const [, kept = ''] = /^files of the run: (.*)$/m.exec(stderr) ?? [];
  const lines = readFileSync(join(kept, 'metrics.jsonl'), 'utf8').trim().split('\n');
  rmSync(kept, { recursive: true });
  const events = lines.map((line) => JSON.parse(line) as RunEvent & { time: string });
  return {
    result,
    payload: trainingPayloadSchema.parse(result.tool_payload),
    steps: events.filter((event) => event.kind === 'step'),
    commandMs,
  };
}

/** By the times of the event log, from the end of the first step to that of the last. */
function samplesPerSecond(steps: Measured['steps']): number {
  const ms = Date.parse(steps.at(-1)?.time ?? '') - Date.parse(steps[0]?.time ?? '');
  return (steps.slice(1).reduce((sum, { sampleCount }) => sum + sampleCount, 0) / ms) * 1000;
}

/** Means per step of a run, milliseconds. */
function splitText({ payload }: Measured): string {
  const mean = (total: number | undefined): string => ((total ?? 0) / payload.num_steps).toFixed(2);
  return (
    `compute ${mean(payload.total_compute_time_ms)}, all-reduce ` +
    `${mean(payload.total_allreduce_time_ms)}, wait ${mean(payload.total_wait_time_ms)}, other ` +
    `${mean(payload.total_other_time_ms)} ms a step`
  );
}

function scaling(): void {
  const runs: Record<'one' | 'two', Measured[]> = { one: [], two: [] };
  const args = ['--workload', 'transformer', '--steps', String(STEPS)];
  for (let round = 0; round < ROUNDS; round++) {
    const one = run([...args, '--workers', '1']);
    const baseline = [
      '--baseline-throughput',
      String(one.payload.average_throughput_samples_per_sec),
    ];
    runs.one.push(one);
    runs.two.push(run([...args, '--workers', '2', ...baseline]));
  }
  const speeds = (of: readonly Measured[]): number[] =>
    of.map(({ payload }) => payload.average_throughput_samples_per_sec);
  const [one, two] = [median(speeds(runs.one)), median(speeds(runs.two))];
  const ratios = speeds(runs.two).map((speed, i) => speed / (speeds(runs.one)[i] ?? Number.NaN));
  console.log(
    `transformer, ${STEPS} steps: 1 worker ${one.toFixed(0)} samples/s, 2 workers ` +
      `${two.toFixed(0)}: ${median(ratios).toFixed(2)}x (rounds ` +
      `${ratios.map((r) => r.toFixed(2)).join(' ')})`,
  );
  for (const [name, [first]] of Object.entries(runs))
    if (first) console.log(`  ${name}: ${splitText(first)}`);
  const efficiencies = runs.two.map(({ payload, steps }, i) => {
    const seen = (samplesPerSecond(steps) / samplesPerSecond(runs.one[i]?.steps ?? [])) * 50;
    return Math.abs(seen - (payload.scaling_efficiency_pct ?? Number.NaN));
  });
  console.log(
    "  scaling efficiency in the file differs from the stopwatch's, which leaves out the " +
      `first step, by ${Math.max(...efficiencies).toFixed(2)} points at most`,
  );
  const digests = new Set([...runs.one, ...runs.two].map(({ payload }) => payload.state_digest));
  console.log(`  ${digests.size === 1 ? 'all runs have one digest' : `${digests.size} DIGESTS`}`);
  compareWithStopwatch([...runs.one, ...runs.two]);
}

/**
 * The file against the wall clock of the event log, which another part
 * of the program writes: the first event is at the end of the first
 * step, so what is compared is the time from there to the last step.
 */
function compareWithStopwatch(runs: readonly Measured[]): void {
  const errors = runs.map(({ payload, steps }) => {
    const stopwatchMs = Date.parse(steps.at(-1)?.time ?? '') - Date.parse(steps[0]?.time ?? '');
    const fileMs = 1000 * payload.total_time_sec - (payload.steps[0]?.step_time_ms ?? 0);
    return Math.abs(fileMs - stopwatchMs) / stopwatchMs;
  });
  const inFile = runs.map(({ result, payload }) => {
    const busy = payload.total_allreduce_time_ms + payload.total_compute_time_ms;
    const overhead = (payload.total_allreduce_time_ms / busy) * 100;
    return Math.abs(overhead - (result.metrics.communication_overhead_percent ?? Number.NaN));
  });
  const sums = runs.flatMap(({ payload }) =>
    payload.steps.map((step) => {
      const { compute_time_ms, allreduce_time_ms, wait_time_ms = 0, other_time_ms = 0 } = step;
      const whole = step.step_time_ms ?? Number.NaN;
      return (
        Math.abs(compute_time_ms + allreduce_time_ms + wait_time_ms + other_time_ms - whole) / whole
      );
    }),
  );
  const outside = runs.every(({ payload, commandMs }) => 1000 * payload.total_time_sec < commandMs);
  const percent = (values: readonly number[]): string =>
    `${(100 * Math.max(...values)).toFixed(3)} %`;
  console.log(`file against stopwatch: total time differs by ${percent(errors)} at most`);
  console.log(`  within the command's own time: ${outside ? 'yes' : 'NO'}`);
  console.log(
    '  communication overhead in the file differs from its parts by ' +
      `${Math.max(...inFile).toFixed(6)} points`,
  );
  console.log(
    `  compute + all-reduce + wait + other differs from the step by ${percent(sums)} at most`,
  );
}

/** Milliseconds of one look at a run of two workers, health file and memory included. */
function lookCost(): number {
  const clock = new ManualClock();
  const observer = new RunObserver({
    runId: 'bench',
    totalSteps: STEPS,
    healthPath: join(folder, 'health.json'),
    host: 'here',
    power: undefined,
    clock,
    wallNow: () => Date.now(),
    onFailed: (error) => {
      throw error;
    },
  });
  observer.start();
  for (const rank of [0, 1]) observer.onEvent(joined(rank));
  const looks = 500;
  // Processor time: that of others on a busy machine is not what it costs.
  const before = process.cpuUsage();
  clock.advance(looks * LOOK_EVERY_MS);
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000 / looks;
  observer.close();
  return ms;
}

function joined(rank: number): RunEvent {
  const what = { device: 'cpu', lanes: 1, numericsClass: '', step: 0, stateFrom: 'coordinator' };
  return {
    kind: 'worker-joined',
    rank,
    workerId: `${rank}`,
    host: 'here',
    processId: process.pid,
    ...what,
  };
}

/**
 * Replays the events of real runs through what watches
 * a run, many times; looks happen five times a second.
 */
function profilingCost(): void {
  for (const workload of ['mlp', 'transformer']) {
    const { steps, payload } = run([
      '--workload',
      workload,
      '--workers',
      '2',
      '--steps',
      String(STEPS),
    ]);
    const repeats = 2000;
    const health = new RunHealth('bench', STEPS);
    for (const rank of [0, 1]) health.add(joined(rank), 0);
    const now = { ms: 0, wallMs: 0 };
    let startedMs = 0;
    for (let repeat = -100; repeat < repeats; repeat++) {
      if (repeat === 0) startedMs = performance.now();
      const recorder = new StepRecorder();
      for (const event of steps) {
        recorder.add(event, now);
        health.add(event, now.wallMs);
      }
    }
    const eventMs = (performance.now() - startedMs) / (repeats * steps.length);
    const lookMs = lookCost();
    const stepMs = median(payload.steps.map((step) => step.step_time_ms ?? Number.NaN));
    const share = (eventMs / stepMs + lookMs / LOOK_EVERY_MS) * 100;
    console.log(
      `profiling, ${workload}: ${(1000 * eventMs).toFixed(2)} us a step of ` +
        `${stepMs.toFixed(2)} ms, ${(1000 * lookMs).toFixed(0)} us to write the health file and ` +
        `to look at memory, every ${LOOK_EVERY_MS} ms: ${share.toFixed(3)} %`,
    );
  }
}

try {
  console.log(machine());
  spawnSync(process.execPath, [fromRoot('bin', 'lockstep.js'), '--version']);
  scaling();
  profilingCost();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
