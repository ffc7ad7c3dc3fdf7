/**
 * How fast a run reacts: SIGKILL of a worker to the coordinator's notice, SIGSTOP to the re-issue
 * of its work, start of a late worker to its first counted micro-batch, and the command to the
 * first committed step. Several rounds; the event times in metrics.jsonl are the coordinator's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromRoot, machine } from './lib/processes.ts';

const ROUNDS = 5;
const DEADLINE_MS = 60_000;
type Event = Record<string, unknown> & { kind: string; time: string };

class Run {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  readonly child: ChildProcess;
  readonly startedMs = Date.now();
  stderr = '';

  constructor(workers: number) {
    const args = [
      'train',
      '--micro-batch',
      '32',
      '--global-batch',
      '192',
      '--epochs',
      '40',
      '--workers',
      String(workers),
      '--lanes',
      '1',
      '--name',
      'run',
      '--out-dir',
      this.folder,
    ];
    this.child = spawn(process.execPath, [fromRoot('bin', 'lockstep.js'), ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
  }

  events(): Event[] {
    const path = join(this.folder, 'run', 'metrics.jsonl');
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Event);
  }

  async event(matches: (event: Event) => boolean): Promise<Event> {
    for (const endMs = Date.now() + DEADLINE_MS; Date.now() < endMs;) {
      const found = this.events().find(matches);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no such event within ${DEADLINE_MS} ms: ${this.stderr.slice(-500)}`);
  }

  async processOf(rank: number): Promise<number> {
    return Number(
      (await this.event((e) => e.kind === 'worker-joined' && e['rank'] === rank))['processId'],
    );
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGINT');
    await ended;
    rmSync(this.folder, { recursive: true });
  }
}

function since(startedMs: number, event: Event): number {
  return Date.parse(event.time) - startedMs;
}

async function round(): Promise<Record<string, number>> {
  const run = new Run(3);
  try {
    const first = since(run.startedMs, await run.event((e) => e.kind === 'step'));
    await run.event((e) => e.kind === 'step' && Number(e['step']) > 100);
    const victim = await run.processOf(2);
    const killedMs = Date.now();
    process.kill(victim, 'SIGKILL');
    const noticed = since(
      killedMs,
      await run.event((e) => e.kind === 'worker-lost' && e['rank'] === 2),
    );
    const frozen = await run.processOf(1);
    const frozenMs = Date.now();
    process.kill(frozen, 'SIGSTOP');
    const isReissue = (e: Event): boolean =>
      e.kind === 'micro-batches-reissued' && e['fromRank'] === 1;
    const reissued = since(frozenMs, await run.event(isReissue));
    process.kill(frozen, 'SIGCONT');
    return { first, noticed, reissued, contributed: await joinLate(run) };
  } finally {
    await run.end();
  }
}

async function joinLate(run: Run): Promise<number> {
  const port = /127\.0\.0\.1:(\d+)/.exec(run.stderr)?.[1] ?? '';
  const startedMs = Date.now();
  const late = spawn(
    process.execPath,
    [fromRoot('bin', 'lockstep.js'), 'worker', '--join', `127.0.0.1:${port}`, '--lanes', '1'],
    { stdio: 'ignore' },
  );
  const isLate = (e: Event): boolean => e.kind === 'worker-joined' && e['processId'] === late.pid;
  const { rank } = await run.event(isLate);
  const contributed = await run.event(
    (e) =>
      e.kind === 'step' &&
      (e['ranks'] as readonly { rank: number; samples: number }[]).some(
        (r) => r.rank === rank && r.samples > 0,
      ),
  );
  late.kill('SIGTERM');
  return since(startedMs, contributed);
}

console.log(machine());
const seen: Record<string, number>[] = [];
for (let i = 0; i < ROUNDS; i++) seen.push(await round());
const show = (name: string, text: string): void => {
  const values = seen.map((times) => times[name] ?? Number.NaN).sort((a, b) => a - b);
  console.log(
    `${text}: median ${values[Math.floor(values.length / 2)]} ms, worst ${values.at(-1)} ms ` +
      `of ${values.length}`,
  );
};
show('first', 'command to first committed step (3 workers)');
show('noticed', 'SIGKILL of a worker to its loss noticed');
show('reissued', 'SIGSTOP of a worker to its micro-batches re-issued');
show('contributed', 'start of a late worker to the first step with its samples');
