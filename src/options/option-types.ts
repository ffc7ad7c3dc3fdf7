/** The types that a setting can have: how each is checked, read from a flag, and described. */
import * as z from 'zod';
import { closestName } from '../base/closest-name.ts';

/** What values a setting takes. Bounds are inclusive unless `exclusive` says otherwise. */
export type OptionType =
  | {
      readonly kind: 'integer';
      readonly min: number;
      readonly max: number;
      readonly words?: readonly string[];
      /** A time is taken, too: `60s`. */
      readonly takesSeconds?: boolean;
    }
  | {
      readonly kind: 'number';
      readonly min: number;
      readonly max: number;
      readonly exclusive?: 'min' | 'max';
    }
  | {
      readonly kind: 'integers';
      readonly min: number;
      readonly max: number;
      /** 1 when absent. */
      readonly minCount?: number;
      readonly maxCount: number;
    }
  | { readonly kind: 'boolean' }
  | {
      readonly kind: 'choice';
      readonly choices: readonly string[];
      /** Other names that are taken, and which of `choices` each stands for. */
      readonly aliases?: Readonly<Record<string, string>>;
      /** Planned values: refused, saying so. */
      readonly later?: readonly string[];
      /** Names that other programs have for it, and what to write here instead. */
      readonly instead?: Readonly<Record<string, string>>;
      /** The user's own files are taken too: of what sort, in words that follow "a path". */
      readonly orPath?: string;
    }
  /** One of `choices` or a list of them. */
  | { readonly kind: 'choices'; readonly choices: readonly string[]; readonly maxCount: number }
  /** `true` stands for `whenTrue`, `false` for 0; otherwise 0 <= value < 1. */
  | { readonly kind: 'fraction'; readonly whenTrue: number }
  | { readonly kind: 'text'; readonly pattern: RegExp; readonly expected: string }
  /** One text or a list of them, `expected` in the plural; a flag separates them by commas. */
  | {
      readonly kind: 'texts';
      readonly pattern: RegExp;
      readonly expected: string;
      readonly maxCount: number;
    };

/** The largest number of steps, or of anything else that is only counted. */
export const MAX_COUNT = 1_000_000_000;

/**
 * A path: no control characters, no half surrogate pairs, so that it survives a trip through YAML.
 */
export const FILE_PATH: OptionType = {
  kind: 'text',
  pattern: /^[^\p{Cc}\p{Cs}]+$/u,
  expected: 'a path',
};

/** The zod schema that checks a value of `type` and brings it to its final form. */
export function schemaOf(type: OptionType): z.ZodType {
  switch (type.kind) {
    case 'integer': {
      const integer = z.int().min(type.min).max(type.max);
      const seconds = type.takesSeconds === true ? [z.string().regex(SECONDS)] : [];
      return type.words === undefined
        ? z.union([integer, ...seconds])
        : z.union([integer, z.enum(type.words), ...seconds]);
    }
    case 'number':
      return numberSchema(type);
    case 'integers': {
      const integer = z.int().min(type.min).max(type.max);
      const list = z.array(integer).min(type.minCount ?? 1);
      return listOrItem(list.max(type.maxCount), integer);
    }
    case 'boolean':
      return z.boolean();
    case 'choice': {
      const choice = choiceSchema(type.choices, type.aliases);
      return type.orPath === undefined ? choice : z.union([choice, textSchema(PATH)]);
    }
    case 'choices': {
      const choice = z.enum([...type.choices]);
      return listOrItem(z.array(choice).min(1).max(type.maxCount), choice);
    }
    case 'fraction':
      return z.union([
        z.number().min(0).lt(1),
        z.boolean().transform((on) => (on ? type.whenTrue : 0)),
      ]);
    case 'text':
      return textSchema(type.pattern);
    case 'texts': {
      const text = textSchema(type.pattern);
      return listOrItem(z.array(text).max(type.maxCount), text);
    }
    default:
      return type satisfies never;
  }
}

function numberSchema({ min, max, exclusive }: OptionType & { kind: 'number' }): z.ZodType {
  const above = exclusive === 'min' ? z.number().gt(min) : z.number().min(min);
  return exclusive === 'max' ? above.lt(max) : above.max(max);
}

/** An item alone is a list of one. */
function listOrItem(list: z.ZodType, item: z.ZodType): z.ZodType {
  return z.union([list, item.transform((value) => [value])]);
}

function textSchema(pattern: RegExp): z.ZodType {
  return z.string().max(MAX_TEXT).regex(pattern);
}

/** Takes every spelling and alias, and gives the name of the table. */
function choiceSchema(
  choices: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): z.ZodType {
  const spellings = spellingsOf([...choices, ...Object.keys(aliases)]);
  return z.enum(spellings).transform((word) => chosen(aliases[word] ?? word, choices));
}

