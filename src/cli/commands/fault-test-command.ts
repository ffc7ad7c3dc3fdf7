import { Command } from 'commander';
import { ConfigError, messageOf } from '../../base/errors.ts';
import { dataPlaces } from '../../job/data-source.ts';
import type { Check } from '../../validate/compare/check.ts';
import { faultsNamed, FAULTS } from '../../validate/drills/fault-catalogue.ts';
import {
  type FaultTestOptions,
  isPassed,
  isUnrecovered,
  LEAST_STEPS,
  runFaultTest,
} from '../../validate/drills/fault-test.ts';
import { checkWritable, saveOutput } from '../../validate/results/output-file.ts';
import type { FaultReport } from '../../validate/results/result.ts';
import { checkCiFlags, type CiFlags, emitChecks, withCiOptions } from '../shell/ci-output.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { faultReportText, resultLine } from '../texts/fault-report-text.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { parseNumber, parseWhole } from '../shell/arguments.ts';
import { Product } from '../shell/product.ts';
import { paint, Terminal } from '../shell/terminal.ts';
import { jsonText, printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Trains with real worker processes, once undisturbed and once with every fault, and says what the
detectors of the product made of it. A fault counts as detected only when the right worker is named.

Faults: ${FAULTS.map(({ name }) => name).join(', ')}

Exit codes: 0 every fault was detected, survived where it can be, and the clean runs raised no
alarm; 1 not so; 2 wrong flags, or a fault that cannot be injected on this machine; 3 as 0, but the
report is in another place than asked for; 130 interrupted.`;

interface Flags extends CiFlags {
  readonly faults?: string;
  readonly workers: string;
  readonly steps: string;
  readonly seed: string;
  readonly runs: string;
  readonly audit: string;
  readonly tolerance: string;
  readonly output: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** \`lockstep fault-test\`: are faults noticed, and survived? */
export function faultTestCommand(context: CommandContext): Command {
  const command = new Command('fault-test')
    .description('inject faults into real training runs and see whether they are detected')
    .optionsGroup('Runs:')
    .option('--faults <names>', 'faults, separated by commas (default: all)')
    .option('--workers <count>', 'workers of every run; audits need three', '3')
    .option('--steps <count>', 'steps of every run', '20')
    .option('--seed <seed>', 'decides data, weights, affected workers and steps', '42')
    .option('--runs <count>', 'rounds of all faults, each with a seed of its own', '1')
    .option(
      '--audit <fraction>',
      'part of the steps in which every worker is checked by another',
      '0.25',
    )
    .option(
      '--tolerance <fraction>',
      'how far losses may be from the clean run where digests differ',
      '0.01',
    )
    .optionsGroup('Output:')
    .option('--output <file>', 'the report', './minicluster_results/fault_report.json')
    .option('--json', 'print the report as one JSON document on stdout')
    .option('--verbose', 'name every run as it begins');
  return withCiOptions(command)
    .addHelpText('after', helpText(HELP))
    .action(async (flags: Flags) => faultTest(context, flags));
}

async function faultTest(context: CommandContext, flags: Flags): Promise<void> {
  const settings = settingsOf(flags);
  checkWritable('--output', flags.output);
  checkCiFlags(flags);
  const terminal = new Terminal(process.stderr, context.environment);
  const report = await inject(context, settings, terminal, flags.verbose === true);
  if (report === undefined) return context.setExitCode(EXIT.interrupted);
  const { path, problem } = saveOutput(flags.output, jsonText(report));
  const product = new Product(context.environment, flags);
  terminal.end();
  product.line(faultReportText(report, product.colours));
  terminal.line(`Report saved to: ${path}`);
  if (problem !== undefined) terminal.line(`${paint(context.environment).red('!')} ${problem}`);
  emitChecks('lockstep fault-test', checksOf(report), flags);
  if (flags.json === true) printJson(report);
  const codeIfPassed = problem === undefined ? EXIT.ok : EXIT.filesFailed;
  context.setExitCode(isPassed(report) ? codeIfPassed : EXIT.failed);
}

/** Runs everything and tells how it goes; undefined when the user interrupts it. */
async function inject(
  { environment, self }: CommandContext,
  settings: Settings,
  terminal: Terminal,
  isVerbose: boolean,
): Promise<FaultReport | undefined> {
  const colours = paint(environment);
  const { faults = FAULTS, rounds, workers, steps, audit } = settings;
  terminal.line(
    `Injecting ${faults.length * rounds} faults into runs of ${workers} workers and ${steps} ` +
      'steps...',
  );
  if (workers < 3 || audit === 0)
    terminal.line(
      colours.dim(
        'note: wrong gradients are found by audits, which need --workers 3 and --audit above 0',
      ),
    );
  return withInterrupt(terminal, (signal) =>
    runFaultTest({
      ...settings,
      places: dataPlaces(undefined, environment),
      self,
      signal,
      onRun: (name, seed) => {
        if (isVerbose) terminal.line(colours.dim(`running ${name}, seed ${seed}`));
        else terminal.live(`running ${name}`);
      },
      onResult: (result) => terminal.line(resultLine(result, colours)),
    }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
      terminal.line(`interrupted; no report was written (${messageOf(error)})`);
      return undefined;
    }),
  );
}

type Settings = Pick<
  FaultTestOptions,
  'faults' | 'workers' | 'steps' | 'seed' | 'rounds' | 'audit' | 'tolerance'
>;

function settingsOf(flags: Flags): Settings {
  if (flags.faults?.trim() === '')
    throw new ConfigError('--faults: expected names, separated by commas');
  return {
    faults: flags.faults === undefined ? undefined : faultsNamed(flags.faults),
    workers: parseWhole('--workers', flags.workers, 2, 64),
    steps: parseWhole('--steps', flags.steps, LEAST_STEPS, 100_000),
    seed: parseWhole('--seed', flags.seed, 0, 0xffff_ffff),
    rounds: parseWhole('--runs', flags.runs, 1, 1000),
    audit: parseNumber('--audit', flags.audit, 0, 1),
    tolerance: parseNumber('--tolerance', flags.tolerance, 0, 1),
  };
}

/** Every fault, and the quiet of the clean runs, as checks. */
function checksOf(report: FaultReport): Check[] {
  const faults = report.results
    .filter((result) => result['status'] !== 'not injected')
    .map((result): Check => {
      const passed = result.was_detected && !isUnrecovered(result);
      const end = isUnrecovered(result) ? '; training did not recover' : '';
      const { seconds } = result;
      return {
        name: `${result.fault_type}, seed ${result.seed ?? ''}`,
        passed,
        message: `${result.reason}${end}`,
        ...(typeof seconds === 'number' && { seconds }),
      };
    });
  const alarms = report.control?.false_alarms ?? [];
  return [
    ...faults,
    { name: 'clean runs', passed: alarms.length === 0, message: alarms.join('\n') || 'no alarm' },
  ];
}
