/**
 * The only place that writes to the terminal. Whatever stands in a text, the terminal gets lines,
 * letters and our own colours; so does a CI system that reads along.
 */
import { printable, printableLines } from '../../base/printable.ts';

/** The colours that texts of ours have, as picocolors writes them. */
// oxlint-disable-next-line no-control-regex
const OUR_COLOURS = /(\u001b\[(?:[0-4]|22|2[34]|3[0-79]|90)m)/u;

/** A line of a log is no longer than that. */
const MAX_LOG_LINE = 8_000;

/** A text in which nothing but colours is for the terminal itself. */
export function paintedText(text: string): string {
  // Between the colours that the pattern has taken out stand the texts, at every even place.
  return text
    .split(OUR_COLOURS)
    .map((part, index) => (index % 2 === 0 ? printableLines(part) : part))
    .join('');
}

/** Writes a result to stdout, where only results go. */
export function writeResult(text: string): void {
  process.stdout.write(paintedText(text));
}

/** Writes what a person wants to know to stderr. */
export function writeNote(text: string): void {
  process.stderr.write(paintedText(text));
}

/** Writes a line of a log to stderr, with the time. */
export function logLine(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${printable(line, MAX_LOG_LINE)}\n`);
}
