/** A strategy is an interface: only those who offer the choice know its name. */
import { Visitor } from 'oxc-parser';
import { lineAt, type SourceFile } from './sources.ts';

/** The letters system has no strategies; there `rounds` is a number in its interface. */
const WINGS = ['strategies', 'config', 'cli', 'letters'];

/** Finds code that asks which strategy a run has. */
export function checkStrategyNames(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, room, isTest, text, program }) => {
    if (room === undefined || isTest || WINGS.includes(room.split('/')[0] ?? '')) return [];
    const problems: string[] = [];
    const report = (word: string, position: number) => {
      problems.push(
        `${path}:${lineAt(text, position)}: ${word} is known to strategies/, config/ and cli/ ` +
          'only. Let the strategy do it, behind its interface (src/strategies/)',
      );
    };
    const checkName = ({ name, start }: { name: string; start: number }) => {
      if (name === 'isInRounds') report(name, start);
    };
    new Visitor({
      Literal: ({ value, start }) => {
        if (value === 'rounds' || value === 'local-sgd') report(`'${value}'`, start);
      },
      Identifier: checkName,
      PrivateIdentifier: checkName,
    }).visit(program);
    return problems;
  });
}
