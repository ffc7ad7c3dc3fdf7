/** What is wrong with a document, in words, with the path of every field. */
import type * as z from 'zod';

/** One thing that is wrong, maybe in many elements of an array. */
export interface Problem {
  /**
   * As `tool_payload.steps[3].loss`; empty for the document itself. Of several fields the first.
   */
  readonly path: string;
  /** What was expected, and what is there. */
  readonly message: string;
  /** Fields with this problem. */
  readonly count: number;
}

/**
 * All problems of `value` against a schema, equal ones of an array's elements as one; `prefix` is
 * the value's own path.
 */
export function problemsOf(schema: z.ZodType, value: unknown, prefix = ''): Problem[] {
  const parsed = schema.safeParse(value);
  if (parsed.success) return [];
  const found = new Map<string, Problem>();
  for (const issue of parsed.error.issues) {
    const message = messageFor(issue, valueAt(value, issue.path));
    const key = JSON.stringify([
      issue.path.map((part) => (typeof part === 'number' ? '*' : part)),
      message,
    ]);
    const known = found.get(key);
    found.set(key, {
      path: known?.path ?? pathText(issue.path, prefix),
      message,
      count: (known?.count ?? 0) + 1,
    });
  }
  return [...found.values()];
}

/** A problem as a line: `steps[3].loss: expected a number, got "high" (and 4 more such fields)`. */
export function problemText({ path, message, count }: Problem): string {
  const others = count > 1 ? ` (and ${count - 1} more such field${count > 2 ? 's' : ''})` : '';
  return `${path === '' ? '' : `${path}: `}${message}${others}`;
}

/** A value as a person would name it; long ones are cut. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'number') return String(value);
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}...` : text;
}

function messageFor(issue: z.core.$ZodIssue, got: unknown): string {
  if (issue.code === 'invalid_type' && got === undefined)
    return `is missing; expected ${withArticle(issue.expected)}`;
  const expected =
    issue.code === 'invalid_type'
      ? withArticle(issue.expected)
      : issue.code === 'invalid_value'
        ? issue.values.map((one) => JSON.stringify(one)).join(' or ')
        : undefined;
  if (expected === undefined) return `${issue.message}, got ${describeValue(got)}`;
  return `expected ${expected}, got ${describeValue(got)}`;
}

function withArticle(type: string): string {
  if (type === 'int') return 'a whole number';
  if (type === 'record') return 'an object';
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (parent, key) =>
      typeof parent === 'object' && parent !== null && Object.hasOwn(parent, key)
        ? (parent as Record<PropertyKey, unknown>)[key]
        : undefined,
    value,
  );
}

function pathText(path: readonly PropertyKey[], prefix: string): string {
  return path.reduce<string>(
    (text, key) =>
      typeof key === 'number'
        ? `${text}[${key}]`
        : text === ''
          ? String(key)
          : `${text}.${String(key)}`,
    prefix,
  );
}
