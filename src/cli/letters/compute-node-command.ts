import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import { isLoopback } from '../../transport/loopback.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import { startComputeNode } from '../../letters/compute-node-process.ts';
import {
  checkFolder,
  createRandom,
  HOST_OPTION,
  parseChoice,
  parseNumber,
  parsePort,
  parseWhole,
  serveUntilInterrupted,
} from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { logLine } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Trains on the files that a coordinator node gives it, one after the other, until it is interrupted.

load_probability makes a busy machine: with this probability a task is delayed by --delay; and when
the coordinator balances load, with this probability, drawn separately, it is rejected at once and
goes elsewhere.

The port also speaks the Thrift interface of the original system, whose coordinator can use this
node; it reads the files that are named to it if they lie in --data-dir, where relative paths begin.

Listens on 127.0.0.1 unless --host says otherwise: there are no passwords, open it only to networks
that you trust.

Examples, the second on another machine:
  lockstep compute-node 9091 0.2
  lockstep compute-node 9091 0 --host 0.0.0.0 --join desk:9095`;

/** \`lockstep compute-node\`: trains for a coordinator node. */
export function computeNodeCommand(context: CommandContext): Command {
  return new Command('compute-node')
    .description('letters system: train on files that a coordinator node gives out')
    .argument('<port>', 'where to listen (0: any free port)')
    .argument('<load_probability>', 'probability of injected load, 0 to 1')
    .option(...HOST_OPTION)
    .option('--join <host:port>', 'register with this coordinator node, if it does not list us')
    .option('--data-dir <folder>', 'where the files lie that Thrift callers may name', '.')
    .option('--delay <ms>', 'injected delay in milliseconds', '3000')
    .option(
      '--draws <order>',
      'rejection-first, or seed: the delay comes before the rejection',
      'rejection-first',
    )
    .option('--seed <number>', 'seed of the injected load (default: another one every time)')
    .addHelpText('after', helpText(HELP))
    .action(async (port: string, load: string, flags: Record<string, string | undefined>) => {
      const address = { host: flags['host'] ?? '', port: parsePort(port) };
      const dataFolder = flags['dataDir'] ?? '';
      checkFolder('--data-dir', dataFolder);
      const running = await startComputeNode({
        address,
        loadProbability: parseNumber('load_probability', load, 0, 1),
        delayMs: parseWhole('--delay', flags['delay'] ?? '', 0, 3_600_000),
        drawOrder: parseChoice('--draws', flags['draws'] ?? '', ['rejection-first', 'seed']),
        random: createRandom(flags['seed']),
        join: parseJoin(flags['join'], address.host),
        dataFolder,
        log: logLine,
      });
      await serveUntilInterrupted(context, 'compute node', running);
    });
}

function parseJoin(text: string | undefined, host: string): ReturnType<typeof parseAddress> {
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address === undefined)
    throw new ConfigError(`--join: expected host:port, got "${text}". Example: --join desk:9095`);
  if (isLoopback(host) && !isLoopback(address.host))
    throw new ConfigError(
      `--join ${text}: a coordinator node elsewhere cannot reach us while we listen on ${host} ` +
        'alone. Add --host 0.0.0.0, or the address of this machine in its network.',
    );
  return address;
}
