/** Gives a document as all commands write it: indented, with a line end. */
export function jsonText(document: object): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Prints a document on stdout, where only results go. */
export function printJson(document: object): void {
  process.stdout.write(jsonText(document));
}
