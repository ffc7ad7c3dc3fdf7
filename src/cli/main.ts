/** The door: argv, environment, terminal, exit codes. */
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { LockstepError } from '../base/errors.ts';
import { shortageOf } from '../base/shortage.ts';
import { VERSION } from '../launch/software.ts';
import {
  checkFlagValues,
  commandOf,
  helpAsFlag,
  prepareCommands,
  usageErrorText,
} from './shell/command-line.ts';
import { EXIT, exitCodeOf } from './shell/exit-codes.ts';
import type { CommandContext } from './shell/command-context.ts';
import { writeNote } from './shell/output.ts';

type Loader = (context: CommandContext) => Promise<Command>;

/** Commands of a kind, under their heading in the help. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, Loader>>>> = {
  'Training commands:': {
    train: async (c) => (await import('./training/train-command.ts')).trainCommand(c),
    coordinator: async (c) => (await import('./training/train-command.ts')).coordinatorCommand(c),
    worker: async (c) => (await import('./training/worker-command.ts')).workerCommand(c),
    join: async (c) => (await import('./training/worker-command.ts')).joinCommand(c),
    token: async (c) => (await import('./commands/token-command.ts')).tokenCommand(c),
    launch: async (c) => (await import('./hosts/launch-command.ts')).launchCommand(c),
    checkpoint: async (c) =>
      (await import('./checkpoints/checkpoint-command.ts')).checkpointCommand(c),
    replay: async (c) => (await import('./checkpoints/replay-command.ts')).replayCommand(c),
    fork: async (c) => (await import('./checkpoints/fork-command.ts')).forkCommand(c),
    data: async (c) => (await import('./data/data-command.ts')).dataCommand(c),
    model: async () => (await import('./commands/model-command.ts')).modelCommand(),
    doctor: async (c) => (await import('./hosts/doctor-command.ts')).doctorCommand(c),
    devices: async () => (await import('./commands/devices-command.ts')).devicesCommand(),
    plan: async (c) => (await import('./commands/plan-command.ts')).planCommand(c),
    profile: async (c) => (await import('./commands/profile-command.ts')).profileCommand(c),
    generate: async () => (await import('./commands/generate-command.ts')).generateCommand(),
    dashboard: async (c) => (await import('./dashboard/dashboard-command.ts')).dashboardCommand(c),
    watch: async (c) => (await import('./dashboard/watch-command.ts')).watchCommand(c),
    export: async (c) => (await import('./dashboard/export-command.ts')).exportCommand(c),
    compare: async (c) => (await import('./dashboard/compare-command.ts')).compareCommand(c),
    predict: async () => (await import('./commands/predict-command.ts')).predictCommand(),
  },
  'Letters commands:': {
    'compute-node': async (c) =>
      (await import('./letters/compute-node-command.ts')).computeNodeCommand(c),
    'coordinator-node': async (c) =>
      (await import('./letters/coordinator-node-command.ts')).coordinatorNodeCommand(c),
    client: async (c) => (await import('./letters/client-command.ts')).clientCommand(c),
  },
  'Validation commands:': {
    run: async (c) => (await import('./commands/run-command.ts')).runCommand(c),
    'fault-test': async (c) =>
      (await import('./commands/fault-test-command.ts')).faultTestCommand(c),
    validate: async (c) => (await import('./commands/validate-command.ts')).validateCommand(c),
    baseline: async (c) => (await import('./commands/baseline-command.ts')).baselineCommand(c),
    report: async (c) => (await import('./commands/report-command.ts')).reportCommand(c),
    'bench-collective': async (c) =>
      (await import('./commands/bench-collective-command.ts')).benchCollectiveCommand(c),
    'bench-policies': async (c) =>
      (await import('./commands/bench-policies-command.ts')).benchPoliciesCommand(c),
    monitor: async (c) => (await import('./commands/monitor-command.ts')).monitorCommand(c),
  },
  'Other commands:': {
    completion: async () => (await import('./commands/completion-command.ts')).completionCommand(),
  },
};

const context: CommandContext = {
  environment: process.env,
  // The same file again, with the same loader if it is run from source.
  self: {
    program: process.execPath,
    arguments: [...process.execArgv, fileURLToPath(import.meta.url)],
  },
  startedMs: 0,
  now: () => performance.now(),
  setExitCode: (code) => (process.exitCode = code),
};

const words = helpAsFlag(process.argv.slice(2));
const program = new Command('lockstep')
  .description(
    'Trains one neural network across every machine you own, and ends with the very same ' +
      'model that one big machine would have trained.',
  )
  .version(VERSION, '-V, --version', 'its version')
  // A flag behind the name of a command is that command's.
  .enablePositionalOptions();
await addCommands(program, words[0]);
prepareCommands(program, words);

// Whoever reads our output may have seen enough, as `head` has; a terminal may have been closed.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.ok);
  if (error.code !== 'EIO') throw error;
});
// What cannot be told stops nothing: nobody may be there to read it, or the log's disk be full.
process.stderr.on('error', () => {});
// What nobody caught, in a callback or a promise: a process that is half broken must not go on.
process.on('uncaughtException', (error) => process.exit(reportError(error)));

try {
  checkFlagValues(commandOf(program, words), words);
  await program.parseAsync(words, { from: 'user' });
} catch (error) {
  process.exitCode = reportError(error);
}

/** One clear message; a stack trace only for our own mistakes. */
function reportError(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code !== 'commander.help')
      writeNote(`${usageErrorText(error, commandOf(program, words))}\n`);
    return EXIT.usage;
  }
  if (error instanceof LockstepError && error.code !== 'INTERNAL') {
    writeNote(`error: ${error.message}\n`);
    return exitCodeOf(error);
  }
  const shortage = shortageOf(error);
  if (shortage !== undefined) {
    writeNote(`error: ${shortage}\n`);
    return EXIT.failed;
  }
  writeNote(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.failed;
}

/**
 * Adds the command of this name. Without one, and for completion, it adds all: loading them would
 * take each process, workers too, a third of a second.
 */
async function addCommands(to: Command, name = ''): Promise<void> {
  const isOnly =
    name !== 'completion' && Object.values(GROUPS).some((group) => Object.hasOwn(group, name));
  for (const [heading, group] of Object.entries(GROUPS))
    for (const [one, load] of Object.entries(group))
      if (!isOnly || one === name) to.addCommand((await load(context)).helpGroup(heading));
}
