import { Command } from 'commander';
import { reportCheckCommand, reportSchemaCommand } from './report-check-command.ts';
import { reportHeatmapCommand } from './report-heatmap-command.ts';
import { reportHtmlCommand } from './report-html-command.ts';
import { reportPdfCommand } from './report-pdf-command.ts';
import { reportTimelineCommand } from './report-timeline-command.ts';
import type { CommandContext } from '../shell/command-context.ts';

/** What `lockstep report` can do, each from a page of its own. */
const SUBCOMMANDS: readonly ((context: CommandContext) => Command)[] = [
  reportCheckCommand,
  reportSchemaCommand,
  reportHtmlCommand,
  reportPdfCommand,
  reportHeatmapCommand,
  reportTimelineCommand,
];

/** `lockstep report`: what can be made of a result file. */
export function reportCommand(context: CommandContext): Command {
  const command = new Command('report').description('check, explain and draw what the suite wrote');
  for (const make of SUBCOMMANDS) command.addCommand(make(context));
  return command;
}
