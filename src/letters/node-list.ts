/** The file compute_nodes.txt: `host,port` per line. */
import { ConfigError, type ConfigIssue } from '../base/errors.ts';
import type { Address } from '../transport/tcp.ts';

/** More lines are taken for another kind of file. */
const MAX_NODES = 10_000;
const HOST = /^[A-Za-z0-9_.:%[\]-]{1,253}$/;

/**
 * The nodes of the list, each once, in order. Blank lines and those that begin with # are passed
 * over; a third column, the load probability that some versions of the seed system have there, is
 * checked and left to the node.
 *
 * Throws: ConfigError naming every line that cannot be used.
 */
export function parseNodeList(text: string, file: string): Address[] {
  const nodes = new Map<string, Address>();
  const issues: ConfigIssue[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const node = parseLine(trimmed);
    if (node === undefined)
      issues.push({ path: `line ${index + 1}`, expected: 'host,port', got: trimmed.slice(0, 80) });
    else nodes.set(nodeName(node), node);
  }
  if (nodes.size > MAX_NODES)
    issues.push({ path: 'lines', expected: `at most ${MAX_NODES}`, got: `${nodes.size}` });
  if (issues.length === 0) return [...nodes.values()];
  const words = issues.map(
    ({ path, expected, got }) => `${path}: expected ${expected}, got "${got}"`,
  );
  throw new ConfigError(`${file}: ${words.join('; ')}. Example: localhost,9091`, issues);
}

/** A node in messages, and its key. */
export function nodeName({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseLine(line: string): Address | undefined {
  const [host = '', port = '', load = '0', ...rest] = line.split(',').map((cell) => cell.trim());
  const number = Number(port);
  const isPort = /^\d{1,5}$/.test(port) && number >= 1 && number <= 65_535;
  const probability = Number(load);
  const isLoad = load !== '' && probability >= 0 && probability <= 1;
  return HOST.test(host) && isPort && isLoad && rest.length === 0
    ? { host, port: number }
    : undefined;
}
