/**
 * YAML text as settings with their places; everything wrong with the text itself becomes an issue.
 */
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { Document, ParsedNode, YAMLMap } from 'yaml';
import { messageOf } from '../base/errors.ts';
import { checkNodes, isNestedTooDeep, MAX_ALIASES, WITHOUT_ALIASES } from './yaml-checks.ts';
import type { NodeProblem } from './yaml-checks.ts';

/** A configuration file that somebody else has read. */
export interface ConfigSource {
  /** The name that messages give it, e.g. `config.yaml`. */
  readonly file: string;
  readonly text: string;
}

/** Where in a file something stands; lines and columns count from 1. */
export interface ConfigPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * One `key: value` of a mapping. `children` are the entries of a value that is itself a mapping.
 */
export interface YamlEntry {
  readonly key: string;
  readonly value: unknown;
  readonly children: readonly YamlEntry[] | undefined;
  readonly place: ConfigPlace;
}

/** Something wrong with the text at `place`. */
export interface YamlIssue {
  readonly place: ConfigPlace;
  readonly message: string;
}

/** Larger files are refused unread: a configuration is a page of text. */
export const MAX_CONFIG_BYTES = 65_536;

/**
 * The entries of the top mapping of a YAML file; none for an empty file.
 *
 * Refused, as issues: more than MAX_CONFIG_BYTES, syntax errors, duplicate keys, several documents,
 * a document that is no mapping, unknown tags, values that contain themselves, stand far too deep in
 * one another, or are blown up by aliases.
 */
export function readYaml(source: ConfigSource): {
  entries: readonly YamlEntry[];
  issues: readonly YamlIssue[];
} {
  const { file, text } = source;
  const start: ConfigPlace = { file, line: 1, column: 1 };
  const refuse = (message: string) => ({ entries: [], issues: [{ place: start, message }] });
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_CONFIG_BYTES)
    return refuse(`expected a configuration of at most ${MAX_CONFIG_BYTES} bytes, got ${bytes}`);

  if (isNestedTooDeep(text))
    return refuse('expected a mapping of settings, got one thing in another far too often');
  const lines = new LineCounter();
  let document: Document.Parsed;
  let found: NodeProblem[];
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
    found = checkNodes(document);
  } catch (error) {
    return refuse(`cannot be read as YAML: ${messageOf(error)}`);
  }
  const placeAt = (offset: number): ConfigPlace => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems = [
    ...[...document.errors, ...document.warnings].map(({ pos, message }) => ({
      offset: pos[0],
      message: firstLine(message),
    })),
    ...found,
  ];
  if (problems.length > 0)
    return {
      entries: [],
      issues: problems.map(({ offset, message }) => ({ place: placeAt(offset), message })),
    };
  const top = document.contents;
  if (top === null || (isScalar(top) && top.value === null)) return { entries: [], issues: [] };
  if (!isMap(top))
    return refuse(`expected a mapping of settings (\`key: value\` lines), got ${kindOf(top)}`);
  return readMapping(top, document, placeAt);
}

function readMapping(
  mapping: YAMLMap.Parsed,
  document: Document.Parsed,
  placeAt: (offset: number) => ConfigPlace,
): { entries: YamlEntry[]; issues: YamlIssue[] } {
  const entries: YamlEntry[] = [];
  const issues: YamlIssue[] = [];
  for (const pair of mapping.items) {
    const place = placeAt(pair.key.range[0]);
    if (!isScalar(pair.key) || typeof pair.key.value !== 'string') {
      issues.push({ place, message: 'expected a word as key' });
      continue;
    }
    const key = pair.key.value;
    try {
      const value: unknown = pair.value?.toJS(document, { maxAliasCount: MAX_ALIASES }) ?? null;
      const nested = isMap(pair.value) ? readMapping(pair.value, document, placeAt) : undefined;
      issues.push(...(nested?.issues ?? []));
      entries.push({ key, value, children: nested?.entries, place });
    } catch (error) {
      const isBomb = error instanceof ReferenceError && error.message.includes('alias count');
      const blownUp = `its aliases blow it up more than ${MAX_ALIASES} times. ${WITHOUT_ALIASES}`;
      issues.push({ place, message: `${key}: ${isBomb ? blownUp : messageOf(error)}` });
    }
  }
  return { entries, issues };
}

function kindOf(node: ParsedNode): string {
  if (isScalar(node)) return 'a single value';
  return 'a list';
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
