/** What the parser of YAML takes and a configuration may not have. */
import { isAlias, isMap, isNode, isScalar, Lexer, Parser, visit } from 'yaml';
import type { Document, Node, YAMLMap } from 'yaml';

/** Aliases in a document, and how far they may blow up one value. */
export const MAX_ALIASES = 50;

/** Tokens that may be open at once: far more than any settings have. */
const MAX_OPEN = 200;

/** What to do instead of using aliases. */
export const WITHOUT_ALIASES = 'Write the values out.';

/** Something wrong at an offset of the text. */
export interface NodeProblem {
  readonly offset: number;
  readonly message: string;
}

/**
 * Whether lists and mappings stand so deep in one another that what is made of them, by recursion,
 * might exhaust the stack. That may end the whole process: a regular expression that finds no room
 * on it does.
 */
export function isNestedTooDeep(text: string): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme)) void _;
    if (parser.stack.length > MAX_OPEN) return true;
  }
  return false;
}

/**
 * Keys that are given twice, aliases inside the value that they stand for, and too many aliases.
 *
 * The parser would compare each key with each other one, and look through the whole document for
 * each alias: minutes for a file of nothing else.
 */
export function checkNodes(document: Document.Parsed): NodeProblem[] {
  const problems: NodeProblem[] = [];
  const anchored = new Map<string, Node>();
  let aliases = 0;
  visit(document, (_, node, path) => {
    if (isMap(node)) problems.push(...repeatedKeys(node));
    if (isAlias(node)) {
      const target = anchored.get(node.source);
      const isCircular = target !== undefined && path.includes(target);
      const message = aliasProblem(node.source, isCircular, ++aliases);
      if (message !== undefined) problems.push({ offset: node.range?.[0] ?? 0, message });
      return aliases > MAX_ALIASES ? visit.BREAK : undefined;
    }
    // An alias stands for the last value before it that has its name.
    if (isNode(node) && node.anchor !== undefined) anchored.set(node.anchor, node);
    return undefined;
  });
  return problems;
}

function aliasProblem(name: string, isCircular: boolean, count: number): string | undefined {
  if (count > MAX_ALIASES)
    return `expected at most ${MAX_ALIASES} aliases (*name), got more. ${WITHOUT_ALIASES}`;
  if (!isCircular) return undefined;
  return (
    `the alias *${name} stands inside the value that &${name} names: a value cannot contain ` +
    'itself. Write out what is meant.'
  );
}

function repeatedKeys({ items }: YAMLMap): NodeProblem[] {
  const seen = new Set<unknown>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    const isRepeated = seen.has(key.value);
    seen.add(key.value);
    const offset = key.range?.[0] ?? 0;
    return isRepeated ? [{ offset, message: 'Map keys must be unique' }] : [];
  });
}
