/** `lockstep watch`: a run in the terminal, under way or over. */
import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import type { RunFeed } from '../../dashboard/run-feed.ts';
import { RunLibrary } from '../../dashboard/run-library.ts';
import { isOver, type RunView } from '../../dashboard/view/run-view.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { helpText } from '../shell/help.ts';
import { aborted, withInterrupt } from '../shell/interrupt.ts';
import { type Colours, paint, Terminal } from '../shell/terminal.ts';
import { figuresText, watchLines } from '../texts/watch-text.ts';
import { describeEvent } from './describe-event.ts';
import { DEFAULT_FOLDER, findRun } from './find-run.ts';

const REDRAW_MS = 500;
/** Without a terminal a line of progress is printed this often. */
const PLAIN_LINE_MS = 5_000;

const HELP = `
Follows a run from its files, of this or another process: what it is doing, who is slow and why,
whether it learns, and a row for each worker. Piped, it prints a line for whatever happens.

Examples:
  lockstep watch                       the newest run in experiments/
  lockstep watch experiments/my-run    one of them

Exit codes: 0 the run has finished, 1 it has failed or was interrupted, 2 there is no such run,
130 ended by Ctrl-C; the run goes on.`;

/** `lockstep watch`. */
export function watchCommand(context: CommandContext): Command {
  return new Command('watch')
    .description('follow a run in the terminal')
    .argument('[run]', `a run's folder or name (default: the newest in ${DEFAULT_FOLDER})`)
    .addHelpText('after', helpText(HELP))
    .action(async (path: string | undefined) => watch(context, path));
}

async function watch(
  { environment, setExitCode }: CommandContext,
  path: string | undefined,
): Promise<void> {
  const { folder, run } = findRun(path);
  const library = new RunLibrary(folder, describeEvent);
  const name = run ?? (await library.list(1)).runs[0]?.name;
  const feed = name === undefined ? undefined : await library.open(name);
  if (feed === undefined)
    throw new ConfigError(`there is no run in ${folder}. Train a model first.`);
  const terminal = new Terminal(process.stderr, environment);
  const colours = paint(environment);
  try {
    await withInterrupt(terminal, async (signal) => follow(feed, terminal, colours, signal));
  } finally {
    library.close();
  }
  for (const line of watchLines(feed.view, Date.now(), colours)) terminal.line(line);
  setExitCode(exitCodeOf(feed.view));
}

/** Shows a run until it is over, or nobody wants to see it any more. */
async function follow(
  feed: RunFeed,
  terminal: Terminal,
  colours: Colours,
  signal: AbortSignal,
): Promise<void> {
  const { view } = feed;
  let toldId = 0;
  let lineMs = 0;
  const show = (): void => {
    if (terminal.isLive) return terminal.liveLines(watchLines(view, Date.now(), colours));
    for (const { id, text } of view.log.filter((line) => line.id > toldId)) {
      toldId = id;
      terminal.line(text);
    }
    if (Date.now() - lineMs < PLAIN_LINE_MS) return;
    lineMs = Date.now();
    terminal.line(figuresText(view));
  };
  show();
  if (isOver(view)) return;
  const timer = setInterval(show, REDRAW_MS);
  let end = (): void => {};
  const over = new Promise<void>((resolve) => (end = resolve));
  const unfollow = feed.follow(() => {
    if (isOver(view)) end();
  });
  try {
    await Promise.race([over, aborted(signal)]);
    show();
  } finally {
    unfollow();
    clearInterval(timer);
  }
}

function exitCodeOf({ phase }: RunView): number {
  if (phase === 'finished') return EXIT.ok;
  return phase === 'failed' || phase === 'interrupted' ? EXIT.failed : EXIT.interrupted;
}
