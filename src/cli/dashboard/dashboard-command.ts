/** `lockstep dashboard`: runs of a folder, recorded or under way, as a page. */
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { accessFolder } from '../../access/home.ts';
import { ConfigError } from '../../base/errors.ts';
import { RunLibrary } from '../../dashboard/run-library.ts';
import { openDashboard } from '../../dashboard/server.ts';
import { parseChoice } from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText, withChoices } from '../shell/help.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { aborted, withInterrupt } from '../shell/interrupt.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { parseDashboardPort } from './dashboard-port.ts';
import { DEFAULT_FOLDER, findRun } from './find-run.ts';
import { describeEvent } from './describe-event.ts';
import { linkText } from './live-dashboard.ts';
import { feedOfResult } from './result-feed.ts';
import { userKey } from './user-key.ts';

/** Programs whose results are read; all write the same. */
const TOOLS = ['minicluster'] as const;

const HELP = `
Opens a page for this machine's browsers: who computes, who is slow and why, and whether the model
learns. Runs that are under way are followed. The printed link lets one browser in; when it was
used, another is printed. To look from another machine: ssh -L 3000:127.0.0.1:3000 THIS_MACHINE

Examples:
  lockstep train --dashboard                the page of a run, while it trains
  lockstep dashboard                        the runs in experiments/
  lockstep dashboard experiments/my-run     one of them
  lockstep dashboard --result single.json   a result of \`lockstep run\`

Exit codes: 1 the port cannot be had, 2 wrong flags or folders, 130 ended by Ctrl-C.`;

/** What is shown, and what the page begins with. */
interface Shown {
  readonly library: RunLibrary;
  readonly first: string | undefined;
}

interface Flags {
  readonly port?: string;
  readonly result?: string;
  readonly tool?: string;
}

/** `lockstep dashboard`. */
export function dashboardCommand(context: CommandContext): Command {
  const tool = new Option(
    '--tool <name>',
    'which program has written --result: accepted, not used',
  );
  return new Command('dashboard')
    .description('look at runs, while they train or later, in a browser')
    .argument('[run]', `a run's folder, or a folder of runs (default: ${DEFAULT_FOLDER})`)
    .option('--port <n>', 'port of the page (default: 3000, or the next that is free)')
    .option('--result <file>', 'a result of the validation suite, in place of a run')
    .addOption(withChoices(tool, TOOLS))
    .addHelpText('after', helpText(HELP))
    .action(async (path: string | undefined, { port, result, tool: name }: Flags) => {
      if (name !== undefined) parseChoice('--tool', name, TOOLS);
      if (path !== undefined && result !== undefined)
        throw new ConfigError(`--result: expected no run beside it, got ${path}`);
      await serve(context, result === undefined ? runsShown(path) : resultShown(result), port);
    });
}

function runsShown(path: string | undefined): Shown {
  const { folder, run } = findRun(path);
  return { library: new RunLibrary(folder, describeEvent), first: run };
}

function resultShown(path: string): Shown {
  const feed = feedOfResult(path);
  const { name } = feed.view;
  return {
    library: new RunLibrary(dirname(resolve(path)), describeEvent, { name, feed }),
    first: name,
  };
}

async function serve(
  { environment, setExitCode }: CommandContext,
  shown: Shown,
  port: string | undefined,
): Promise<void> {
  const asked = parseDashboardPort('--port', port);
  const terminal = new Terminal(process.stderr, environment);
  const colours = paint(environment);
  await withInterrupt(terminal, async (signal) => {
    const dashboard = await openDashboard({
      ...shown,
      ...asked,
      userKey: userKey(accessFolder(environment), (problem) => terminal.line(problem)),
      onLink: (link) => terminal.line(linkText(link, colours)),
    });
    await aborted(signal);
    await dashboard.close();
  });
  setExitCode(EXIT.interrupted);
}
