import { statSync } from 'node:fs';
import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import {
  baselinePath,
  checkBaselineName,
  listBaselines,
  readBaseline,
  writeBaseline,
} from '../../validate/compare/baseline-file.ts';
import { comparisonChecks, compareWithBaseline } from '../../validate/compare/compare-baseline.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { readMetrics, type RunMetrics } from '../../validate/compare/read-metrics.ts';
import { repeatRun } from '../../validate/compare/repeat-run.ts';
import { comparisonText } from '../texts/baseline-text.ts';
import { type CiFlags, checkCiFlags, emitChecks, withCiOptions } from '../shell/ci-output.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { withInterrupt } from '../shell/interrupt.ts';
import { parseNumber, parseWhole } from '../shell/arguments.ts';
import { Product } from '../shell/product.ts';
import { Terminal } from '../shell/terminal.ts';
import { jsonText, printJson } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
--metrics takes every file with numbers in it: results of \`lockstep run\` and of programs that
write the same, a summary.json of \`lockstep train\`, or a plain JSON object. Give it several times
for several runs of the same: then a change only counts when it is more than the noise between runs
(95 % confidence, for all metrics together). Instead of files, --runs measures now: so many times
\`lockstep run\`, with the flags after \`--\`.

Examples:
  lockstep baseline save --metrics multi.json --name stable_v1
  lockstep baseline save --name stable_v1 --runs 5 -- --workers 2 --steps 200`;

const COMPARE_HELP = `${HELP}

Of losses, times, latencies, memory and energy lower is better; of throughput, efficiency and
accuracy higher.
With one run on each side losses of \`lockstep run\` are judged exactly and throughput by
how much it varies within the runs; the rest is shown. With several all is judged.

Exit codes: 0 no regression, 1 regressions, 2 a baseline or a file that is missing or cannot be
used, or wrong flags.`;

const DEFAULT_FOLDER = '.minicluster/baselines';
const MOST_PERCENT = 1000;
const MOST_RUNS = 100;

interface BaselineFlags {
  readonly name: string;
  readonly metrics?: readonly string[];
  readonly runs?: string;
  readonly baselineDir: string;
}

