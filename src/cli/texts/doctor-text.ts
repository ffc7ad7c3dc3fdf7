import type { Finding } from '../../doctor/checks/finding.ts';
import type { Examination } from '../../doctor/examination.ts';
import type { Colours } from '../shell/terminal.ts';

/** What was found, host by host: one line each, and of what is wrong also cause and remedy. */
export function doctorText({ hosts, findings }: Examination, colours: Colours): string {
  const names = [...hosts.map(({ name }) => name), undefined];
  const groups = names.flatMap((name) => {
    const own = findings.filter(({ host }) => host === name);
    if (own.length === 0) return [];
    return [`${name ?? 'links'}\n${own.map((one) => findingText(one, colours)).join('')}`];
  });
  return `${groups.join('\n')}\n${verdictText(findings)}\n`;
}

function findingText(finding: Finding, colours: Colours): string {
  if (finding.severity === 'ok') return `  ${colours.green('ok')}       ${finding.what}\n`;
  const { severity, id, what, cause, remedy } = finding;
  const paint = severity === 'error' ? colours.red : colours.yellow;
  return [
    `  ${paint(severity)}${' '.repeat(9 - severity.length)}${what}  [${id}]\n`,
    `           why: ${cause}\n`,
    `           fix: ${colours.bold(remedy)}\n`,
  ].join('');
}

function verdictText(findings: readonly Finding[]): string {
  const countOf = (severity: Finding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [errors, warnings] = [countOf('error'), countOf('warning')];
  if (errors + warnings === 0) return 'All is well.';
  const parts = [counted(errors, 'error'), counted(warnings, 'warning')];
  return `${parts.join(', ')}. docs/troubleshooting.md says more, by the names in brackets.`;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}
