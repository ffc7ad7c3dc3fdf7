import { Command, Option } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import type { Parent } from '../../checkpoint/manifest.ts';
import { findFork } from '../../replay/fork-run.ts';
import {
  crewOf,
  leadTraining,
  readGiven,
  TrainingScreen,
  withDashboardOption,
  withTrainOptions,
} from '../training/train-command.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { helpText } from '../shell/help.ts';
import { withInterrupt } from '../shell/interrupt.ts';

const HELP = `
Trains on from the state that a run had after a step, with other settings, as a run of its own. What
is not given is as in the run; weights and what the optimizer keeps must fit. Where there is no
checkpoint of that step, steps are computed again from the one before, and compared with the record.
The run itself is only read, and may be under way.

Examples:
  lockstep fork first --at 300 --lr 0.01   from step 300, with another rate
  lockstep fork first --at 300 --seed 8 --name second
  lockstep fork first --steps 2000         from its newest checkpoint, longer

Exit codes: as of \`lockstep train\`; 2 also for a step that is not recorded, a state that does not
fit, or a checkpoint that is damaged.`;

type Flags = Readonly<Record<string, unknown>>;

/** \`lockstep fork\`: begins a variation of a run. */
export function forkCommand(context: CommandContext): Command {
  const command = new Command('fork')
    .description('train on from a step of a run with other settings, as a run of its own')
    .argument('<run>', 'its name or folder, or the folder of one checkpoint')
    .addOption(
      new Option(
        '--at <step>',
        'the state after so many steps (default: that of the newest checkpoint)',
      ).helpGroup('Run:'),
    )
    .addOption(
      new Option('--json', 'print the summary as one JSON document on stdout').helpGroup('Run:'),
    );
  return withDashboardOption(withTrainOptions(command))
    .addHelpText('after', helpText(HELP))
    .action(async (run: string, files: string[], flags: Flags) => fork(context, run, files, flags));
}

async function fork(
  context: CommandContext,
  run: string,
  files: readonly string[],
  { at, json, dashboard, ...settings }: Flags,
): Promise<void> {
  const screen = new TrainingScreen(context);
  const { given, notes } = readGiven(files, settings);
  for (const text of notes) screen.note(text);
  const request = { run, at: stepOf(at), given: { ...given, isForOthers: false } };
  const found = await withInterrupt(screen.terminal, async (signal) =>
    findFork(request, await crewOf(context, screen, settings, signal)),
  );
  if (found === undefined) return context.setExitCode(EXIT.interrupted);
  for (const line of forkedText(found.fork.parent, found.name)) screen.note(line);
  await leadTraining(context, screen, { ...found, dashboard, json: json === true, isLocal: true });
}

/** Throws ConfigError. */
function stepOf(text: unknown): number | undefined {
  if (text === undefined) return undefined;
  if (typeof text === 'string' && /^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new ConfigError(`--at: expected a step of the run, 1 or more, got ${JSON.stringify(text)}`);
}

/** What a variation begins from, and what is other in it. */
function forkedText({ run, step, changed }: Parent, name: string): string[] {
  const keys = Object.entries(changed);
  const text = (value: unknown): string => (value === null ? 'none' : JSON.stringify(value));
  const same = keys.length === 0 ? ', with the same settings' : '';
  return [
    `${name} begins as ${run} after step ${step}${same}`,
    ...keys.map(([key, { had, has }]) => `  ${key}: ${text(had)}, and now ${text(has)}`),
  ];
}
