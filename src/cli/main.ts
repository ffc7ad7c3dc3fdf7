/** The door: argv, environment, terminal, exit codes. */
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { LockstepError } from '../base/errors.ts';
import { VERSION } from '../launch/software.ts';
import { baselineCommand } from './baseline-command.ts';
import { benchCollectiveCommand } from './bench-collective-command.ts';
import { clientCommand } from './client-command.ts';
import { computeNodeCommand } from './compute-node-command.ts';
import { coordinatorNodeCommand } from './coordinator-node-command.ts';
import { dataCommand } from './data-command.ts';
import { devicesCommand } from './devices-command.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { faultTestCommand } from './fault-test-command.ts';
import { generateCommand } from './generate-command.ts';
import { modelCommand } from './model-command.ts';
import { monitorCommand } from './monitor-command.ts';
import { predictCommand } from './predict-command.ts';
import { reportCommand } from './report-command.ts';
import { runCommand } from './run-command.ts';
import { type CommandContext, coordinatorCommand, trainCommand } from './train-command.ts';
import { validateCommand } from './validate-command.ts';
import { workerCommand } from './worker-command.ts';

const context: CommandContext = {
  environment: process.env,
  // The same file again, with the same loader if it is run from source.
  self: { program: process.execPath, arguments: [...process.execArgv, fileURLToPath(import.meta.url)] },
  startedMs: 0,
  now: () => performance.now(),
  setExitCode: (code) => (process.exitCode = code),
};

const program = new Command('lockstep')
  .description(
    'Trains one neural network across every machine you own, and ends with the very same model that one big machine would have trained.',
  )
  .version(VERSION)
  .showSuggestionAfterError()
  .showHelpAfterError('(add --help for the flags of a command)')
  .exitOverride();
for (const command of [
  trainCommand(context),
  coordinatorCommand(context),
  workerCommand(context),
  dataCommand(context),
  modelCommand(),
  devicesCommand(),
  generateCommand(),
  computeNodeCommand(context),
  coordinatorNodeCommand(context),
  clientCommand(context),
  predictCommand(),
  runCommand(context),
  faultTestCommand(context),
  validateCommand(context),
  baselineCommand(context),
  reportCommand(context),
  benchCollectiveCommand(context),
  monitorCommand(context),
]) {
  program.addCommand(command.exitOverride().showSuggestionAfterError());
}

// Whoever reads our output may have seen enough, as `head` has.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(process.exitCode ?? EXIT.ok);
  });
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = reportError(error);
}

/** One clear message; a stack trace only for our own mistakes. */
function reportError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof LockstepError && error.code !== 'INTERNAL') {
    process.stderr.write(`error: ${error.message}\n`);
    return exitCodeOf(error);
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.failed;
}
