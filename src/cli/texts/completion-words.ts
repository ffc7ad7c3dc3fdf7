/** What shells can complete: the words of every command, as its definition has them. */
import type { Argument, Command, Option } from 'commander';

/** A word that may come next, and what it does, in one line. */
export interface CompletedWord {
  readonly word: string;
  readonly about: string;
}

/** What may stand in a place: one of some words, the name of a file, or both. */
export interface CompletedPlace {
  readonly words: readonly CompletedWord[];
  readonly takesFile: boolean;
}

/** An option that may come next. */
interface CompletedOption extends CompletedWord {
  /** What must follow it; undefined: nothing. */
  readonly value: CompletedPlace | undefined;
}

/** What may follow the words of one command. */
export interface CompletedCommand extends CompletedPlace {
  /** All words of it: `lockstep report html`. */
  readonly path: string;
  readonly options: readonly CompletedOption[];
}

const HELP = { about: 'the page of a command' };

/** Lists a command and all below it; names that other programs have for its options are left out. */
export function completedCommands(command: Command, parent = ''): readonly CompletedCommand[] {
  const { commands, options, registeredArguments } = command;
  const path = `${parent}${command.name()}`;
  const names = commands.map((one) => ({ word: one.name(), about: aboutOf(one.description()) }));
  const places = registeredArguments.map(placeOf);
  const own: CompletedCommand = {
    path,
    words: [
      ...names,
      ...(names.length === 0 ? [] : [{ word: 'help', ...HELP }]),
      ...places.flatMap(({ words }) => words),
    ],
    takesFile: places.some(({ takesFile }) => takesFile),
    options: [
      ...options.filter(({ hidden }) => !hidden).map(completedOption),
      { word: '--help', ...HELP, value: undefined },
    ],
  };
  return [own, ...commands.flatMap((one) => completedCommands(one, `${path} `))];
}

function completedOption(option: Option): CompletedOption {
  const { long, flags, description, required } = option;
  const value = required ? placeOf(option) : undefined;
  return { word: long ?? flags, about: aboutOf(description), value };
}

/** Choices are all that there is, unless the definition tells of a path, too. */
function placeOf(taker: Option | Argument): CompletedPlace {
  const { argChoices = [], description } = taker;
  const words = argChoices.map((word) => ({ word, about: '' }));
  const named = 'flags' in taker ? taker.flags : description;
  return { words, takesFile: words.length === 0 || named.includes('path') };
}

/** A description up to its first digression. */
function aboutOf(description: string): string {
  return description.split(/; | \(|\. /)[0] ?? '';
}
