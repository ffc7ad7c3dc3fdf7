/** On Windows a process that we start opens a console window, unless it is told not to. */
import { Visitor } from 'oxc-parser';
import { lineAt, type SourceFile } from './sources.ts';

const STARTERS = new Set(['spawn', 'spawnSync', 'execFile', 'execFileSync', 'exec', 'execSync']);

/** Finds code of ours that starts processes without `windowsHide`. */
export function checkChildWindows(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, room, isTest, text, program }) => {
    if (room === undefined || isTest || !text.includes("'node:child_process'")) return [];
    const problems: string[] = [];
    new Visitor({
      CallExpression: ({ start, end, callee }) => {
        if (callee.type !== 'Identifier' || !STARTERS.has(callee.name)) return;
        if (text.slice(start, end).includes('windowsHide: true')) return;
        problems.push(
          `${path}:${lineAt(text, start)}: ${callee.name} without windowsHide: true would open a ` +
            'console window on Windows. Add it to the options',
        );
      },
    }).visit(program);
    return problems;
  });
}
