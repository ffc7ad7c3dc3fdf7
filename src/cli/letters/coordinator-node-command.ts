import { Command } from 'commander';
import { startCoordinator } from '../../letters/coordinator-process.ts';
import { parsePolicyName } from '../../plan/policies.ts';
import {
  checkFile,
  checkFolder,
  createRandom,
  HOST_OPTION,
  parsePort,
  serveUntilInterrupted,
} from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { logLine } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Spreads the training files of its clients over compute nodes, until it is interrupted.

scheduling_policy, by number or name:
  1  random          any node that has nothing to do, by chance
  2  load-balancing  the one likely done first, by its recent times and
                     rejections; nodes may reject when they are busy
  3  round-robin     each in its turn

The list of nodes has one host,port per line. It is read again when it changes, also while a job
runs; nodes may also register themselves (lockstep compute-node --join). The port also speaks the
Thrift interface of the original system: its client can train here, and its compute nodes can be in
the list.

The directory that a client names must lie in --data-dir, where relative ones begin.

Listens on 127.0.0.1 unless --host says otherwise: there are no passwords, open it only to networks
that you trust.

Examples, the second for other machines:
  lockstep coordinator-node 9095 2
  lockstep coordinator-node 9095 2 --host 0.0.0.0`;

type Flags = Readonly<Record<string, string | undefined>>;

/** \`lockstep coordinator-node\`: spreads files over compute nodes. */
export function coordinatorNodeCommand(context: CommandContext): Command {
  return new Command('coordinator-node')
    .description('letters system: spread training files over compute nodes')
    .argument('<port>', 'where to listen (0: any free port)')
    .argument('<scheduling_policy>', '1 or random, 2 or load-balancing, 3 or round-robin')
    .option(...HOST_OPTION)
    .option('--data-dir <folder>', 'where the directories lie that clients may name', '.')
    .option('--nodes <file>', 'list of compute nodes, host,port per line', 'compute_nodes.txt')
    .option('--seed <number>', 'seed of the policy random (default: another one every time)')
    .addHelpText('after', helpText(HELP))
    .action(async (port: string, policy: string, flags: Flags, command: Command) => {
      const dataFolder = flags['dataDir'] ?? '';
      checkFolder('--data-dir', dataFolder);
      // The one that is read when none is named may come later.
      if (command.getOptionValueSource('nodes') === 'cli')
        checkFile('--nodes', flags['nodes'] ?? '');
      const running = await startCoordinator({
        address: { host: flags['host'] ?? '', port: parsePort(port) },
        policy: parsePolicyName(policy),
        nodesFile: flags['nodes'] ?? '',
        dataFolder,
        random: createRandom(flags['seed']),
        log: logLine,
      });
      await serveUntilInterrupted(context, 'coordinator node', running);
    });
}
