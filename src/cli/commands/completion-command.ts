import { Argument, Command } from 'commander';
import { helpText } from '../shell/help.ts';
import { writeResult } from '../shell/output.ts';
import { completionScript, type Shell, SHELLS } from '../texts/completion-scripts.ts';
import { completedCommands } from '../texts/completion-words.ts';

const HELP = `
Commands, options and the words that options take are completed with the Tab key, and names of files
elsewhere. For this shell, or in the file that it reads when it starts:
  bash  source <(lockstep completion bash)
  zsh   source <(lockstep completion zsh)       after compinit
  fish  lockstep completion fish | source

The program must be called lockstep: after npm install --global, or with an alias.`;

/** \`lockstep completion\`: a script for the shell, of all commands beside it. */
export function completionCommand(): Command {
  return new Command('completion')
    .description('print a script by which a shell completes words')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', helpText(HELP))
    .action((shell: Shell, _flags: unknown, { parent }: Command) => {
      if (parent !== null) writeResult(completionScript(shell, completedCommands(parent)));
    });
}
