import { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import type { Anomaly } from '../../validate/watch/anomalies.ts';
import { healthReport, type HealthReport } from '../../validate/watch/health-report.ts';
import { monitorReport } from '../../validate/reports/monitor-report.ts';
import { readHealth, type WatchEnd, watchHealth } from '../../validate/watch/monitor.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import type { Health } from '../../validate/results/result.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { parseNumber } from '../shell/arguments.ts';
import { anomalyText, healthLine, statusText, workerTable } from '../texts/monitor-text.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { jsonText, printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const DEFAULT_CHECKPOINT = './minicluster_results/health.json';
/** Without a terminal a line of progress is printed this often. */
const PLAIN_LINE_MS = 5_000;
const MAX_TIMEOUT_SECONDS = 1_000_000;

const WATCH_HELP = `
Follows a run until it is complete, and tells what goes wrong as it happens. The file need not be
there yet.

Exit codes: 0 complete, 1 nothing new for --timeout seconds, or complete but critical, 2 a file that
cannot be used, 130 interrupted.`;

const STATUS_HELP = `
HEALTHY: nothing is wrong. DEGRADED: a worker is slow, diverges or has a spike, or the file is a
minute old. CRITICAL: a worker has failed.

Exit codes: 0 healthy or degraded, 1 critical, 2 a file that is missing or cannot be used.`;

const REPORT_HELP = `
Exit codes: 0 done, 1 the report could not be written, 2 a file that is missing or cannot be
used.`;

interface Flags {
  readonly checkpoint: string;
  readonly json?: boolean;
}

/** `lockstep monitor`: how a run is, while it trains and after. */
export function monitorCommand(context: CommandContext): Command {
  const monitor = new Command('monitor').description(
    'follow a run, or tell how it is, by the health file it writes',
  );
  const make = (name: string, description: string): Command =>
    monitor
      .command(name)
      .description(description)
      .option('--checkpoint <file>', 'health file that `lockstep run` writes', DEFAULT_CHECKPOINT)
      .option('--json', 'print the state as one JSON document');
  make('watch', 'follow a run until it is complete')
    .option('--timeout <seconds>', 'end after so long without news', '60')
    .addHelpText('after', helpText(WATCH_HELP))
    .action(async (flags: Flags & { timeout: string }) => watch(context, flags));
  make('status', 'print HEALTHY, DEGRADED or CRITICAL')
    .addHelpText('after', helpText(STATUS_HELP))
    .action((flags: Flags) => status(context, flags));
  make('report', 'write the state as an HTML file')
    .option('--output <file>', 'where to write it', 'health_report.html')
    .addHelpText('after', helpText(REPORT_HELP))
    .action((flags: Flags & { output: string }) => report(context, flags));
  return monitor;
}

function read(checkpoint: string): HealthReport {
  const { health, ageMs } = readHealth(checkpoint, () => Date.now());
  return healthReport(health, { checkpoints: [health], ageMs });
}

function status({ environment, setExitCode }: CommandContext, { checkpoint, json }: Flags): void {
  const state = read(checkpoint);
  const terminal = new Terminal(process.stderr, environment);
  const colours = paint(environment);
  writeResult(json === true ? jsonText(state) : `${state.status}\n`);
  terminal.line(statusText(state, colours));
  setExitCode(state.status === 'CRITICAL' ? EXIT.failed : EXIT.ok);
}

function report(
  { environment }: CommandContext,
  { checkpoint, json, output }: Flags & { output: string },
): void {
  checkWritable('--output', output);
  const state = read(checkpoint);
  writeOutput(output, monitorReport(state));
  const terminal = new Terminal(process.stderr, environment);
  terminal.line(`${state.status}; report saved to: ${output}`);
  if (json === true) printJson(state);
}

async function watch(
  { environment, setExitCode }: CommandContext,
  { checkpoint, json, timeout }: Flags & { timeout: string },
): Promise<void> {
  const timeoutSeconds = parseNumber('--timeout', timeout, 0.1, MAX_TIMEOUT_SECONDS);
  const terminal = new Terminal(process.stderr, environment);
  const colours = paint(environment);
  let lineMs = -Infinity;
  const show = (health: Health, risen: readonly Anomaly[]): void => {
    for (const anomaly of risen) terminal.line(anomalyText(anomaly, colours));
    const line = healthLine(health);
    if (terminal.isLive) return terminal.live(line);
    if (systemClock.now() - lineMs < PLAIN_LINE_MS) return;
    lineMs = systemClock.now();
    terminal.line(line);
  };
  terminal.live(colours.dim(`waiting for ${checkpoint}`));
  const end = await withInterrupt(terminal, (signal) =>
    watchHealth({
      path: checkpoint,
      timeoutMs: timeoutSeconds * 1000,
      clock: systemClock,
      wallNow: () => Date.now(),
      onCheckpoint: show,
      signal,
    }),
  );
  const state = stateOf(end);
  if (state !== undefined) {
    terminal.line(workerTable(state.worker_statuses, colours));
    for (const anomaly of state.anomalies) terminal.line(anomalyText(anomaly, colours));
    if (json === true) printJson(state);
  }
  terminal.line(endText(end, state, checkpoint, timeoutSeconds));
  setExitCode(exitCodeOfWatch(end, state));
}

function stateOf(end: WatchEnd): HealthReport | undefined {
  if (end.kind === 'no-file' || end.kind === 'interrupted-early') return undefined;
  return healthReport(end.newest, { checkpoints: end.history, ageMs: 0 });
}

function endText(
  end: WatchEnd,
  state: HealthReport | undefined,
  checkpoint: string,
  timeoutSeconds: number,
): string {
  switch (end.kind) {
    case 'complete':
      return `complete after ${end.newest.completed_steps} steps: ${state?.status ?? ''}`;
    case 'timeout':
      return (
        `no new checkpoint in ${checkpoint} for ${timeoutSeconds} s; the run is at step ` +
        `${end.newest.completed_steps} of ${end.newest.total_steps}. Does it still run? A run ` +
        'with longer steps needs a longer --timeout.'
      );
    case 'no-file':
      return (
        `no health file at ${checkpoint} within ${timeoutSeconds} s. Is \`lockstep run\` ` +
        'running, ' +
        'with this --health-checkpoint-path?'
      );
    case 'interrupted':
    case 'interrupted-early':
      return 'interrupted; the run goes on without being watched';
    default:
      return end satisfies never;
  }
}

function exitCodeOfWatch(end: WatchEnd, state: HealthReport | undefined): number {
  if (end.kind === 'interrupted' || end.kind === 'interrupted-early') return EXIT.interrupted;
  return end.kind === 'complete' && state?.status !== 'CRITICAL' ? EXIT.ok : EXIT.failed;
}
