import { Command } from 'commander';
import { ConfigError } from '../../base/errors.ts';
import type { Check } from '../../validate/compare/check.ts';
import {
  compareRuns,
  type StepComparison,
  type ValidationReport,
} from '../../validate/compare/compare-runs.ts';
import { type LossCurve, readLossCurve } from '../../validate/compare/loss-curve.ts';
import { checkWritable, writeOutput } from '../../validate/results/output-file.ts';
import { StructureError } from '../../validate/results/read-result.ts';
import { type CiFlags, checkCiFlags, emitChecks, withCiOptions } from '../shell/ci-output.ts';
import { EXIT } from '../shell/exit-codes.ts';
import { parseNumber } from '../shell/arguments.ts';
import { Product } from '../shell/product.ts';

import { jsonText } from '../shell/json-output.ts';
import type { CommandContext } from '../shell/command-context.ts';
import { validationText } from '../texts/validation-text.ts';
import { writeNote, writeResult } from '../shell/output.ts';
import { helpText } from '../shell/help.ts';

const HELP = `
Compares the losses of two runs step by step. Both files are results of \`lockstep run\`, or of any
other program that writes them so (docs/validate-your-own-training.md). When the runs differ it says
what the difference looks like.

--exact asks for the same bits: of every loss, and of the final weights and optimizer state by their
digests.

Example:
  lockstep run --workers 1 --output single.json
  lockstep run --workers 2 --output multi.json
  lockstep validate single.json multi.json --exact

Exit codes: 0 the same, 1 not the same, or not the same steps, 2 a file that cannot be used, or wrong
flags.`;

interface ValidateFlags extends CiFlags {
  readonly tolerance?: string;
  readonly exact?: boolean;
  readonly output?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

const DEFAULT_TOLERANCE = '0.01';

/** `lockstep validate`: whether a run on many workers is the run on one. */
export function validateCommand(context: CommandContext): Command {
  const command = new Command('validate')
    .description('compare a run on many workers with the run on one, step by step')
    .argument('<single>', 'result of the run on one worker')
    .argument('<multi>', 'result of the run on many')
    .option(
      '--tolerance <fraction>',
      `how far losses may be apart, as a part of the single run's (default: ${DEFAULT_TOLERANCE})`,
    )
    .option('--exact', 'the same bits of every loss and of the final state; tolerance 0')
    .option('--output <file>', 'write the report as JSON')
    .option('--verbose', 'show every step')
    .option('--json', 'print the report as one JSON document on stdout');
  return withCiOptions(command)
    .addHelpText('after', helpText(HELP))
    .action((single: string, multi: string, flags: ValidateFlags) =>
      validate(context, single, multi, flags),
    );
}

function validate(
  context: CommandContext,
  single: string,
  multi: string,
  flags: ValidateFlags,
): void {
  const tolerance = parseTolerance(flags);
  if (flags.output !== undefined) checkWritable('--output', flags.output);
  checkCiFlags(flags);
  const runs = [readLossCurve(single), readLossCurve(multi)] as const;
  const report = compare(...runs, { tolerance, isExact: flags.exact === true });
  if (report === undefined) return context.setExitCode(EXIT.failed);
  const text = jsonText(report);
  if (flags.output !== undefined) writeOutput(flags.output, text);
  const product = new Product(context.environment, flags);
  product.line(validationText(report, product.colours, flags.verbose === true));
  if (flags.output !== undefined) writeNote(`Report saved to: ${flags.output}\n`);
  const overall = overallCheck(report);
  emitChecks('lockstep validate', [...report.step_comparisons.map(stepCheck), overall], flags, [
    overall,
  ]);
  if (flags.json === true) writeResult(text);
  context.setExitCode(report.overall_passed ? EXIT.ok : EXIT.failed);
}

/** Runs that cannot be compared failed the comparison: undefined when that was told. */
function compare(
  single: LossCurve,
  multi: LossCurve,
  demand: { readonly tolerance: number; readonly isExact: boolean },
): ValidationReport | undefined {
  try {
    return compareRuns(single, multi, demand);
  } catch (error) {
    if (!(error instanceof StructureError)) throw error;
    writeNote(`error: ${error.message}\n`);
    return undefined;
  }
}

function parseTolerance({ tolerance, exact }: ValidateFlags): number {
  const value = Number(tolerance);
  if (value > 1 && value <= 100)
    throw new ConfigError(
      `--tolerance: expected a fraction from 0 to 1, got "${tolerance}". For ${value} % write ` +
        `${value / 100}`,
    );
  if (exact !== true) return parseNumber('--tolerance', tolerance ?? DEFAULT_TOLERANCE, 0, 1);
  if (tolerance === undefined || value === 0) return 0;
  throw new ConfigError(`--tolerance: expected none, or 0, with --exact, got "${tolerance}"`);
}

function stepCheck(step: StepComparison): Check {
  const { single_loss: one, multi_loss: other, delta_percent: percent, tolerance } = step;
  const apart = percent === null ? 'not comparable' : `${percent}% apart`;
  const bits = step.bits_equal === false ? '; the bits differ' : '';
  return {
    name: `step ${step.step}`,
    passed: step.passed,
    message: `losses ${one} and ${other}, ${apart}, tolerance ${tolerance * 100}%${bits}`,
  };
}

/** The whole comparison, with what a failure looks like. */
function overallCheck({ overall_passed: passed, summary, diagnosis }: ValidationReport): Check {
  const lines =
    diagnosis === undefined ? [] : [`looks like ${diagnosis.looks_like}`, ...diagnosis.evidence];
  return { name: 'all steps', passed, message: [summary, ...lines].join('\n') };
}
