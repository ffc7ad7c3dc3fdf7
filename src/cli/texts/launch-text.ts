/** What a launch shows: hosts with what is wrong and how to mend it, and sessions. */
import { hasErrors } from '../../doctor/checks/finding.ts';
import type { MachineFacts } from '../../doctor/checks/machine-facts.ts';
import type { HostReport } from '../../doctor/inspect-hosts.ts';
import type { SessionStatus } from '../../remote/running-cluster.ts';
import { bytes, type Colours } from '../shell/terminal.ts';

const HOST_HEADING = ['host', 'Node.js', 'package', 'tmux', 'disk', 'clock', ''];
const SESSION_HEADING = ['session', 'rank', 'host', 'state', 'last line of its log'];
const MAX_LOG = 90;
/** A clock that is off by less is shown as the same. */
const LEAST_SHOWN_MS = 1_000;

/** A table of all hosts, and below it each problem with its remedy. */
export function hostsText(
  reports: readonly HostReport[],
  packageName: string,
  colours: Colours,
): string {
  const rows = reports.map((report) => hostRow(report, packageName));
  const problems = reports.flatMap(({ host, facts, problems: found }) =>
    found.flatMap(({ severity, what, cause, remedy }) => [
      // That it is not reached stands in the table.
      `${severity === 'error' ? colours.red('x') : colours.yellow('!')} ${host.name}: ` +
        (facts === undefined ? cause : what),
      colours.dim(`    ${remedy}`),
    ]),
  );
  return [...table([HOST_HEADING, ...rows], colours), ...problems].join('\n');
}

/** A table of all sessions. */
export function sessionsText(all: readonly SessionStatus[], colours: Colours): string {
  const rows = all.map(({ session: { name, rank, host }, state, exitCode, lastLine }) => [
    name,
    rank === undefined ? '-' : String(rank),
    host.name,
    exitCode === undefined ? state : `${state} (${exitCode})`,
    lastLine.slice(0, MAX_LOG),
  ]);
  return table([SESSION_HEADING, ...rows], colours).join('\n');
}

function hostRow(
  { host, facts, packages, problems }: HostReport,
  packageName: string,
): readonly string[] {
  if (facts === undefined) return [host.name, '-', '-', '-', '-', '-', 'not reached'];
  const { node, programs, places = [], clock } = facts;
  const freeBytes = places.find(({ purpose }) => purpose === 'runs')?.freeBytes;
  const others = packages.length > 0 ? 'another build' : 'missing';
  return [
    host.name,
    node?.version ?? '-',
    packages.includes(packageName) ? 'there' : others,
    programs?.tmux === true ? 'there' : '-',
    freeBytes === undefined ? '-' : bytes(freeBytes),
    clockText(clock),
    hasErrors(problems) ? 'cannot take part' : 'ready',
  ];
}

function clockText(clock: MachineFacts['clock']): string {
  if (clock === undefined) return '-';
  const isOff = Math.abs(clock.aheadMs) - clock.uncertainMs >= LEAST_SHOWN_MS;
  return isOff ? `${Math.round(clock.aheadMs / 1000)} s` : 'same';
}

/** Lines of columns that stand below each other; the first line is dim. */
function table(rows: readonly (readonly string[])[], { dim }: Colours): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.map((line, i) => (i === 0 ? dim(line) : line));
}
