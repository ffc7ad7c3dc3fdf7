/** What `--help` looks like: at most 80 wide, in groups, the everyday options first. */
import { type Argument, Command, Help, Option } from 'commander';

/** A line is no wider, however wide the terminal: longer ones are hard to read. */
const MAX_WIDTH = 80;
const MIN_WIDTH = 50;
/** Behind a longer name the description begins on a line of its own. */
const MAX_TERM = 26;
const MIN_DESCRIPTION = 20;

/** An option that `--help` leaves out, and `--help --all` shows. */
export class RareOption extends Option {}

/** Tells help and completion what an option or argument may be; what it is, is checked elsewhere. */
export function withChoices<T extends Option | Argument>(taker: T, choices: readonly string[]): T {
  if (choices.length > 0) taker.argChoices = [...choices];
  return taker;
}

/**
 * A text below the options, to be given to `addHelpText`: lines that begin with a blank stay as
 * they are, the others are paragraphs, broken where the terminal ends.
 */
export function helpText(text: string): () => string {
  return () => wrapParagraphs(text, helpWidth());
}

/** Breaks every paragraph of a text anew, but no line that begins with a blank. */
export function wrapParagraphs(text: string, width: number): string {
  return text
    .replaceAll(/(?<=^\S.*)\n(?=\S)/gm, ' ')
    .split('\n')
    .map((line) => (line.startsWith(' ') ? line : wrapWords(line.split(' '), width)))
    .join('\n');
}

function wrapWords([first = '', ...words]: readonly string[], width: number): string {
  let used = first.length;
  return words.reduce((text, word) => {
    const fits = used + 1 + word.length <= width;
    used = fits ? used + 1 + word.length : word.length;
    return `${text}${fits ? ' ' : '\n'}${word}`;
  }, first);
}

/**
 * Gives the help of a command and of all below it this form. With `isAll` it shows every option,
 * else it tells how many there are more.
 */
export function shapeHelp(command: Command, isAll: boolean): void {
  const { options, commands } = command;
  const rareCount = options.filter(isRare).length;
  const isGrouped =
    options.length > 0 && options.every((one) => one.hidden || one.helpGroupHeading);
  const help = new Option(
    '-h, --help',
    rareCount > 0 ? 'this page; --all: every option' : 'this page',
  );
  command.createHelp = () => new PageHelp(isAll);
  command.addHelpOption(isGrouped ? help.helpGroup('Other:') : help);
  if (!isAll && rareCount > 0)
    command.addHelpText(
      'after',
      `\n${rareCount} more options: lockstep ${command.name()} --help --all`,
    );
  for (const one of commands) shapeHelp(one, isAll);
  if (commands.length === 0) return;
  const page = new Command('help').description('the page of a command');
  const heading = commands.at(-1)?.helpGroup() ?? '';
  command.addHelpCommand(page.argument('[command...]').helpGroup(heading));
}

function helpWidth(): number {
  return Math.max(MIN_WIDTH, Math.min(process.stdout.columns ?? MAX_WIDTH, MAX_WIDTH));
}

function isRare(option: Option): boolean {
  return option instanceof RareOption;
}

class PageHelp extends Help {
  override helpWidth = helpWidth();
  override minWidthToWrap = MIN_DESCRIPTION;
  readonly #isAll: boolean;

  constructor(isAll: boolean) {
    super();
    this.#isAll = isAll;
  }

  override visibleOptions(command: Command): Option[] {
    return super.visibleOptions(command).filter((option) => this.#isAll || !isRare(option));
  }

  /** What a command takes is said by its own page. */
  override subcommandTerm(command: Command): string {
    return command.name();
  }

  override optionDescription({ flags, description, argChoices, defaultValue }: Option): string {
    const takesValue = flags.includes('<');
    return describe(description, flags, argChoices, takesValue ? defaultValue : undefined);
  }

  override argumentDescription({ description, argChoices, defaultValue }: Argument): string {
    return describe(description, '', argChoices, defaultValue);
  }

  override padWidth(command: Command, helper: Help): number {
    return Math.min(MAX_TERM, super.padWidth(command, helper));
  }

  override formatItem(term: string, width: number, description: string, helper: Help): string {
    if (term.length <= width) return super.formatItem(term, width, description, helper);
    return `  ${term}\n${super.formatItem('', width, description, helper)}`;
  }
}

/** A description with the choices, unless it or the flag names them, and the default. */
function describe(
  description: string,
  flags: string,
  choices: readonly string[] = [],
  value: unknown,
): string {
  const areNamed = choices.every((choice) => `${flags} ${description}`.includes(choice));
  const facts = [
    ...(areNamed ? [] : [`one of ${choices.join(', ')}`]),
    ...(value === undefined ? [] : [`default: ${valueText(value)}`]),
  ];
  return facts.length === 0 ? description : `${description} (${facts.join(', ')})`;
}

function valueText(value: unknown): string {
  return typeof value === 'string' && /^\S+$/.test(value) ? value : JSON.stringify(value);
}
