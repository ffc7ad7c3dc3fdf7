/** The numbers of a run that a baseline holds, from any file that has some. */
import {
  type Document,
  isDocument,
  type KnownFile,
  parseWith,
  readKnownFile,
  StructureError,
  wrongKind,
} from '../results/read-result.ts';
import { CONDITIONS } from './metric-directions.ts';
import { resultSchema } from '../results/result.ts';
import { type WithinRun, withinRunOf } from './within-run.ts';

/** What was run: workers, steps, workload and so on, as far as a file says. */
export type Conditions = ReadonlyMap<string, number | string>;

/** The metrics of one run. */
export interface RunMetrics {
  readonly path: string;
  /** NaN where the file has one. */
  readonly metrics: ReadonlyMap<string, number>;
  readonly conditions: Conditions;
  /** What the run tells of its own noise; undefined when it tells nothing. */
  readonly within?: WithinRun | undefined;
}

/**
 * Reads the metrics of a run: of a canonical result, of the plain form, of a summary.json, or of
 * any JSON object with numbers in it; everything else in it is passed over.
 *
 * Throws: ConfigError when the file cannot be read, StructureError when it is of
 *         another kind or has no number.
 */
export function readMetrics(path: string): RunMetrics {
  const file = readKnownFile(path);
  const source = sourceOf(file);
  const metrics = new Map([...flatten(source)].filter(([name]) => !CONDITIONS.has(name)));
  if (metrics.size === 0)
    throw new StructureError(`reading ${path}: expected metrics, and there is no number in it`);
  return { path, metrics, conditions: conditionsOf(source), within: withinRunOf(innerOf(file)) };
}

/** The numbers in an object, those of objects in it by names with a dot. */
export function flatten(document: Document, prefix = ''): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const [key, value] of Object.entries(document)) {
    if (typeof value === 'number') numbers.set(`${prefix}${key}`, value);
    else if (isDocument(value))
      for (const [name, number] of flatten(value, `${prefix}${key}.`)) numbers.set(name, number);
  }
  return numbers;
}

/** The conditions that an object names. */
export function conditionsOf(document: Document): Conditions {
  const conditions = new Map<string, number | string>();
  for (const [key, value] of Object.entries(document))
    if (CONDITIONS.has(key) && (typeof value === 'number' || typeof value === 'string'))
      conditions.set(key, value);
  return conditions;
}

/** The part of a file in which its steps are. */
function innerOf({ document }: KnownFile): Document {
  const payload = document['tool_payload'];
  return isDocument(payload) ? payload : document;
}

/** The part of a file in which its metrics are. */
function sourceOf(file: KnownFile): Document {
  switch (file.kind) {
    case 'result':
      return ofResult(file);
    case 'training':
      return withoutSettings(file.document);
    case 'summary': {
      const { ledger: _, events: __, ...numbers } = file.document;
      return numbers;
    }
    case 'metrics':
      return file.document;
    case 'health':
    case 'fault-report':
    case 'baseline':
    case 'validation-report':
    case 'comparison-report':
      throw wrongKind(file, 'the result of a run, a summary.json, or metrics');
    default:
      return file.kind satisfies never;
  }
}

/** The payload knows some of the metrics under other names; what both have is taken once. */
function ofResult(file: KnownFile): Document {
  const { metrics, workload, tool_payload: payload } = parseWith(file, resultSchema);
  const { batch_size, steps } = workload;
  return { batch_size, steps, ...(isDocument(payload) && withoutSettings(payload)), ...metrics };
}

/** Gives a payload's own numbers and words; its arrays and objects hold steps and settings. */
export function withoutSettings(payload: Document): Document {
  return Object.fromEntries(
    Object.entries(payload).filter(([, value]) => typeof value !== 'object'),
  );
}
