/** Files of the suite, by whatever program written: recognised, checked, read. */
import type * as z from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { readJson } from './read-json.ts';
import {
  type Result,
  resultSchema,
  type TrainingPayload,
  trainingPayloadSchema,
} from './result.ts';
import { describeValue, problemsOf, problemText } from './schema-problems.ts';

/** The kinds of files that can be told apart, with what a person calls them. */
export const FILE_KINDS = {
  result: 'a canonical result',
  training: 'a training run in the plain form',
  health: 'a health file',
  'fault-report': 'a fault report',
  baseline: 'a baseline',
  summary: 'a summary.json of lockstep train',
  'validation-report': 'a report of lockstep validate',
  'comparison-report': 'a report of lockstep baseline compare',
  metrics: 'plain metrics',
} as const;
/** The kind of a file of the suite. */
export type FileKind = keyof typeof FILE_KINDS;

/** A JSON object. */
export type Document = Readonly<Record<string, unknown>>;

/** A file that is JSON, of a known kind; its fields are not checked yet. */
export interface KnownFile {
  readonly path: string;
  readonly kind: FileKind;
  readonly document: Document;
}

/** The result of a training run. */
export interface RunFile {
  readonly path: string;
  /** Absent in the plain form. */
  readonly result?: Result;
  readonly payload: TrainingPayload;
}

/**
 * A file that is JSON, but not what was asked for. Exit code 2, or 1 where structure is compared.
 */
export class StructureError extends ConfigError {}

/**
 * Reads a file that holds a JSON object, and tells its kind.
 *
 * Throws: ConfigError; StructureError for a version that cannot be read.
 */
export function readKnownFile(path: string): KnownFile {
  const value = readJson(path);
  if (!isDocument(value))
    throw new StructureError(
      `reading ${path}: expected a JSON object, got ${describeValue(value)}`,
    );
  const kind = kindOf(value);
  if (kind === 'result') checkVersion(path, value);
  return { path, kind, document: value };
}

/**
 * The result of a training run, canonical or plain, with every field checked. Throws ConfigError.
 */
export function readResultFile(path: string): RunFile {
  const file = readKnownFile(path);
  if (file.kind === 'training') return { path, payload: parseWith(file, trainingPayloadSchema) };
  if (file.kind !== 'result')
    throw wrongKind(file, 'the result of a run, as `lockstep run --output` writes it');
  const result = parseWith(file, resultSchema);
  const payload = checked(path, trainingPayloadSchema, result.tool_payload, 'tool_payload');
  return { path, result, payload };
}

/** A result without steps: of an inference, or of a program that writes its figures only. */
export interface FigureFile {
  readonly path: string;
  readonly result: Result;
}

/** A result, with its steps if it tells of any. Throws ConfigError. */
export function readFigures(path: string): RunFile | FigureFile {
  const file = readKnownFile(path);
  const payload = file.document['tool_payload'];
  const hasSteps = isDocument(payload) && Object.hasOwn(payload, 'steps');
  if (file.kind !== 'result' || hasSteps) return readResultFile(path);
  return { path, result: parseWith(file, resultSchema) };
}

/**
 * The document as its schema has it. Throws StructureError, which lists what is wrong; `prefix` is
 * the document's own path.
 */
export function parseWith<T>({ path, document }: KnownFile, schema: z.ZodType<T>, prefix = ''): T {
  return checked(path, schema, document, prefix);
}

/** An error that says what a file is and what was expected of it. */
export function wrongKind({ path, kind }: KnownFile, expected: string): StructureError {
  return new StructureError(`reading ${path}: expected ${expected}, got ${FILE_KINDS[kind]}`);
}

/** Whether a value is a JSON object. */
export function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** So many problems fit an error message; `lockstep report check` lists all. */
const SHOWN_PROBLEMS = 3;

function checked<T>(path: string, schema: z.ZodType<T>, value: unknown, prefix = ''): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = problemsOf(schema, value, prefix);
  const shown = problems.slice(0, SHOWN_PROBLEMS).map(problemText).join('; ');
  const more = problems.length > SHOWN_PROBLEMS ? `; and more: lockstep report check ${path}` : '';
  throw new StructureError(`reading ${path}: ${shown}${more}`);
}

/** Told by keys that others do not have. */
function kindOf(document: Document): FileKind {
  const has = (...keys: string[]): boolean => keys.every((key) => Object.hasOwn(document, key));
  if (has('tool_name') || has('schema_version') || has('platform', 'workload')) return 'result';
  if (has('step_comparisons')) return 'validation-report';
  if (has('comparisons', 'has_regressions')) return 'comparison-report';
  if (has('is_complete') || has('run_id', 'workers')) return 'health';
  if (has('num_faults')) return 'fault-report';
  if (has('name', 'timestamp', 'metrics')) return 'baseline';
  if (has('status', 'timeSplit') || has('status', 'ledger')) return 'summary';
  if (has('steps') && typeof document['steps'] === 'object') return 'training';
  return 'metrics';
}

/** Refuses versions that cannot be read: those with the same first number share their old keys. */
function checkVersion(path: string, { schema_version: version = '1.0.0' }: Document): void {
  if (typeof version === 'string' && /^1\.\d+\.\d+$/.test(version)) return;
  throw new StructureError(
    `reading ${path}: expected schema_version 1.0.0 or 1.1.0, got ${describeValue(version)}. ` +
      'Write it in version 1.1.0',
  );
}
