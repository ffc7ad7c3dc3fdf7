/** The form of a file without its values: which keys it has, and of which type each is. */
import { parse } from 'yaml';

/**
 * The keys of a JSON, JSONL or YAML file with their types, one a line, sorted; undefined for other
 * files. Elements of an array are `[]`, whatever their number; lines of JSONL are told apart by
 * their `kind`.
 */
export function keyPathsOf(name: string, text: string): string[] | undefined {
  const paths = new Map<string, Set<string>>();
  if (name.endsWith('.json')) addPaths(paths, '', JSON.parse(text));
  else if (name.endsWith('.jsonl')) addLines(paths, text);
  else if (name.endsWith('.yaml')) addYaml(paths, text);
  else return undefined;
  return [...paths].map(([path, types]) => `${path}: ${[...types].sort().join(' or ')}`).sort();
}

/**
 * Events that tell of a disturbance, which a busy machine may be: whether there are any says
 * nothing about the form of the file.
 */
const DISTURBANCES = new Set([
  'clock-jumped',
  'micro-batches-reissued',
  'run-waiting',
  'worker-given-up',
  'worker-lost',
  'worker-restarting',
  'worker-slow',
  'rebalanced',
  'collective-chosen',
  'gradient-late',
  'staleness-bound',
  'exchange-bound',
  'workers-left-out',
  'workers-taken-back',
  'worker-overtaken',
  'worker-stalled',
]);

/** What is measured on some machines only, or by workers that were quick enough; else null. */
const OF_THE_MACHINE =
  /power|watt|joules|temperature|(?:forward|backward|data_loading|optimizer)_time/;

/** What a worker tells of only if it had a part in the evaluation. */
const BY_CHANCE = /\.parts\.forwardMs$/;

function addPaths(paths: Map<string, Set<string>>, path: string, value: unknown): void {
  if (BY_CHANCE.test(path)) return;
  if (OF_THE_MACHINE.test(path)) return addType(paths, path, 'depends on the machine');
  if (Array.isArray(value)) {
    addType(paths, path || '(all)', 'array');
    for (const item of value) addPaths(paths, `${path}[]`, item);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value))
      addPaths(paths, path === '' ? key : `${path}.${key}`, child);
  } else addType(paths, path || '(all)', value === null ? 'null' : typeof value);
}

function addType(paths: Map<string, Set<string>>, path: string, type: string): void {
  paths.set(path, (paths.get(path) ?? new Set()).add(type));
}

function addLines(paths: Map<string, Set<string>>, text: string): void {
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const event = JSON.parse(line) as { kind?: string };
    if (DISTURBANCES.has(event.kind ?? '')) continue;
    addPaths(paths, event.kind ?? '', event);
  }
}

/** Settings without a value stand as comments: `# steps:`. */
function addYaml(paths: Map<string, Set<string>>, text: string): void {
  addPaths(paths, '', parse(text));
  for (const [, key] of text.matchAll(/^# (\w+):$/gm)) addType(paths, key ?? '', 'none');
}
