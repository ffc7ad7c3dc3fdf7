/** Annotations: lines that GitHub Actions shows beside the change that is tested. */
import { printableLines } from '../../base/printable.ts';
import type { Check } from './check.ts';

/** GitHub shows ten errors of a step and drops the others without a word. */
const MAX_ANNOTATIONS = 10;

/**
 * One `::error` line per failed check, each ended by a line feed; the last one counts those there
 * is no room for.
 *
 * They belong on stderr: GitHub reads both streams, and stdout may be a JSON document.
 */
export function githubAnnotations(title: string, checks: readonly Check[]): string {
  const failed = checks.filter(({ passed }) => !passed);
  const shown = failed.length > MAX_ANNOTATIONS ? failed.slice(0, MAX_ANNOTATIONS - 1) : failed;
  const lines = shown.map(({ name, message }) => line(`${title}: ${name}`, message));
  const others = failed.length - shown.length;
  if (others > 0) lines.push(line(title, `${others} other checks failed; all are in the report`));
  return lines.map((one) => `${one}\n`).join('');
}

function line(title: string, message: string): string {
  return `::error title=${escapeProperty(title)}::${escapeData(message)}`;
}

function escapeData(value: string): string {
  return printableLines(value).replaceAll('%', '%25').replaceAll('\n', '%0A');
}

function escapeProperty(value: string): string {
  return escapeData(value).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