interface CompareFlags extends BaselineFlags, CiFlags {
  readonly latencyThreshold: string;
  readonly throughputThreshold: string;
  readonly p99Threshold: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** `lockstep baseline`: keeps the metrics of accepted runs and compares others with them. */
export function baselineCommand(context: CommandContext): Command {
  const command = new Command('baseline').description(
    'keep metrics of accepted runs, and find regressions',
  );
  for (const one of [saveCommand(context), compareCommand(context), listCommand()])
    command.addCommand(one);
  return command;
}

function withBaselineOptions(command: Command): Command {
  return command
    .argument('[run-flags...]', 'after --: flags of `lockstep run`, with --runs')
    .option('--metrics <file...>', 'result of a run; several for several runs')
    .option('--runs <count>', 'measure so many runs now')
    .requiredOption('--name <name>', 'name of the baseline')
    .option('--baseline-dir <folder>', 'where baselines are kept', DEFAULT_FOLDER);
}

function saveCommand(context: CommandContext): Command {
  return withBaselineOptions(
    new Command('save').description('keep the metrics of runs as a baseline'),
  )
    .addHelpText('after', helpText(HELP))
    .action(async (runFlags: string[], flags: BaselineFlags) => {
      const { name, baselineDir } = flags;
      checkBaselineName(name);
      const path = baselinePath(baselineDir, name);
      checkWritable('--baseline-dir', path);
      const runs = await runsOf(context, flags, runFlags);
      if (runs === undefined) return context.setExitCode(EXIT.interrupted);
      const isThere = statSync(path, { throwIfNoEntry: false }) !== undefined;
      writeBaseline(baselineDir, name, runs);
      const product = new Product(context.environment, {});
      const count = runs.length === 1 ? '' : ` from ${runs.length} runs`;
      product.line(
        `${product.colours.green('✓')} Baseline '${name}' saved ` +
          `successfully${count}${isThere ? ', in place of an older one' : ''}`,
      );
    });
}

function compareCommand(context: CommandContext): Command {
  const command = new Command('compare').description('compare runs with a baseline');
  withBaselineOptions(command)
    .optionsGroup('Thresholds:')
    .option('--latency-threshold <percent>', 'how much worse times, losses and so on may be', '5.0')
    .option('--throughput-threshold <percent>', 'how much worse throughput and so on may be', '5.0')
    .option('--p99-threshold <percent>', 'how much worse 99th percentiles may be', '10.0')
    .optionsGroup('Output:')
    .option('--output <file>', 'write the report as JSON')
    .option('--json', 'print the report as one JSON document on stdout');
  return withCiOptions(command)
    .addHelpText('after', helpText(COMPARE_HELP))
    .action(async (runFlags: string[], flags: CompareFlags) => compare(context, flags, runFlags));
}

async function compare(
  context: CommandContext,
  flags: CompareFlags,
  runFlags: string[],
): Promise<void> {
  const { name, baselineDir, output } = flags;
  checkBaselineName(name);
  const thresholds = {
    latency: parseNumber('--latency-threshold', flags.latencyThreshold, 0, MOST_PERCENT),
    throughput: parseNumber('--throughput-threshold', flags.throughputThreshold, 0, MOST_PERCENT),
    p99: parseNumber('--p99-threshold', flags.p99Threshold, 0, MOST_PERCENT),
  };
  if (output !== undefined) checkWritable('--output', output);
  checkCiFlags(flags);
  const baseline = readBaseline(baselineDir, name);
  const runs = await runsOf(context, flags, runFlags);
  if (runs === undefined) return context.setExitCode(EXIT.interrupted);
  const report = compareWithBaseline(baseline, runs, thresholds);
  if (report.total_metrics === 0)
    throw new ConfigError(
      `comparing with baseline "${name}": it has no metric in common with ` +
        `${runs.map(({ path }) => path).join(', ')}; it has ${report.missing_metrics.join(', ')}`,
    );
  const text = jsonText(report);
  if (output !== undefined) writeOutput(output, text);
  const product = new Product(context.environment, flags);
  product.line(comparisonText(report, product.colours));
  if (output !== undefined) writeNote(`Report saved to: ${output}\n`);
  emitChecks('lockstep baseline compare', comparisonChecks(report), flags);
  if (flags.json === true) writeResult(text);
  context.setExitCode(report.has_regressions ? EXIT.failed : EXIT.ok);
}

/** Metrics from files, or measured now; undefined when the user interrupts that. */
async function runsOf(
  context: CommandContext,
  { metrics, runs }: BaselineFlags,
  runFlags: readonly string[],
): Promise<RunMetrics[] | undefined> {
  if ((metrics === undefined) === (runs === undefined))
    throw new ConfigError(
      '--metrics: expected the file of a run, or --runs and the flags of `lockstep run` after ' +
        '--; one of the two',
    );
  if (metrics !== undefined) {
    if (runFlags.length > 0)
      throw new ConfigError(`expected flags of a run only with --runs, got ${runFlags.join(' ')}`);
    return metrics.map(readMetrics);
  }
  const count = parseWhole('--runs', runs ?? '', 1, MOST_RUNS);
  const terminal = new Terminal(process.stderr, context.environment);
  return withInterrupt(terminal, (signal) =>
    repeatRun({
      self: context.self,
      count,
      flags: runFlags,
      onRun: (run) =>
        terminal.line(`run ${run} of ${count}: lockstep run ${runFlags.join(' ')}`.trimEnd()),
      signal,
    }),
  );
}

function listCommand(): Command {
  return new Command('list')
    .description('list the baselines that there are')
    .option('--baseline-dir <folder>', 'where baselines are kept', DEFAULT_FOLDER)
    .option('--json', 'print the names as one JSON document')
    .action(({ baselineDir, json }: { readonly baselineDir: string; readonly json?: boolean }) => {
      const names = listBaselines(baselineDir);
      if (json === true) printJson({ baselines: names });
      else if (names.length === 0) writeNote(`there is no baseline in ${baselineDir}\n`);
      else writeResult(names.map((name) => `${name}\n`).join(''));
    });
}
