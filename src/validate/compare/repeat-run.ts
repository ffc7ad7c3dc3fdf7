/** The same `lockstep run` several times, to know how much its figures vary. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, LockstepError } from '../../base/errors.ts';
import type { SelfCommand } from '../../launch/local-workers.ts';
import { readMetrics, type RunMetrics } from './read-metrics.ts';

/** What is repeated. */
export interface RepeatOptions {
  readonly self: SelfCommand;
  readonly count: number;
  /** Flags of `lockstep run`; where it writes is chosen here. */
  readonly flags: readonly string[];
  /** Called before each run, counted from 1. */
  readonly onRun: (run: number) => void;
  /** Ends the run that is under way, and all. */
  readonly signal: AbortSignal;
}

/** A run that was asked to end gets so long before it is killed. */
const GRACE_MS = 10_000;
const KEPT_OUTPUT = 4_000;
const USAGE_EXIT = 2;

/**
 * Gives the metrics of `count` runs, one after the other, and removes their files; undefined when
 * they were aborted.
 *
 * Throws: ConfigError when the flags are wrong, RUNTIME_FAILED when a run failed, in its own words.
 */
export async function repeatRun(options: RepeatOptions): Promise<RunMetrics[] | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-repeated-'));
  try {
    const runs: RunMetrics[] = [];
    for (let run = 1; run <= options.count; run++) {
      options.onRun(run);
      const output = join(folder, `run-${run}.json`);
      const places = ['--output', output, '--health-checkpoint-path', join(folder, 'health.json')];
      await runOnce(options, places, run);
      if (options.signal.aborted) return undefined;
      runs.push(readMetrics(output));
    }
    return runs;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runOnce(
  { self, flags, signal, count }: RepeatOptions,
  places: readonly string[],
  run: number,
): Promise<void> {
  const child = spawn(self.program, [...self.arguments, 'run', ...flags, ...places], {
    // Its own process group: Ctrl-C in the terminal reaches this process, which ends the run.
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LOCKSTEP_NO_BUILD: '1' },
  });
  let said = '';
  child.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (said = (said + text).slice(-KEPT_OUTPUT)));
  const code = await endOf(child, signal);
  if (code === 0 || signal.aborted) return;
  const message = `run ${run} of ${count}: ${lastWords(said)}`.split('\n');
  if (code === USAGE_EXIT) throw new ConfigError(message);
  throw new LockstepError('RUNTIME_FAILED', message, { code });
}

/** The exit code; null when it was killed or could not be started. */
async function endOf(child: ChildProcess, signal: AbortSignal): Promise<number | null> {
  let killer: NodeJS.Timeout | undefined;
  const end = (): void => {
    child.kill('SIGTERM');
    killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    return await new Promise((resolve) => {
      child.once('error', () => resolve(null));
      child.once('close', (code) => resolve(code));
    });
  } finally {
    signal.removeEventListener('abort', end);
    clearTimeout(killer);
  }
}

function lastWords(said: string): string {
  const error = said.lastIndexOf('error: ');
  const words =
    error < 0 ? said.trim().split('\n').slice(-3).join('\n') : said.slice(error + 'error: '.length);
  return words.trim() || 'it ended without a word';
}
