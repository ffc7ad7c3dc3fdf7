import {
  percentText,
  type StepComparison,
  type ValidationReport,
} from '../../validate/compare/compare-runs.ts';
import { LOOKS_LIKE } from '../../validate/compare/diagnose.ts';
import type { Colours } from '../shell/terminal.ts';

const DOUBLE_LINE = '='.repeat(80);
const LINE = '-'.repeat(80);
/** Without `--verbose`. */
const SHOWN_FAILURES = 10;

/** A validation report as a person reads it, in MiniCluster's layout. */
export function validationText(
  report: ValidationReport,
  colours: Colours,
  isVerbose: boolean,
): string {
  const { bold, green, red } = colours;
  const mark = report.overall_passed ? green(`✓ ${report.summary}`) : red(`✗ ${report.summary}`);
  const lines = [
    DOUBLE_LINE,
    bold('CORRECTNESS VALIDATION REPORT'),
    DOUBLE_LINE,
    `Single-process run: ${report.single_run_path}`,
    `Multi-process run:  ${report.multi_run_path}`,
    'Tolerance:          ' + (report.exact ? 'none, bit for bit' : percentText(report.tolerance)),
    `Steps compared:     ${report.num_steps_compared}`,
    `  Passed:           ${report.num_steps_passed}`,
    `  Failed:           ${report.num_steps_failed}`,
    `Final states:       ${digestText(report.digests_equal)}`,
    ...stepLines(report, isVerbose),
    '',
    LINE,
    `RESULT: ${mark}`,
    ...diagnosisLines(report),
    LINE,
    '',
    DOUBLE_LINE,
  ];
  return lines.join('\n');
}

function digestText(areEqual: boolean | null): string {
  if (areEqual === null) return 'not compared, no digest in the files';
  return areEqual ? 'the same digest' : 'different digests';
}

function stepLines({ step_comparisons: steps }: ValidationReport, isVerbose: boolean): string[] {
  const failed = steps.filter(({ passed }) => !passed);
  const shown = isVerbose ? steps : failed.slice(0, SHOWN_FAILURES);
  if (shown.length === 0) return [];
  const left = isVerbose ? 0 : failed.length - shown.length;
  return [
    '',
    isVerbose ? 'Steps:' : 'Failed steps:',
    ...shown.map(stepLine),
    ...(left > 0 ? [`  and ${left} more; --verbose shows all`] : []),
  ];
}

function stepLine({
  step,
  single_loss,
  multi_loss,
  delta_percent,
  passed,
  bits_equal,
}: StepComparison): string {
  const [one, other] = [single_loss, multi_loss].map((loss) =>
    loss === null ? 'not finite' : loss.toFixed(8),
  );
  const apart =
    delta_percent === null ? '' : ` (${delta_percent === 0 ? '0' : delta_percent.toPrecision(3)}%)`;
  const bits = bits_equal === false && delta_percent === 0 ? ' other bits' : '';
  return `  ${passed ? '✓' : '✗'} step ${step}: ${one} and ${other}${apart}${bits}`;
}

function diagnosisLines({ diagnosis }: ValidationReport): string[] {
  if (diagnosis === undefined) return [];
  const { looks_like, first_diverging_step: first, evidence, alternatives } = diagnosis;
  return [
    '',
    ...(first === null ? [] : [`First diverging step: ${first}`]),
    `It looks like ${looks_like}.`,
    ...evidence.map((line) => `  - ${line}`),
    ...alternatives.map((cause) => `  It could also be ${LOOKS_LIKE[cause]}.`),
  ];
}
