/** How many lines are wider than a page; prettier leaves comments and strings as they are. */
import type { SourceFile } from './sources.ts';

const WIDTH = 100;
const MOST_SHARE = 0.002;

/** Finds trees (`src`, `test`, ...) with too many wide lines, and lists these. */
export function checkLineWidths(files: readonly SourceFile[]): string[] {
  const trees = new Set(files.map(({ path }) => path.slice(0, path.indexOf('/'))));
  return [...trees].flatMap((tree) => {
    const lines = files
      .filter(({ path }) => path.startsWith(`${tree}/`))
      .flatMap(({ path, text }) =>
        text
          .replace(/\n$/, '')
          .split('\n')
          .map((line, index) => ({ where: `${path}:${index + 1}`, line })),
      );
    const wide = lines.filter(({ line }) => line.length > WIDTH);
    if (wide.length < MOST_SHARE * lines.length) return [];
    return [
      [
        `${tree}: ${wide.length} of ${lines.length} lines are wider than ${WIDTH}; expected less ` +
          `than ${MOST_SHARE * 100} %. Break these, a message into joined parts:`,
        ...wide.map(({ where, line }) => `  ${where} ${line.trim().slice(0, 60)}`),
      ].join('\n'),
    ];
  });
}
