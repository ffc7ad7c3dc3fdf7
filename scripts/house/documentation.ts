/** How much of what is exported says what it is. */
import { lineAt, type SourceFile } from './sources.ts';

const LEAST_SHARE = 0.85;
const LEAST_SHARE_OF_FOLDER = 0.8;

interface Export {
  readonly room: string;
  readonly text: string;
  readonly isDocumented: boolean;
}

/** Finds folders with too few doc comments at their exports, and lists what lacks one. */
export function checkDocumentation(files: readonly SourceFile[]): string[] {
  const exports = files.flatMap((file) => (file.isTest ? [] : exportsOf(file)));
  const rooms = [...new Set(exports.map(({ room }) => room))];
  const poor = rooms.filter(
    (room) => shareOf(exports.filter((one) => one.room === room)) < LEAST_SHARE_OF_FOLDER,
  );
  const problems = poor.map((room) =>
    problemOf(
      `src/${room}`,
      exports.filter((one) => one.room === room),
      LEAST_SHARE_OF_FOLDER,
    ),
  );
  return shareOf(exports) < LEAST_SHARE
    ? [...problems, problemOf('src', exports, LEAST_SHARE, poor)]
    : problems;
}

function shareOf(exports: readonly Export[]): number {
  return exports.filter(({ isDocumented }) => isDocumented).length / exports.length;
}

/** Lists what has none, but for the rooms that have been listed before. */
function problemOf(
  where: string,
  exports: readonly Export[],
  least: number,
  listed: readonly string[] = [],
): string {
  const bare = exports.filter(({ room, isDocumented }) => !isDocumented && !listed.includes(room));
  const percent = (share: number) => `${Math.floor(share * 100)} %`;
  return [
    `${where}: ${percent(shareOf(exports))} of ${exports.length} exports have a doc comment; ` +
      `expected ${percent(least)}. Say what these are:`,
    ...bare.map(({ text }) => `  ${text}`),
  ].join('\n');
}

/** Lists declarations; a function with overloads counts once, by its first. */
function exportsOf({ path, room, text, program, comments }: SourceFile): Export[] {
  if (room === undefined) return [];
  const docEnds = new Set(
    comments
      .filter(({ type, value }) => type === 'Block' && value.startsWith('*'))
      .map(({ end }) => end),
  );
  const seen = new Set<string>();
  return program.body.flatMap((node) => {
    if (node.type !== 'ExportNamedDeclaration' || !node.declaration) return [];
    const { declaration } = node;
    const named =
      declaration.type === 'VariableDeclaration' ? declaration.declarations[0] : declaration;
    const name = named?.id?.type === 'Identifier' ? named.id.name : declaration.type;
    const isOverload = declaration.type.endsWith('Function') && seen.has(name);
    seen.add(name);
    if (isOverload) return [];
    const isDocumented = docEnds.has(text.slice(0, node.start).trimEnd().length);
    return [{ room, text: `${path}:${lineAt(text, node.start)} ${name}`, isDocumented }];
  });
}
