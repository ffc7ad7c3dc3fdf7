/**
 * 20,000 steps on two workers: memory of every process through the run (nothing may grow), and the
 * peak. `npm run bench -- soak 5000` for another number of steps.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromRoot, machine } from './lib/processes.ts';

const steps = Number(process.argv[2] ?? 20_000);
const folder = mkdtempSync(join(tmpdir(), 'lockstep-soak-'));
const args = [
  'train',
  '--steps',
  String(steps),
  '--micro-batch',
  '32',
  '--global-batch',
  '64',
  '--workers',
  '2',
  '--lanes',
  '1',
  '--eval-every',
  '5000',
  '--name',
  'run',
  '--out-dir',
  folder,
];
console.log(`${machine()}; ${steps} steps of 64 samples`);
const child = spawn(process.execPath, [fromRoot('bin', 'lockstep.js'), ...args], {
  stdio: ['ignore', 'ignore', 'ignore'],
});

function processes(): Map<string, number> {
  const pids = new Map<string, number>([['coordinator', child.pid ?? 0]]);
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
    .trim()
    .split(' ');
  for (const [rank, pid] of children.filter(Boolean).entries())
    pids.set(`worker ${rank}`, Number(pid));
  return pids;
}

function rssMiB(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}

const series = new Map<string, number[]>();
const timer = setInterval(() => {
  try {
    for (const [name, pid] of processes())
      series.set(name, [...(series.get(name) ?? []), rssMiB(pid)]);
  } catch {
    return; // A process has just ended: the next tick, or the end, will show it.
  }
}, 1_000);
const code = await new Promise((resolve) => child.once('exit', resolve));
clearInterval(timer);
for (const [name, values] of series) {
  const at = (share: number): number => values[Math.floor((values.length - 1) * share)] ?? 0;
  console.log(
    `${name}: RSS ${[0.1, 0.25, 0.5, 0.75, 1].map((share) => `${at(share)}`).join(', ')} MiB ` +
      `at 10, 25, 50, 75, 100 % of the run; peak ${Math.max(...values)} MiB`,
  );
}
const summary = JSON.parse(readFileSync(join(folder, 'run', 'summary.json'), 'utf8')) as Record<
  string,
  unknown
>;
console.log(
  `exit ${String(code)}, steps ${String(summary['steps'])}, ledger ` +
    `${JSON.stringify(summary['ledger'])}, ${String(summary['wallSeconds'])} s`,
);
rmSync(folder, { recursive: true });
