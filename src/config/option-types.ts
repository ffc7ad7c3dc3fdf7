/** The types a setting can have: how each is checked, read from a flag's text, and described. */
import { z } from 'zod';
import { closestName } from './closest-name.ts';

/** What values a setting takes. Bounds are inclusive unless `exclusive` says otherwise. */
export type OptionType =
  | { readonly kind: 'integer'; readonly min: number; readonly max: number; readonly word?: string }
  | {
      readonly kind: 'number';
      readonly min: number;
      readonly max: number;
      readonly exclusive?: 'min' | 'max';
    }
  | { readonly kind: 'integers'; readonly min: number; readonly max: number; readonly maxCount: number }
  | { readonly kind: 'boolean' }
  | {
      readonly kind: 'choice';
      readonly choices: readonly string[];
      /** Planned values: refused, saying so. */
      readonly later?: readonly string[];
    }
  /** `true` stands for `whenTrue`, `false` for 0; otherwise 0 <= value < 1. */
  | { readonly kind: 'fraction'; readonly whenTrue: number }
  | { readonly kind: 'text'; readonly pattern: RegExp; readonly expected: string };

/** The zod schema that checks a value of `type` and brings it to its final form. */
export function schemaOf(type: OptionType): z.ZodType {
  switch (type.kind) {
    case 'integer': {
      const integer = z.int().min(type.min).max(type.max);
      return type.word === undefined ? integer : z.union([integer, z.literal(type.word)]);
    }
    case 'number': {
      const number = z.number();
      const above = type.exclusive === 'min' ? number.gt(type.min) : number.min(type.min);
      return type.exclusive === 'max' ? above.lt(type.max) : above.max(type.max);
    }
    case 'integers': {
      const integer = z.int().min(type.min).max(type.max);
      const one = integer.transform((value) => [value]);
      return z.union([z.array(integer).min(1).max(type.maxCount), one]);
    }
    case 'boolean':
      return z.boolean();
    case 'choice':
      return z.enum([...type.choices]);
    case 'fraction':
      return z.union([z.number().min(0).lt(1), z.boolean().transform((on) => (on ? type.whenTrue : 0))]);
    case 'text':
      return z.string().max(MAX_TEXT).regex(type.pattern);
    default:
      return type satisfies never;
  }
}

const MAX_TEXT = 4096;

/** What a value must be, in words that follow "expected". */
export function expectedOf(type: OptionType): string {
  switch (type.kind) {
    case 'integer':
      if (type.min === type.max) return String(type.min);
      return `a whole number ${type.min} to ${type.max}${type.word === undefined ? '' : ` or "${type.word}"`}`;
    case 'number':
      return `a number ${type.exclusive === 'min' ? 'above' : 'from'} ${type.min} ${type.exclusive === 'max' ? 'to below' : 'to'} ${type.max}`;
    case 'integers':
      return `1 to ${type.maxCount} whole numbers, each ${type.min} to ${type.max}`;
    case 'boolean':
      return 'true or false';
    case 'choice':
      return type.choices.length === 1 ? String(type.choices[0]) : `one of ${type.choices.join(', ')}`;
    case 'fraction':
      return `true, false or a fraction from 0 to below 1`;
    case 'text':
      return type.expected;
    default:
      return type satisfies never;
  }
}

/** A value's name in usage lines, e.g. `<count>`; empty for a flag that needs no value. */
export function placeholderOf(type: OptionType): string {
  switch (type.kind) {
    case 'integer':
      return type.word === undefined ? '<int>' : `<int|${type.word}>`;
    case 'number':
      return '<number>';
    case 'integers':
      return '<int,int,...>';
    case 'boolean':
      return '';
    case 'choice':
      return `<${type.choices.join('|')}>`;
    case 'fraction':
      return '[fraction]';
    case 'text':
      return '<text>';
    default:
      return type satisfies never;
  }
}

/**
 * A flag's text as the value YAML would have given: "64" is 64, "256,512" is [256, 512], "true" is true.
 * Text that does not fit stays text, for the schema to refuse.
 */
export function parseFlagText(type: OptionType, text: string): unknown {
  const trimmed = text.trim();
  switch (type.kind) {
    case 'integer':
    case 'number':
      return parseDecimal(trimmed);
    case 'integers':
      return trimmed.split(',').map((part) => parseDecimal(part.trim()));
    case 'boolean':
      return parseBoolean(trimmed);
    case 'fraction':
      return typeof parseBoolean(trimmed) === 'boolean' ? parseBoolean(trimmed) : parseDecimal(trimmed);
    case 'choice':
      return trimmed;
    case 'text':
      return text;
    default:
      return type satisfies never;
  }
}

/** Why `value` is refused, beyond what `expectedOf` says; empty when there is nothing to add. */
export function hintOf(type: OptionType, value: unknown): string {
  if (type.kind !== 'choice' || typeof value !== 'string') return '';
  if (type.later?.includes(value) === true)
    return `"${value}" is not available yet in this version; use ${type.choices.join(' or ')}`;
  const closest = closestName(value, type.choices);
  return closest === undefined ? '' : `did you mean "${closest}"?`;
}

// `Number` alone would also take "", "0x10" and "Infinity".
const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

function parseDecimal(text: string): number | string {
  return DECIMAL.test(text) ? Number(text) : text;
}

function parseBoolean(text: string): boolean | string {
  return text === 'true' ? true : text === 'false' ? false : text;
}
