/** A run of real processes that a benchmark watches through its files. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromRoot } from './processes.ts';

const DEADLINE_MS = 60_000;

/** A line of `metrics.jsonl`. */
export type Event = Record<string, unknown> & { kind: string; time: string };

/** MNIST's perceptron on local workers of one lane each, for longer than anybody watches. */
export class WatchedRun {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  readonly child: ChildProcess;
  readonly startedMs: number = Date.now();
  readonly #root: string;
  stderr = '';

  /** Starts the program of the checkout in `root`. */
  constructor(workers: number, root: string = fromRoot()) {
    this.#root = root;
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
    this.child = spawn(process.execPath, [join(root, 'bin', 'lockstep.js'), ...args], {
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

  /** Starts one more worker; gives the milliseconds until the first step with its samples. */
  async joinLate(): Promise<number> {
    const port = /127\.0\.0\.1:(\d+)/.exec(this.stderr)?.[1] ?? '';
    const startedMs = Date.now();
    const late = spawn(
      process.execPath,
      [
        join(this.#root, 'bin', 'lockstep.js'),
        'worker',
        '--join',
        `127.0.0.1:${port}`,
        '--lanes',
        '1',
      ],
      { stdio: 'ignore' },
    );
    const isLate = (e: Event): boolean => e.kind === 'worker-joined' && e['processId'] === late.pid;
    const { rank } = await this.event(isLate);
    const contributed = await this.event(
      (e) =>
        e.kind === 'step' &&
        (e['ranks'] as readonly { rank: number; samples: number }[]).some(
          (r) => r.rank === rank && r.samples > 0,
        ),
    );
    late.kill('SIGTERM');
    return since(startedMs, contributed);
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGINT');
    await ended;
    rmSync(this.folder, { recursive: true });
  }
}

/** Milliseconds from `startedMs` to an event. */
export function since(startedMs: number, event: Event): number {
  return Date.parse(event.time) - startedMs;
}
