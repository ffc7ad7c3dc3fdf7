/** What is printed is cleaned in one place, so nothing is printed past it. */
import { Visitor } from 'oxc-parser';
import { lineAt, type SourceFile } from './sources.ts';

/** The place itself, and processes whose parent reads what they write. */
const WRITERS = [
  'src/cli/shell/',
  'src/runtime/device-probe-process.ts',
  'src/transport/link-end-process.ts',
  'src/validate/bench/bench-collective-process.ts',
  'src/validate/drills/faulty-worker-process.ts',
];

/** Finds code that writes to the terminal by itself. */
export function checkOutput(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, room, isTest, text, program }) => {
    if (room === undefined || isTest || WRITERS.some((writer) => path.startsWith(writer)))
      return [];
    const problems: string[] = [];
    new Visitor({
      MemberExpression: ({ start, end }) => {
        const word = text.slice(start, end);
        if (!/^(process\.std(out|err)\.write|console\.\w+)$/.test(word)) return;
        problems.push(
          `${path}:${lineAt(text, start)}: ${word}: text of peers and files may be in it. Use ` +
            'writeResult, writeNote or logLine (src/cli/shell/output.ts)',
        );
      },
    }).visit(program);
    return problems;
  });
}
