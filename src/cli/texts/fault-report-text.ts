import { isUnrecovered } from '../../validate/drills/fault-test.ts';
import { NO_WORKER } from '../../validate/drills/fault-verdict.ts';
import type { FaultReport, FaultResult } from '../../validate/results/result.ts';
import type { Colours } from '../shell/terminal.ts';

const WIDE = '='.repeat(80);
const THIN = '-'.repeat(80);

/** The report as people read it, in the form of MiniCluster's. */
export function faultReportText(report: FaultReport, colours: Colours): string {
  const {
    num_faults: faults,
    num_detected: detected,
    num_missed: missed,
    results,
    summary,
  } = report;
  const rate = faults === 0 ? 'none tested' : `${((100 * detected) / faults).toFixed(1)}%`;
  const alarms = report.control?.false_alarms ?? [];
  return [
    '',
    WIDE,
    'FAULT INJECTION TEST REPORT',
    WIDE,
    `Total faults tested:  ${faults}`,
    `Faults detected:      ${detected}`,
    `Faults missed:        ${missed}`,
    `Detection rate:       ${rate}`,
    `False alarms:         ${alarms.length} in ${controlCount(report)} clean runs`,
    ...alarms.map((alarm) => `  ${colours.red(alarm)}`),
    '',
    THIN,
    'Fault Detection Results:',
    '',
    ...results.flatMap((result) => [...resultLines(result, colours), '']),
    THIN,
    `SUMMARY: ${summary}`,
    WIDE,
  ].join('\n');
}

function controlCount({ controls }: FaultReport): number {
  return Array.isArray(controls) ? controls.length : 0;
}

/** One fault on several lines. */
function resultLines(result: FaultResult, colours: Colours): string[] {
  const name = result.fault_type.toUpperCase();
  if (result['status'] === 'not injected')
    return [`${name}: - NOT INJECTED`, `  Reason: ${result.reason}`];
  return [
    `${name}: ${result.was_detected ? colours.green('✓ DETECTED') : colours.red('✗ MISSED')}`,
    `  Affected rank: ${rankText(result.affected_rank)}`,
    ...(result.was_detected ? [] : [`  Named rank: ${rankText(result.named_rank)}`]),
    `  Reason: ${result.reason}`,
    ...whenLine(result),
    `  Training: ${isUnrecovered(result) ? colours.red(endText(result)) : endText(result)}`,
  ];
}

/** One fault on one line, as it is told while the test goes on. */
export function resultLine(result: FaultResult, colours: Colours): string {
  const { fault_type: name, reason, was_detected: isDetected } = result;
  if (result['status'] === 'not injected') return `- ${name}: ${reason}`;
  const mark = isDetected && !isUnrecovered(result) ? colours.green('✓') : colours.red('✗');
  const who = isDetected ? `rank ${rankText(result.affected_rank)}: ` : 'missed: ';
  const end = isUnrecovered(result) ? `; ${endText(result)}` : '';
  return `${mark} ${name}  ${who}${reason}${end}`;
}

function rankText(rank: number | null | undefined): string {
  if (rank === null || rank === undefined) return 'none';
  return rank === NO_WORKER ? 'none (coordinator)' : String(rank);
}

function whenLine(result: FaultResult): string[] {
  const { injection_step: injected, detected_step: detected, detection_latency_ms: ms } = result;
  if (typeof injected !== 'number') return [];
  const seen =
    typeof detected === 'number'
      ? `, detected at step ${detected} after ${Math.round(ms ?? 0)} ms`
      : '';
  return [`  Injected at step ${injected}${seen}`];
}

function endText({ recovered, digest_equal: isEqual }: FaultResult): string {
  if (recovered === true && isEqual === true) return 'recovered, the same model as the clean run';
  if (recovered === true)
    return 'recovered, another model than the clean run, within the tolerance';
  return isEqual === false ? 'went on to another model than the clean run' : 'was not finished';
}
