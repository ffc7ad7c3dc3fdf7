/** `lockstep compare`: runs side by side, by what their summaries say. */
import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { readSummary } from '../../dashboard/run-recording.ts';
import type { RunSummary } from '../../runs/run-summary.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { writeResult } from '../shell/output.ts';
import { grouped, rate, Terminal } from '../shell/terminal.ts';
import { findRun } from './find-run.ts';

const HELP = `
Speed-up is against the first run. A run without a summary is under way or was broken off.

Example:
  lockstep compare one-worker three-workers --csv runs.csv

Exit codes: 0 done, 1 the file could not be written, 2 wrong flags, or there is no such run.`;

/** A run with what is known of its end. */
interface Compared {
  readonly name: string;
  readonly summary: Partial<RunSummary>;
}

/** A column of the table: its heading, and what it says of a run; undefined where nobody knows. */
interface Column {
  readonly heading: string;
  readonly of: (run: Compared, first: Compared) => string | number | undefined;
}

const COLUMNS: readonly Column[] = [
  { heading: 'run', of: ({ name }) => name },
  { heading: 'status', of: ({ summary }) => summary.status ?? 'no summary' },
  { heading: 'model', of: ({ summary }) => summary.model },
  { heading: 'data', of: ({ summary }) => summary.dataset },
  { heading: 'workers', of: ({ summary }) => summary.workers?.length },
  { heading: 'steps', of: ({ summary }) => summary.steps },
  { heading: 'train loss', of: ({ summary }) => summary.trainLoss },
  { heading: 'test loss', of: ({ summary }) => summary.testLoss ?? summary.validationLoss },
  { heading: 'accuracy', of: ({ summary }) => summary.testAccuracy ?? summary.validationAccuracy },
  { heading: 'samples/s', of: ({ summary }) => summary.samplesPerSecond },
  { heading: 'seconds', of: ({ summary }) => summary.wallSeconds },
  {
    heading: 'speed-up',
    of: ({ summary: { samplesPerSecond: mine } }, { summary: { samplesPerSecond: first } }) =>
      mine === undefined || first === undefined || first === 0 ? undefined : mine / first,
  },
  { heading: 'state digest', of: ({ summary }) => summary.stateDigest?.slice(0, 12) },
];

/** `lockstep compare`. */
export function compareCommand(context: CommandContext): Command {
  return new Command('compare')
    .description('compare runs: losses, accuracy, speed, digests')
    .argument('<runs...>', 'folders or names of runs')
    .option('--csv <file>', 'write the table as comma-separated values, too')
    .addHelpText('after', helpText(HELP))
    .action(async (paths: readonly string[], { csv }: { readonly csv?: string }) => {
      if (csv !== undefined) checkWritable('--csv', csv);
      const runs = await Promise.all(paths.map(readRun));
      const rows = rowsOf(runs);
      writeResult(`${tableText(rows)}\n`);
      if (csv === undefined) return;
      writeOutput(csv, `${rows.map((row) => row.map(csvCell).join(',')).join('\n')}\n`);
      new Terminal(process.stderr, context.environment).line(`saved to: ${csv}`);
    });
}

async function readRun(path: string): Promise<Compared> {
  const { folder, run } = findRun(path);
  if (run === undefined)
    throw new ConfigError(`${path}: expected a run's folder or name, got a folder of runs`);
  return { name: run, summary: (await readSummary(join(folder, run))) ?? {} };
}

/** The headings, then a row for each run. */
function rowsOf(runs: readonly Compared[]): (string | number | undefined)[][] {
  const [first] = runs;
  if (first === undefined) return [];
  return [
    COLUMNS.map(({ heading }) => heading),
    ...runs.map((run) => COLUMNS.map(({ of }) => of(run, first))),
  ];
}

function tableText(rows: readonly (readonly (string | number | undefined)[])[]): string {
  const texts = rows.map((row) => row.map(cellText));
  const widths = COLUMNS.map((_, column) =>
    Math.max(...texts.map((cells) => cells[column]?.length ?? 0)),
  );
  return texts
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cellText(value: string | number | undefined): string {
  if (value === undefined) return '–';
  if (typeof value === 'string') return value;
  if (Number.isInteger(value)) return grouped(value);
  return Math.abs(value) >= 1000 ? rate(value) : String(Number(value.toPrecision(4)));
}

function csvCell(value: string | number | undefined): string {
  const text = value === undefined ? '' : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
