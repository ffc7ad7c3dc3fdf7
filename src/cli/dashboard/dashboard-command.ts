/** `lockstep dashboard`: runs of a folder, recorded or under way, as a page. */
import { Command } from 'commander';
import { accessFolder } from '../../access/home.ts';
import { RunLibrary } from '../../dashboard/run-library.ts';
import { openDashboard } from '../../dashboard/server.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { aborted, withInterrupt } from '../shell/interrupt.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { parseDashboardPort } from './dashboard-port.ts';
import { DEFAULT_FOLDER, findRun, type FoundRun } from './find-run.ts';
import { describeEvent } from './describe-event.ts';
import { linkText } from './live-dashboard.ts';
import { userKey } from './user-key.ts';

const HELP = `
Opens a page for this machine's browsers: who computes, who is slow and why, and whether the model
learns. Runs that are under way are followed. The printed link lets one browser in; when it was
used, another is printed. To look from another machine: ssh -L 3000:127.0.0.1:3000 THIS_MACHINE

Examples:
  lockstep train --dashboard                     the page of a run, while it trains
  lockstep dashboard                             the runs in experiments/
  lockstep dashboard experiments/my-run          one of them

Exit codes: 1 the port cannot be had, 2 wrong flags or folders, 130 ended by Ctrl-C.`;

/** `lockstep dashboard`. */
export function dashboardCommand(context: CommandContext): Command {
  return new Command('dashboard')
    .description('look at runs, while they train or later, in a browser')
    .argument('[run]', `a run's folder, or a folder of runs (default: ${DEFAULT_FOLDER})`)
    .option('--port <n>', 'port of the page (default: 3000, or the next that is free)')
    .addHelpText('after', helpText(HELP))
    .action(async (path: string | undefined, { port }: { readonly port?: string }) => {
      await serve(context, findRun(path), port);
    });
}

async function serve(
  { environment, setExitCode }: CommandContext,
  { folder, run }: FoundRun,
  port: string | undefined,
): Promise<void> {
  const asked = parseDashboardPort('--port', port);
  const terminal = new Terminal(process.stderr, environment);
  const colours = paint(environment);
  await withInterrupt(terminal, async (signal) => {
    const dashboard = await openDashboard({
      library: new RunLibrary(folder, describeEvent),
      first: run,
      ...asked,
      userKey: userKey(accessFolder(environment)),
      onLink: (link) => terminal.line(linkText(link, colours)),
    });
    await aborted(signal);
    await dashboard.close();
  });
  setExitCode(EXIT.interrupted);
}
