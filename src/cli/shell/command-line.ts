/** The words after `lockstep`: which command they name, and what is wrong with them. */
import type { Command, CommanderError } from 'commander';
import { suggestion } from '../../base/closest-name.ts';
import { ConfigError } from '../../base/errors.ts';
import { likelyFlag } from './flag-aliases.ts';
import { shapeHelp } from './help.ts';

/** `help train --all` as `train --help --all`, so that there is one way to ask for help. */
export function helpAsFlag([first, ...topic]: readonly string[]): readonly string[] {
  if (first !== 'help') return first === undefined ? [] : [first, ...topic];
  const names = topic.findIndex((word) => word.startsWith('-'));
  const end = names < 0 ? topic.length : names;
  return [...topic.slice(0, end), '--help', ...topic.slice(end)];
}

/**
 * Has commands throw for wrong words, say nothing of them by themselves, and give their help in our
 * form; `words` may ask for all of it.
 */
export function prepareCommands(command: Command, words: readonly string[]): void {
  shapeHelp(command, words.includes('--all'));
  const commands = [command];
  for (const one of commands) {
    one.exitOverride().configureOutput({ outputError: () => {} });
    commands.push(...one.commands);
  }
}

/** The command that the words name. Throws: ConfigError when there is none of that name. */
export function commandOf(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const word of words) {
    const names = command.commands.map((one) => one.name());
    const next = command.commands.find((one) => one.name() === word);
    const takesWords = command.registeredArguments.length > 0 || names.length === 0;
    if (next === undefined && (takesWords || word.startsWith('-'))) break;
    if (next === undefined)
      throw new ConfigError(
        `there is no command ${pathTo(command)}${word}. ${suggestion(word, names)}`,
      );
    command = next;
  }
  return command;
}

function pathTo(command: Command): string {
  return command.parent === null ? '' : `${pathTo(command.parent)}${command.name()} `;
}

/**
 * Throws: ConfigError when the value of a flag is another flag of the command, so that its own was
 * forgotten.
 */
export function checkFlagValues({ options }: Command, words: readonly string[]): void {
  const flags = options.flatMap(({ long, short }) => [long, short]);
  for (const [i, word] of words.entries()) {
    if (word === '--') return;
    const option = options.find(({ long, short }) => word === long || word === short);
    const next = words[i + 1];
    if (option?.required !== true || next === undefined || !flags.includes(next)) continue;
    throw new ConfigError(`${word}: expected a value after it, got the flag ${next}`);
  }
}

/** What commander found wrong with the words of a command, and what was probably meant. */
export function usageErrorText({ message }: CommanderError, command: Command): string {
  const [, flag] = /^error: unknown option '([^'=]+)/.exec(message) ?? [];
  if (flag === undefined) return message;
  const likely = likelyFlag(flag, command);
  const hint = likely === undefined ? '; --help lists all' : `; did you mean ${likely}?`;
  return `error: unknown option ${flag}${hint}`;
}
