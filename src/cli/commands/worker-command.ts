import { Command, Option } from 'commander';
import { ConfigError, invariant } from '../../base/errors.ts';
import { suggestion } from '../../base/closest-name.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { runWorkerProcess } from '../../launch/worker-process.ts';
import { parseAddress } from '../../transport/parse-address.ts';
import { DEVICE_NAMES, GPU_LANES } from '../../runtime/device.ts';
import { chooseDevices, defaultLanes, type DeviceChoice } from '../../runtime/devices.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { interruptible } from '../shell/interrupt.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { logLine } from '../shell/output.ts';
import { helpText, withChoices } from '../shell/help.ts';

const HELP = `
Joins a coordinator, takes its job (the model travels as an ONNX file, never as code), and computes
until the run is over. It can join at any time; if it loses the coordinator it looks for it again.
Data files are read from --data-dir, the cache and installed packages only, whatever path the
coordinator names, and used only if they are those of the coordinator, by their hash. A job that
needs more memory than is free is refused.

Exit codes: 0 the run is over, 1 refused, failed or no coordinator found, 2 wrong flags or
data files, 130 interrupted.`;

/** \`lockstep worker\`: one worker of a run that a coordinator elsewhere leads. */
export function workerCommand(context: CommandContext): Command {
  return new Command('worker')
    .description('join a run as a worker')
    .requiredOption('--join <host:port>', 'address of the coordinator')
    .addOption(
      withChoices(new Option('--device <device>', 'where to compute'), DEVICE_NAMES).default('cpu'),
    )
    .option('--lanes <count>', 'compute threads (default: all cores; 1 with a GPU)')
    .option('--rank <rank>', 'rank to ask for')
    .option(
      '--data-dir <folder>',
      'where the data set lies on this machine, also a file or folder of your own',
    )
    .option('--retry <seconds>', 'how long to look for the coordinator', '60')
    .addHelpText('after', helpText(HELP))
    .action(async (flags: Record<string, string | undefined>) => work(context, flags));
}

async function work(
  context: CommandContext,
  flags: Record<string, string | undefined>,
): Promise<void> {
  const address = parseAddress(flags['join'] ?? '');
  if (address === undefined)
    throw new ConfigError(
      `--join: expected host:port, got "${flags['join'] ?? ''}". Example: --join desk:29500`,
    );
  const { device, note } = await deviceNamed(flags['device'] ?? 'cpu');
  if (note !== undefined) logLine(note);
  const { signal } = interruptible();
  const reason = await runWorkerProcess({
    address,
    device,
    lanes:
      wholeNumber('--lanes', flags['lanes'], 1, device === 'cpu' ? 1024 : GPU_LANES) ??
      defaultLanes(device),
    rank: wholeNumber('--rank', flags['rank'], 0, 65_535) ?? null,
    places: dataPlaces(flags['dataDir'], context.environment),
    retryMs: 1000 * (wholeNumber('--retry', flags['retry'], 0, 86_400) ?? 60),
    log: logLine,
    signal,
  });
  logLine(`done: ${reason}`);
  if (signal.aborted) context.setExitCode(EXIT.interrupted);
}

async function deviceNamed(text: string): Promise<DeviceChoice> {
  const name = DEVICE_NAMES.find((known) => known === text);
  if (name === undefined)
    throw new ConfigError(
      `--device: expected one device, got "${text}". ${suggestion(text, DEVICE_NAMES)}`,
    );
  const [choice] = await chooseDevices([name]);
  invariant(choice !== undefined, 'every device asked for is chosen or refused');
  return choice;
}

function wholeNumber(
  flag: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const expected = least === most ? String(least) : `a whole number from ${least} to ${most}`;
  throw new ConfigError(`${flag}: expected ${expected}, got "${text}"`);
}
