/**
 * The address of a built file beside `importer`, to start a thread from. Threads of Node.js 20
 * cannot run TypeScript: from source (tests, benchmarks) they run what the last build made of it.
 */
export function siblingModule(importer: string, name: string): URL {
  const isSource = importer.endsWith('.ts');
  const beside = isSource ? importer.replace(/\/src\/(?!.*\/src\/)(.+)$/, '/dist/$1') : importer;
  return new URL(`./${name}.js`, beside);
}
