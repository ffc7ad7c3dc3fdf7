import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { MAX_RUNS } from '../../validate/reports/html-consolidated.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { type FigureFile, readFigures, type RunFile } from '../../validate/results/read-result.ts';
import { htmlReport } from '../../validate/reports/report-html.ts';
import { Terminal } from '../shell/terminal.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Writes one HTML file that loads nothing and runs no program: it can be mailed, archived, or attached
to a CI run. One result gets a report of its own, several are put side by side.

Example:
  lockstep report html --result run_metrics.json
  lockstep report html --result one.json two.json four.json --title "1, 2, 4"

Exit codes: 0 done, 1 the report could not be written, 2 a file that is missing or cannot be used.`;

/** What both kinds of reports are asked for with. */
export interface ReportFlags {
  readonly result: string[];
  readonly output: string;
  readonly title?: string;
}

/** Adds what both kinds of reports are asked for with. */
export function withReportOptions(command: Command, output: string): Command {
  return command
    .requiredOption(
      '--result <file...>',
      'files that `lockstep run` wrote, or other programs in its schema',
    )
    .option('--output <file>', 'where to write it', output)
    .option('--title <text>', 'its title');
}

/** `lockstep report html`: runs as one HTML file. */
export function reportHtmlCommand({ environment }: CommandContext): Command {
  const command = new Command('html').description(
    'draw one run, or several side by side, as one HTML file',
  );
  return withReportOptions(command, './minicluster_results/report.html')
    .addHelpText('after', helpText(HELP))
    .action((flags: ReportFlags) => {
      checkWritable('--output', flags.output);
      writeOutput(flags.output, htmlReport(readRuns(flags.result), titleOf(flags)));
      new Terminal(process.stderr, environment).line(`Report saved to: ${flags.output}`);
    });
}

/** The runs of a report. Throws ConfigError. */
export function readRuns(paths: readonly string[]): (RunFile | FigureFile)[] {
  if (paths.length > MAX_RUNS)
    throw new ConfigError(`--result: expected at most ${MAX_RUNS} files, got ${paths.length}`);
  return paths.map(readFigures);
}

/** What was asked for, or what fits. */
export function titleOf({ title, result }: ReportFlags): string {
  return title ?? (result.length === 1 ? 'Training run' : `${result.length} training runs`);
}
