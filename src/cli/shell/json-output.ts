import { printableJson } from '../../base/printable.ts';
import { writeResult } from './output.ts';

/** Gives a document as all commands write it: indented, with a line end. */
export function jsonText(document: object): string {
  return printableJson(`${JSON.stringify(document, null, 2)}\n`);
}

/** Prints a document on stdout, where only results go. */
export function printJson(document: object): void {
  writeResult(jsonText(document));
}
