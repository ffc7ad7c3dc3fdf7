import { Command } from 'commander';
import { parseTrainConfig } from '../../config/parse-train-config.ts';
import { dataPlaces } from '../../job/data-source.ts';
import { readConfigFile } from '../../launch/config-file.ts';
import { BALANCE_POLICIES, type BalancePolicy } from '../../plan/balance-policies.ts';
import { chooseDevices } from '../../runtime/devices.ts';
import { benchPolicies, type PolicyComparison } from '../../validate/bench/bench-policies.ts';
import { checkWritable, saveOutput } from '../../validate/results/output-file.ts';
import { parseChoice } from '../shell/arguments.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { readAliases, TRAIN_ALIASES, withAliases } from '../shell/flag-aliases.ts';
import { helpText } from '../shell/help.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { jsonText, printJson } from '../shell/json-output.ts';
import { Product } from '../shell/product.ts';
import { grouped, paint, Terminal } from '../shell/terminal.ts';
import { withTrainOptions } from '../training/train-command.ts';

const HELP = `
Trains on unequal workers of this machine, once with each policy, and with one worker alone for each
throttle that there is. Takes the settings of \`lockstep train\`. Without any it takes three workers,
of which two are four times slower, and 300 steps of 24 micro-batches of MNIST. The first third of
the steps is not measured.

The sum is what all workers would do if they cost each other nothing. Imbalance is how much less the
least busy worker computes than the busiest. The model must be the same with every policy.

Examples:
  lockstep bench-policies
  lockstep bench-policies --workers 2 --throttle 1,2 --policies adaptive,equal

Exit codes: 0 done, 1 failed or models differ, 2 wrong flags or files, 3 measured, but the result is
in another place than asked for, 130 interrupted.`;

/** Where no file says otherwise. */
const DEFAULTS = {
  workers: '3',
  throttle: '1,4,4',
  lanes: '1',
  globalBatch: '768',
  steps: '300',
  evalEvery: 'never',
};
/** What is compared, and what such runs have no use for. */
const LEFT_OUT = [
  ...['--load-balance-policy', '--name', '--host', '--port', '--lan', '--approve', '--insecure'],
  ...['--mesh-plain', '--link-file', '--strategy', '--out-dir', '--gpu-profiles', '--json'],
  ...['--checkpoint-every', '--keep'],
];

type Flags = Readonly<Record<string, unknown>> & {
  readonly policies: string;
  readonly output?: string;
  readonly json?: boolean;
};

/** `lockstep bench-policies`: the third seed's comparison of ways to share work out. */
export function benchPoliciesCommand(context: CommandContext): Command {
  const command = new Command('bench-policies').description(
    'compare the ways of sharing work out among unequal workers',
  );
  withTrainOptions(command, LEFT_OUT)
    .optionsGroup('Comparison:')
    .option('--policies <list>', 'what is compared', BALANCE_POLICIES.join(','))
    .option('--output <file>', 'write the result as JSON')
    .option('--json', 'print the result as one JSON document')
    .addHelpText('after', helpText(HELP));
  return withAliases(command, TRAIN_ALIASES).action(async (files: string[], flags: Flags) =>
    bench(context, files, flags),
  );
}

async function bench(
  context: CommandContext,
  files: readonly string[],
  { policies: list, output, json, ...settings }: Flags,
): Promise<void> {
  const policies = [...new Set(list.split(','))].map((name): BalancePolicy =>
    parseChoice('--policies', name.trim(), BALANCE_POLICIES),
  );
  const { flags } = readAliases(settings, TRAIN_ALIASES);
  const defaults = files.length > 0 ? { evalEvery: 'never' } : withoutLength(flags);
  const { config } = parseTrainConfig(files.map(readConfigFile), { ...defaults, ...flags });
  if (output !== undefined) checkWritable('--output', output);
  const { environment, setExitCode } = context;
  const terminal = new Terminal(process.stderr, environment);
  const { dim } = paint(environment);
  const devices = await chooseDevices(config.device);
  const told = new Set<string>();
  const result = await withInterrupt(terminal, (signal) =>
    benchPolicies({
      config,
      policies,
      places: dataPlaces(config.dataDir, environment),
      devices: devices.map(({ device }) => device),
      self: context.self,
      onNote: (note) => {
        if (!told.has(note)) terminal.line(dim(note));
        told.add(note);
      },
      onRun: (what) => terminal.live(dim(`${what}...`)),
      signal,
    }),
  );
  if (result === undefined) return setExitCode(EXIT.interrupted);
  terminal.end();
  const product = new Product(environment, json === true ? { json } : {});
  product.line(policiesText(result));
  if (output !== undefined) {
    const { path, problem } = saveOutput(output, jsonText(result));
    terminal.line(`Result saved to: ${path}`);
    if (problem !== undefined) {
      terminal.line(`! ${problem}`);
      setExitCode(EXIT.filesFailed);
    }
  }
  if (json === true) printJson(result);
  if (digestsOf(result).size > 1) setExitCode(EXIT.failed);
}

/** Whoever says how long to train says it in one way. */
function withoutLength(flags: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  if (flags['epochs'] === undefined) return DEFAULTS;
  const { steps: _, ...others } = DEFAULTS;
  return others;
}

function digestsOf({ policies }: PolicyComparison): Set<string | undefined> {
  return new Set(policies.map(({ state_digest }) => state_digest));
}

/** The comparison as a table. */
export function policiesText(result: PolicyComparison): string {
  const { alone, sum_alone, policies } = result;
  const rows = [
    ...alone.map(({ throttle, samples_per_second }) => [
      throttle === 1 ? 'alone' : `alone, ${throttle} times slower`,
      grouped(Math.round(samples_per_second)),
      '',
      '',
    ]),
    ['sum of all workers', grouped(Math.round(sum_alone)), '100 %', ''],
    ...policies.map(({ policy, samples_per_second, part_of_sum, imbalance }) => [
      policy,
      grouped(Math.round(samples_per_second)),
      `${Math.round(100 * part_of_sum)} %`,
      `${Math.round(100 * imbalance)} %`,
    ]),
  ];
  const table = [['', 'samples/s', 'of the sum', 'imbalance'], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((row) => row[i]?.length ?? 0)));
  const lines = table.map(([name = '', ...cells]) =>
    [name.padEnd(widths[0] ?? 0), ...cells.map((cell, i) => cell.padStart(widths[i + 1] ?? 0))]
      .join('  ')
      .trimEnd(),
  );
  const [digest, ...others] = digestsOf(result);
  const same =
    others.length === 0
      ? `the model is the same with every policy: ${digest?.slice(0, 16)}`
      : 'MODELS DIFFER: this is an error of Lockstep';
  return [...lines, '', same].join('\n');
}
