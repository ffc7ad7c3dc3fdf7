/** The source files of a project, read and parsed once for all checks. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix, sep } from 'node:path';
import { type Comment, parseSync, type Program, Visitor } from 'oxc-parser';

const FOLDERS = ['src', 'test', 'bench', 'scripts'];

/** An import of any kind: of values or types, static, dynamic, within a type, by `require`. */
interface Import {
  /** A file as `path` of a `SourceFile`, or a package. */
  readonly target: string;
  readonly isFile: boolean;
  readonly line: number;
}

/** A file as all checks see it. */
export interface SourceFile {
  /** From the root, with `/` on every platform. */
  readonly path: string;
  /** As `roomOf` gives it. */
  readonly room: string | undefined;
  readonly isTest: boolean;
  readonly text: string;
  readonly program: Program;
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
}

/** Reads every file of our own; not AssemblyScript, and not what a program wrote. */
export function readSources(root: string): SourceFile[] {
  return FOLDERS.filter((folder) => existsSync(join(root, folder))).flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.split(sep).join('/')}`)
      .filter((path) => /\.(ts|mjs)$/.test(path) && !/\/assembly\/|\/kernel-bytes\./.test(path))
      .sort()
      .map((path) => parse(path, readFileSync(join(root, path), 'utf8'))),
  );
}

/** Gives the folder of a path below `src/`, empty for `src/` itself, undefined elsewhere. */
export function roomOf(path: string): string | undefined {
  const folder = posix.dirname(path);
  return folder === 'src' || folder.startsWith('src/') ? folder.slice('src/'.length) : undefined;
}

/** Gives the number of the line, from 1, that holds a position of the text. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

function parse(path: string, text: string): SourceFile {
  const { program, comments } = parseSync(path, text);
  const folder = posix.dirname(path);
  return {
    path,
    room: roomOf(path),
    isTest: /\.(test|contract)\.ts$/.test(path) || path.startsWith('test/'),
    text,
    program,
    comments,
    imports: importsOf(program, folder, text),
  };
}

function importsOf(program: Program, folder: string, text: string): Import[] {
  const imports: Import[] = [];
  const add = (node: { type: string; value?: unknown; start: number } | null | undefined) => {
    if (node?.type !== 'Literal' || typeof node.value !== 'string') return;
    const isFile = node.value.startsWith('.');
    const target = isFile ? posix.join(folder, node.value) : node.value;
    imports.push({ target, isFile, line: lineAt(text, node.start) });
  };
  new Visitor({
    ImportDeclaration: ({ source }) => add(source),
    ExportNamedDeclaration: ({ source }) => add(source),
    ExportAllDeclaration: ({ source }) => add(source),
    ImportExpression: ({ source }) => add(source),
    TSImportType: ({ source }) => add(source),
    CallExpression: ({ callee, arguments: [name] }) => {
      if (callee.type === 'Identifier' && callee.name === 'require') add(name);
    },
  }).visit(program);
  return imports;
}
