import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { listCheckpoints, verifyCheckpoint } from '../../checkpoint/read-checkpoints.ts';
import { replayRun, type Verdict } from '../../replay/replay-run.ts';
import { checkpointsOf, placeOf } from '../../runs/resume-point.ts';
import { crewOf, TrainingScreen } from '../training/train-command.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { helpText } from '../shell/help.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { printJson } from '../shell/json-output.ts';
import { writeResult } from '../shell/output.ts';
import { differenceText, verdictText } from '../texts/verdict-text.ts';

const HELP = `
Computes the steps of a run again and compares each with what is recorded of it, to the last digit:
loss, accuracy, learning rate, evaluations, and the digest of the state wherever a checkpoint was
written. The run itself is only read. Any number of workers comes to the same.

Examples:
  lockstep replay first                      all of its steps
  lockstep replay first --from 300 --to 400  from the checkpoint before
  lockstep replay first --verify             all steps, all bytes of checkpoints

Exit codes: 0 as recorded, 1 something differs (the step is named), or it failed, 2 wrong flags, no
such run, or a checkpoint that is damaged, 130 interrupted.`;

interface Flags {
  readonly from?: string;
  readonly to?: string;
  readonly verify?: boolean;
  readonly json?: boolean;
  readonly outDir: string;
  readonly dataDir?: string;
  readonly workers?: string;
  readonly lanes?: string;
}

/** `lockstep replay`: computes a run again, and says whether it comes to the same. */
export function replayCommand(context: CommandContext): Command {
  return new Command('replay')
    .description('compute steps of a run again, and compare them with its record')
    .argument('<run>', 'its name or folder')
    .option('--from <step>', 'begin after so many steps, at the checkpoint before', '0')
    .option('--to <step>', 'end with this step (default: the last that is recorded)')
    .option('--verify', 'the whole run, and every byte of its checkpoints')
    .option('--workers <count>', 'how many compute (default: as many as in the run)')
    .option('--lanes <count>', 'compute threads of each')
    .option('--data-dir <path>', 'where the data set lies')
    .option('--out-dir <path>', 'folder of the runs', 'experiments')
    .option('--json', 'print the verdict as one JSON document')
    .addHelpText('after', helpText(HELP))
    .action(async (run: string, flags: Flags) => replay(context, run, flags));
}

async function replay(context: CommandContext, run: string, flags: Flags): Promise<void> {
  if (flags.verify === true && (flags.from !== '0' || flags.to !== undefined))
    throw new ConfigError('--verify: expected the whole run, got --from or --to, too');
  const folder = placeOf(run, flags.outDir);
  const from = stepOf('--from', flags.from) ?? 0;
  const to = stepOf('--to', flags.to);
  if (flags.verify === true) await verifyAll(folder);
  const screen = new TrainingScreen(context);
  const verdict = await withInterrupt(screen.terminal, async (signal) => {
    const crew = await crewOf(context, screen, flags, signal);
    return replayRun({ ...crew, folder, from, to });
  }).finally(() => screen.progress.close());
  if (flags.json === true) printJson({ isRepeated: isRepeated(verdict), ...verdict });
  else writeResult(`${run}: ${verdictText(verdict)}\n`);
  if (verdict.difference !== undefined && flags.json !== true)
    writeResult(`${differenceText(verdict.difference)}\n`);
  if (verdict.isInterrupted) context.setExitCode(EXIT.interrupted);
  else if (!isRepeated(verdict)) context.setExitCode(EXIT.failed);
}

function isRepeated({ difference, isInterrupted }: Verdict): boolean {
  return difference === undefined && !isInterrupted;
}

/** Throws CHECKPOINT_INVALID, naming the file, for the first that is damaged. */
async function verifyAll(folder: string): Promise<void> {
  const store = checkpointsOf(folder);
  for (const { name } of await listCheckpoints(store)) await verifyCheckpoint(store, name);
}

function stepOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ConfigError(`${flag}: expected a step, got "${text}"`);
}
