import { Command, Option } from 'commander';
import { runClient } from '../../letters/client.ts';
import {
  checkJobSpec,
  type JobSpec,
  LETTER_CLASSES,
  LETTERS_OPTIMIZERS,
  MODES,
} from '../../letters/job-spec.ts';
import type { JobEvent } from '../../letters/messages.ts';
import { writeJobFiles } from '../../letters/model-files.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { interruptible } from '../shell/interrupt.ts';
import { parseChoice, parseNumber, parsePort, parseWhole } from '../shell/arguments.ts';
import { duration, grouped, Terminal } from '../shell/terminal.ts';
import { printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { writeResult } from '../shell/output.ts';
import { helpText, withChoices } from '../shell/help.ts';

const HELP = `
Trains a network with one hidden layer on the files of a directory (train_letters*.txt), in rounds:
every file is trained on by itself from the same start, then the results are averaged, and
validate_letters.txt tells the error.

  dir      on the machine of the coordinator node, inside its --data-dir;
           \`lockstep data letters <dir>\` writes one
  rounds   averages taken
  epochs   passes over each file per round
  h        units of the hidden layer
  eta      learning rate; try 0.0001, or 0.003 with --optimizer adam

--compat seed computes what the original system computes, so that its published errors come out
again. The model, errors.csv and timing.txt are written to --out-dir; \`lockstep predict\` uses the
model.

Example:
  lockstep client localhost 9095 letters 3 75 24 0.0001`;

type RoundEvent = Extract<JobEvent, { kind: 'round' }>;

/** \`lockstep client\`: starts a job and shows how it goes. */
export function clientCommand(context: CommandContext): Command {
  return new Command('client')
    .description('letters system: start a training job at a coordinator node')
    .argument('<ip>', 'host of the coordinator node')
    .argument('<port>', 'its port')
    .argument('<dir>', 'directory with the data')
    .argument('<rounds>', 'number of rounds')
    .argument('<epochs>', 'epochs per round')
    .argument('<h>', 'size of the hidden layer')
    .argument('<eta>', 'learning rate')
    .option('--compat <mode>', 'seed: exactly what the original system computes')
    .addOption(
      withChoices(
        new Option(
          '--optimizer <name>',
          'gradient: whole file, as the original; adam: mini-batches',
        ),
        LETTERS_OPTIMIZERS,
      ).default('gradient'),
    )
    .option('--batch <rows>', 'rows per step of adam', '64')
    .option('--classes <count>', 'number of classes', String(LETTER_CLASSES))
    .option('--seed <number>', 'seed of the first weights and of the order of rows', '42')
    .option(
      '--out-dir <folder>',
      'where the model is written (default: experiments/letters-<time>)',
    )
    .option('--no-save', 'write no files')
    .option('--json', 'print the result as JSON on stdout')
    .addHelpText('after', helpText(HELP))
    .action(async (...given: unknown[]) => {
      const [ip, port, dir, rounds, epochs, h, eta] = given.slice(0, 7).map(String);
      const flags = given[7] as Record<string, string | boolean | undefined>;
      const spec = parseSpec(
        [dir, rounds, epochs, h, eta].map((text) => text ?? ''),
        flags,
      );
      await train(context, { host: ip ?? '', port: parsePort(port ?? '', 1) }, spec, flags);
    });
}

function parseSpec(
  [directory = '', rounds = '', epochs = '', h = '', eta = '']: readonly string[],
  flags: Record<string, string | boolean | undefined>,
): JobSpec {
  const whole = (name: string, text: unknown, least = 1): number =>
    parseWhole(name, String(text), least, 0xffff_ffff);
  const spec: JobSpec = {
    directory,
    rounds: whole('rounds', rounds),
    epochs: whole('epochs', epochs),
    hidden: whole('h', h),
    eta: parseNumber('eta', eta, 0, 1_000),
    classes: whole('--classes', flags['classes']),
    mode: parseChoice('--compat', String(flags['compat'] ?? 'default'), MODES),
    optimizer: parseChoice('--optimizer', String(flags['optimizer']), LETTERS_OPTIMIZERS),
    batch: whole('--batch', flags['batch']),
    seed: whole('--seed', flags['seed'], 0),
  };
  checkJobSpec(spec);
  return spec;
}

async function train(
  context: CommandContext,
  coordinator: { readonly host: string; readonly port: number },
  spec: JobSpec,
  flags: Record<string, string | boolean | undefined>,
): Promise<void> {
  const terminal = new Terminal(process.stderr, context.environment);
  const rounds: RoundEvent[] = [];
  const { signal } = interruptible();
  const onEvent = (event: JobEvent): void => {
    if (event.kind === 'round') rounds.push(event);
    const line = lineOf(event, spec);
    if (line !== undefined) terminal.line(line);
  };
  const result = await runClient({ coordinator, spec, onEvent, signal });
  if (result === undefined) {
    terminal.line('given up');
    return context.setExitCode(EXIT.interrupted);
  }
  const isJson = flags['json'] === true;
  if ('validationError' in result) {
    terminal.line('a coordinator of the original system tells the error alone: no model, no files');
    return report([result.validationError], {}, isJson);
  }
  const folder = flags['save'] === false ? undefined : String(flags['outDir'] ?? defaultFolder());
  if (folder !== undefined) {
    await writeJobFiles(folder, spec, result, rounds);
    terminal.line(`model, errors and times are in ${folder}`);
  }
  const wallSeconds = rounds.reduce((total, { wallMs }) => total + wallMs, 0) / 1_000;
  report(
    result.done.errors,
    { errors: result.done.errors, wallSeconds, ...(folder === undefined ? {} : { folder }) },
    isJson,
  );
}

function report(errors: readonly number[], more: object, isJson: boolean): void {
  const validationError = errors.at(-1);
  if (isJson) printJson({ validationError, ...more });
  else writeResult(`Client: Final validation error => ${validationError}\n`);
}

function lineOf(event: JobEvent, { rounds }: JobSpec): string | undefined {
  switch (event.kind) {
    case 'queued':
      return `waiting: ${event.ahead} jobs come first`;
    case 'started':
      return `${event.files} files, ${grouped(event.rows)} rows, ${event.nodes} compute nodes`;
    case 'round':
      return (
        `round ${event.round}/${rounds}  validation error ${event.validationError.toFixed(4)}  ` +
        duration(event.wallMs)
      );
    case 'trouble':
      return `! ${event.node}: ${event.reason}`;
    case 'waiting':
      return [
        '! no compute node; waiting for one',
        ...event.nodes.map(({ node, reason }) => `    ${node}: ${reason}`),
      ].join('\n');
    case 'resumed':
      return 'a compute node is back; going on';
    case 'done':
    case 'failed':
      return undefined;
    default:
      return event satisfies never;
  }
}

function defaultFolder(): string {
  const stamp = new Date().toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15);
  return `experiments/letters-${stamp}-${process.pid}`;
}
