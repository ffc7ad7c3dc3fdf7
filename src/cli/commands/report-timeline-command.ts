import { Command } from 'commander';
import { faultTimeline } from '../../validate/reports/fault-timeline.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { parseWith, readKnownFile, wrongKind } from '../../validate/results/read-result.ts';
import { faultReportSchema } from '../../validate/results/result.ts';
import { Terminal } from '../shell/terminal.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Draws what \`lockstep fault-test\` found: when each fault was injected, when it was detected, and
the loss of that run beside that of the clean one. Steps and curves that a report does not tell are
left out.

Example:
  lockstep report fault-timeline --json ./minicluster_results/fault_report.json

Exit codes: 0 done, 1 the report could not be written, 2 a file that is missing or cannot be used.`;

interface Flags {
  readonly json: string;
  readonly output: string;
  readonly title: string;
}

/** `lockstep report fault-timeline`: a fault report as a page. */
export function reportTimelineCommand({ environment }: CommandContext): Command {
  return new Command('fault-timeline')
    .description('draw when faults were injected and detected')
    .requiredOption('--json <file>', 'file that `lockstep fault-test` wrote')
    .option('--output <file>', 'where to write it', './minicluster_results/fault_timeline.html')
    .option('--title <text>', 'its title', 'Fault injection')
    .addHelpText('after', helpText(HELP))
    .action(({ json, output, title }: Flags) => {
      checkWritable('--output', output);
      const file = readKnownFile(json);
      if (file.kind !== 'fault-report')
        throw wrongKind(file, 'a fault report, as `lockstep fault-test --output` writes it');
      writeOutput(output, faultTimeline(parseWith(file, faultReportSchema), title));
      new Terminal(process.stderr, environment).line(`Timeline saved to: ${output}`);
    });
}
