import { Command } from 'commander';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { findBrowser, printPdf } from '../../validate/reports/pdf.ts';
import { htmlReport } from '../../validate/reports/report-html.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { readRuns, type ReportFlags, titleOf, withReportOptions } from './report-html-command.ts';
import { Terminal } from '../shell/terminal.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Prints the page of \`lockstep report html\` with Chromium or Chrome, which must be installed. The
browser runs without a window, in a folder of its own that is removed, and loads nothing from
anywhere.

Example:
  lockstep report pdf --result run_metrics.json --output report.pdf

Exit codes: 0 done, 1 the browser failed, 2 a file that is missing or cannot be used, or no browser,
130 interrupted.`;

interface Flags extends ReportFlags {
  readonly pdfBackend: string;
}

/** `lockstep report pdf`: runs as a PDF. */
export function reportPdfCommand(context: CommandContext): Command {
  const command = new Command('pdf').description('print one run, or several side by side, as PDF');
  return withReportOptions(command, './minicluster_results/report.pdf')
    .option(
      '--pdf-backend <program>',
      'auto, or the name or path of a browser of the Chromium family',
      'auto',
    )
    .addHelpText('after', helpText(HELP))
    .action(async (flags: Flags) => print(context, flags));
}

async function print({ environment, setExitCode }: CommandContext, flags: Flags): Promise<void> {
  checkWritable('--output', flags.output);
  const page = htmlReport(readRuns(flags.result), titleOf(flags));
  const browser = findBrowser(flags.pdfBackend, environment['PATH'] ?? '');
  const terminal = new Terminal(process.stderr, environment);
  const pdf = await withInterrupt(terminal, (signal) => printPdf(browser, page, signal));
  if (pdf === undefined) return setExitCode(EXIT.interrupted);
  writeOutput(flags.output, pdf);
  terminal.line(`Report saved to: ${flags.output}`);
}
