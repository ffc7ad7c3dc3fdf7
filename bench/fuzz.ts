/**
 * A million mutated frames against a run on two workers: it must not crash, not stop, not grow by
 * more than 64 MiB and not lose more than 5 % of its throughput. The strangers compute on the same
 * machine; so what the run does while they are at its door is compared with what it does while they
 * say the same, as fast, to a door that only reads. That it comes to the same model is
 * tested in test/. `npm run bench -- fuzz 100000` sends fewer.
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { FuzzPlan, FuzzReport } from '../test/cluster/frame-fuzzer.ts';
import { beStrangers } from './lib/fuzzing.ts';
import { median } from './lib/median.ts';
import { fromRoot, machine } from './lib/processes.ts';

const frames = Number(process.argv[2] ?? 1_000_000);
/** Frames of a phase at the door; at the other door there is one as long for every few of them. */
const PHASE_FRAMES = 10_000;
const SINK_EVERY = 3;
const framesPerSecond = Number(process.argv[3] ?? 2_500);
const folder = mkdtempSync(join(tmpdir(), 'lockstep-fuzz-'));

function startRun(name: string) {
  const args = ['train', '--model', 'mlp', '--dataset', 'mnist', '--seed', '7', '--workers', '2'];
  const sizes = ['--lanes', '1', '--micro-batch', '32', '--global-batch', '192'];
  const files = ['--steps', '10000000', '--eval-every', '5000', '--out-dir', folder];
  const program = [fromRoot('bin', 'lockstep.js'), ...args, ...sizes, ...files, '--name', name];
  const child = spawn(process.execPath, program, { stdio: ['ignore', 'ignore', 'pipe'] });
  const run = { child, said: '', ended: new Promise((done) => child.once('exit', done)) };
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (run.said.length < 1 << 20) run.said += text;
  });
  return run;
}

/** What the run has done, and what it took. */
function look(pid: number, name: string) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const events = readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8').split('\n');
  const step = events.findLast((line) => line.includes('"kind":"step"')) ?? '{"step":0}';
  return {
    atMs: performance.now(),
    rssMiB: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024,
    cpuMs: (Number(stat[11]) + Number(stat[12])) * 10,
    step: (JSON.parse(step) as { readonly step: number }).step,
  };
}

interface Phase {
  readonly stepsPerSecond: number;
  readonly cpuShare: number;
}

function between(a: ReturnType<typeof look>, b: ReturnType<typeof look>): Phase {
  const ms = b.atMs - a.atMs;
  return { stepsPerSecond: ((b.step - a.step) / ms) * 1_000, cpuShare: (b.cpuMs - a.cpuMs) / ms };
}

async function main(): Promise<void> {
  console.log(`${machine()}; ${frames} frames, ${framesPerSecond} a second at most`);
  const strangers = fork(import.meta.filename, { execArgv: ['--import', 'tsx'] });
  const heard = async <T>(): Promise<T> =>
    new Promise((resolve) => strangers.once('message', (message) => resolve(message as T)));
  const { sink } = await heard<{ readonly sink: string }>();
  const sent: FuzzReport = { frames: 0, connections: 0, unanswered: 0, byKind: {} };
  let seed = 0;
  async function phase(address: string): Promise<FuzzReport> {
    const done = heard<{ readonly report: FuzzReport }>();
    const size = { frames: PHASE_FRAMES, visitors: 64, framesPerSecond };
    strangers.send({ address, seed: ++seed, ...size } satisfies FuzzPlan);
    return (await done).report;
  }

  const run = startRun('fuzzed');
  const pid = run.child.pid ?? 0;
  let address: string | undefined;
  while ((address = /coordinator (\S+:\d+)/.exec(run.said)?.[1]) === undefined) await pause(50);
  while (!run.said.includes('rank 0 joined') || !run.said.includes('rank 1 joined'))
    await pause(50);
  await phase(sink);
  await pause(5_000);
  const first = look(pid, 'fuzzed');
  const quiet: Phase[] = [];
  const fuzzed: Phase[] = [];
  let peakMiB = 0;
  for (let turn = 0; sent.frames < frames && run.child.exitCode === null; turn++) {
    const isSink = turn % SINK_EVERY === 0;
    const before = look(pid, 'fuzzed');
    const report = await phase(isSink ? sink : address);
    if (run.child.exitCode !== null) break;
    const after = look(pid, 'fuzzed');
    (isSink ? quiet : fuzzed).push(between(before, after));
    peakMiB = Math.max(peakMiB, after.rssMiB);
    if (isSink) continue;
    sent.frames += report.frames;
    sent.connections += report.connections;
    sent.unanswered += report.unanswered;
    for (const [kind, count] of Object.entries(report.byKind))
      sent.byKind[kind] = (sent.byKind[kind] ?? 0) + count;
  }
  strangers.disconnect();
  const isAlive = run.child.exitCode === null;
  const last = isAlive ? look(pid, 'fuzzed') : undefined;
  run.child.kill('SIGINT');
  await run.ended;
  console.log(JSON.stringify(sent));
  console.log(
    isAlive
      ? `fuzzed for ${(last?.step ?? 0) - first.step} steps; alive until it was interrupted`
      : `THE RUN ENDED with ${String(run.child.exitCode)}: ${run.said.slice(-500)}`,
  );
  console.log(
    `memory of the coordinator ${first.rssMiB.toFixed(0)} MiB before, peak ${peakMiB.toFixed(0)}`,
  );
  const of = (phases: readonly Phase[], key: keyof Phase): number =>
    median(phases.map((p) => p[key]));
  const [slow, fast] = [of(fuzzed, 'stepsPerSecond'), of(quiet, 'stepsPerSecond')];
  console.log(
    `steps/s: ${slow.toFixed(1)} with strangers at the door (${fuzzed.length} phases), ` +
      `${fast.toFixed(1)} with them elsewhere (${quiet.length}): ${(slow / fast).toFixed(3)}x; ` +
      `the coordinator's processor time ${of(fuzzed, 'cpuShare').toFixed(3)} and ` +
      `${of(quiet, 'cpuShare').toFixed(3)} of a core`,
  );
  rmSync(folder, { recursive: true });
}

if (process.send === undefined) await main();
else beStrangers();