const MAX_TEXT = 4096;
/** Up to some months. */
const SECONDS = /^[1-9]\d{0,6}s$/;

/**
 * A slash or a dot tells a path from a misspelt name. No control characters, no half surrogates.
 */
const PATH = /^[^\p{Cc}\p{Cs}]*[./\\][^\p{Cc}\p{Cs}]*$/u;

/** `simple_cnn` may be written `simple-cnn`, and the other way round. */
function spellingsOf(choices: readonly string[]): string[] {
  return [
    ...new Set(
      choices.flatMap((word) => [word, word.replaceAll('_', '-'), word.replaceAll('-', '_')]),
    ),
  ];
}

function chosen(word: string, choices: readonly string[]): string {
  const plain = (spelling: string): string => spelling.replaceAll('-', '_');
  return choices.find((choice) => plain(choice) === plain(word)) ?? word;
}

/** What a value must be, in words that follow "expected". */
export function expectedOf(type: OptionType): string {
  switch (type.kind) {
    case 'integer':
      if (type.min === type.max) return String(type.min);
      return (
        `a whole number ${type.min} to ${type.max}` +
        (type.takesSeconds === true ? ', a time as "60s"' : '') +
        (type.words ?? []).map((word) => ` or "${word}"`).join('')
      );
    case 'number':
      return (
        `a number ${type.exclusive === 'min' ? 'above' : 'from'} ${type.min} ` +
        `${type.exclusive === 'max' ? 'to below' : 'to'} ${type.max}`
      );
    case 'integers':
      return (
        `${type.minCount ?? 1} to ${type.maxCount} whole numbers, each ${type.min} to ` +
        `${type.max}`
      );
    case 'boolean':
      return 'true or false';
    case 'choice': {
      const names =
        type.choices.length === 1 ? String(type.choices[0]) : `one of ${type.choices.join(', ')}`;
      return type.orPath === undefined ? names : `${names}, or a path ${type.orPath}`;
    }
    case 'choices':
      return `one or more of ${type.choices.join(', ')}`;
    case 'fraction':
      return `true, false or a fraction from 0 to below 1`;
    case 'text':
    case 'texts':
      return type.expected;
    default:
      return type satisfies never;
  }
}

function wordsOf({ takesSeconds, words = [] }: OptionType & { kind: 'integer' }): string[] {
  return ['int', ...(takesSeconds === true ? ['60s'] : []), ...words];
}

/** A value's name in usage lines, e.g. `<count>`; empty for a flag that needs no value. */
export function placeholderOf(type: OptionType): string {
  switch (type.kind) {
    case 'integer':
      return `<${wordsOf(type).join('|')}>`;
    case 'number':
      return '<number>';
    case 'integers':
      return '<int,int,...>';
    case 'boolean':
      return '';
    case 'choice':
      return type.orPath === undefined ? `<${type.choices.join('|')}>` : '<name|path>';
    case 'choices':
      return `<${type.choices.join('|')},...>`;
    case 'fraction':
      return '[fraction]';
    case 'text':
      return '<text>';
    case 'texts':
      return '<text,text,...>';
    default:
      return type satisfies never;
  }
}

/**
 * A flag's text as the value YAML would have given: "64" is 64, "256,512" is [256, 512], "true" is
 * true. Text that does not fit stays text, for the schema to refuse.
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
      return typeof parseBoolean(trimmed) === 'boolean'
        ? parseBoolean(trimmed)
        : parseDecimal(trimmed);
    case 'choice':
      return trimmed;
    case 'choices':
      return trimmed.split(',').map((part) => part.trim());
    case 'text':
      return text;
    case 'texts':
      return trimmed.split(',').map((part) => part.trim());
    default:
      return type satisfies never;
  }
}

/** Why `value` is refused, beyond what `expectedOf` says; empty when there is nothing to add. */
export function hintOf(type: OptionType, value: unknown): string {
  if (type.kind === 'choices') {
    const odd = [value]
      .flat()
      .find((word) => typeof word !== 'string' || !type.choices.includes(word));
    return nearestTo(odd, type.choices);
  }
  if (type.kind !== 'choice') return '';
  if (typeof value === 'string' && type.later?.includes(value) === true)
    return `"${value}" is not available yet in this version; use ${type.choices.join(' or ')}`;
  const instead = typeof value === 'string' ? type.instead?.[value] : undefined;
  return instead === undefined
    ? nearestTo(value, type.choices)
    : `"${String(value)}" is ${instead}`;
}

function nearestTo(value: unknown, choices: readonly string[]): string {
  const closest = typeof value === 'string' ? closestName(value, choices) : undefined;
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
