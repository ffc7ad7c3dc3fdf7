/**
 * Fields that nobody reads. By name: a field counts as read when anything of its name is read
 * anywhere, tests included. Knip does not look into interfaces and classes.
 */
import { Visitor } from 'oxc-parser';
import { lineAt, type SourceFile } from './sources.ts';

/** Files whose fields are read by other programs, and where. */
const WRITTEN_FOR_OTHERS: Readonly<Record<string, string>> = {
  'src/metrics/events.ts': 'metrics.jsonl',
  'src/runs/run-summary.ts': 'summary.json',
  'src/data/describe-dataset.ts': 'what `lockstep data` prints',
  'src/validate/bench/bench-collective-figures.ts':
    'what `lockstep bench-collective --json` prints',
  'src/doctor/facts/machine-profile.ts': 'gpu_profiles.json and what lies beside it',
  'src/validate/watch/health-report.ts': 'what `lockstep monitor report --json` prints',
  'src/kernels/web-assembly.d.ts': 'WebAssembly itself',
};

interface Field {
  readonly name: string;
  readonly position: number;
}

/** A field or method, as the parser gives it. */
interface Declaration {
  readonly key: Key;
  readonly computed: boolean;
  readonly override?: boolean;
  readonly kind?: string;
}

/** Finds fields and methods of interfaces, types and classes in `src/` that nobody reads. */
export function checkUnreadFields(
  files: readonly SourceFile[],
  writtenForOthers: Readonly<Record<string, string>> = WRITTEN_FOR_OTHERS,
): string[] {
  const read = new Set(files.flatMap(({ program }) => namesReadIn(program)));
  return files
    .filter(
      ({ path, room, isTest }) => room !== undefined && !isTest && !(path in writtenForOthers),
    )
    .flatMap(({ path, text, program }) =>
      fieldsOf(program)
        .filter(({ name }) => !read.has(name))
        .map(
          ({ name, position }) =>
            `${path}:${lineAt(text, position)}: nobody reads ${name}. Delete it; if another ` +
            'program reads it, name its file in scripts/house/unread-fields.ts',
        ),
    );
}

function fieldsOf(program: SourceFile['program']): Field[] {
  const fields: Field[] = [];
  const add = ({ key, computed, override, kind }: Declaration) => {
    const name = nameOf(key);
    if (name === undefined || computed || override || kind === 'constructor') return;
    fields.push({ name, position: key.start });
  };
  new Visitor({
    TSPropertySignature: add,
    TSMethodSignature: add,
    PropertyDefinition: add,
    MethodDefinition: add,
  }).visit(program);
  return fields;
}

/** Lists what follows a dot, stands in a destructuring pattern, or is written as a string. */
function namesReadIn(program: SourceFile['program']): string[] {
  const names: string[] = [];
  const written = new Set<object>();
  const read = (node: Key) => {
    const name = nameOf(node);
    if (name !== undefined && !written.has(node)) names.push(name);
  };
  const write = (node: { type: string; property?: object }) => {
    if (node.type === 'MemberExpression' && node.property) written.add(node.property);
  };
  new Visitor({
    AssignmentExpression: ({ left, operator }) => {
      if (operator === '=') write(left);
    },
    ExpressionStatement: ({ expression }) => {
      if (expression.type === 'AssignmentExpression') write(expression.left);
      if (expression.type === 'UpdateExpression') write(expression.argument);
    },
    Property: ({ key }) => written.add(key),
    TSPropertySignature: ({ key }) => written.add(key),
    ObjectPattern: ({ properties }) => {
      for (const property of properties) if (property.type === 'Property') read(property.key);
    },
    MemberExpression: ({ property, computed }) => {
      if (!computed) read(property);
    },
    Literal: read,
  }).visit(program);
  return names;
}

/** What a key, a property or a literal has when it is a name. */
interface Key {
  readonly type: string;
  readonly start: number;
  readonly name?: unknown;
  readonly value?: unknown;
}

function nameOf({ type, name, value }: Key): string | undefined {
  if (type === 'PrivateIdentifier') return `#${String(name)}`;
  if (type === 'Identifier') return String(name);
  return type === 'Literal' && typeof value === 'string' ? value : undefined;
}
