/**
 * The address of a file beside `importer`, with the extension that this file has: `.ts` when run from source,
 * `.js` when built. Threads are started from such addresses.
 */
export function siblingModule(importer: string, name: string): URL {
  return new URL(`./${name}${importer.endsWith('.ts') ? '.ts' : '.js'}`, importer);
}
