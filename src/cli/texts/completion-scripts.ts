/**
 * The scripts by which bash, zsh and fish complete our commands. Each finds the command that was
 * typed (`help` before it changes nothing), then what may come next.
 */
import type { CompletedCommand, CompletedPlace, CompletedWord } from './completion-words.ts';

/** The shells that there are scripts for, with how each is written. */
const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** A shell that completes with a script of ours. */
export type Shell = keyof typeof SCRIPTS;

/** The names of these shells. */
export const SHELLS = Object.keys(SCRIPTS) as readonly Shell[];

/** The script of a shell for these commands; the first is the program. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  return `${SCRIPTS[shell](commands).join('\n')}\n`;
}

function bashScript(commands: readonly CompletedCommand[]): string[] {
  const offer = (words: readonly CompletedWord[]): string =>
    `COMPREPLY=($(compgen -W ${quoted(words.map(({ word }) => word).join(' '))} -- "$current"))`;
  // Where nothing is offered, bash completes the names of files by itself.
  const fill = ({ words, takesFile }: CompletedPlace): string[] => [
    ...(words.length === 0 ? [] : [offer(words)]),
    ...(words.length === 0 || !takesFile
      ? []
      : ['COMPREPLY+=($(compgen -f -- "$current"))', 'compopt -o filenames']),
  ];
  return [
    '# Completes commands and options of lockstep in bash:',
    '#   source <(lockstep completion bash)',
    '_lockstep() {',
    '  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}',
    '  local command=lockstep i',
    '  COMPREPLY=()',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    ...commandCase(commands, '${COMP_WORDS[i]}'),
    '  done',
    '  case "$command $before" in',
    ...cases(valuesOf(commands, (place) => [...fill(place), 'return'])),
    '  esac',
    '  case "$command" in',
    ...cases(
      commands.map((command) => [
        command.path,
        [
          'if [[ $current == -* ]]; then',
          `  ${offer(command.options)}`,
          'else',
          ...[...fill(command), ':'].map((line) => `  ${line}`),
          'fi',
        ],
      ]),
    ),
    '  esac',
    '}',
    'complete -o bashdefault -o default -F _lockstep lockstep',
  ];
}

function zshScript(commands: readonly CompletedCommand[]): string[] {
  const offer = (words: readonly CompletedWord[]): string[] => [
    `words_found=(${words.map(described).join(' ')})`,
    '_describe word words_found',
  ];
  const fill = ({ words, takesFile }: CompletedPlace): string[] => [
    ...(words.length === 0 ? [] : offer(words)),
    ...(takesFile ? ['_files'] : []),
  ];
  return [
    '#compdef lockstep',
    '# Completes commands and options of lockstep in zsh, after compinit:',
    '#   source <(lockstep completion zsh)',
    '_lockstep() {',
    '  local command=lockstep i',
    '  local -a words_found',
    '  for ((i = 2; i < CURRENT; i++)); do',
    ...commandCase(commands, '${words[i]}'),
    '  done',
    '  case "$command ${words[CURRENT - 1]}" in',
    ...cases(valuesOf(commands, (place) => [...fill(place), 'return'])),
    '  esac',
    '  case "$command" in',
    ...cases(
      commands.map((command) => [
        command.path,
        [
          'if [[ ${words[CURRENT]} == -* ]]; then',
          ...offer(command.options).map((line) => `  ${line}`),
          'else',
          ...[...fill(command), ':'].map((line) => `  ${line}`),
          'fi',
        ],
      ]),
    ),
    '  esac',
    '}',
    'if [[ ${funcstack[1]} == _lockstep ]]; then _lockstep "$@"; else compdef _lockstep lockstep; fi',
  ];
}

function fishScript(commands: readonly CompletedCommand[]): string[] {
  const below = commands.slice(1).map(({ path }) => quoted(path));
  return [
    '# Completes commands and options of lockstep in fish:',
    '#   lockstep completion fish | source',
    'function __lockstep_command',
    '    set -l command lockstep',
    '    for word in (commandline -opc)[2..]',
    '        test $word = help; and continue',
    `        contains -- "$command $word" ${below.join(' ')}; or break`,
    '        set command "$command $word"',
    '    end',
    '    echo $command',
    'end',
    'function __lockstep_at',
    '    test (__lockstep_command) = "$argv"',
    'end',
    'complete -c lockstep -e',
    ...commands.flatMap(fishLines),
  ];
}

function fishLines({ path, words, takesFile, options }: CompletedCommand): string[] {
  const line = `complete -c lockstep -n ${fishQuoted(`__lockstep_at ${path}`)}`;
  return [
    ...(takesFile ? [] : [`${line} -f`]),
    ...words.map(({ word, about }) => `${line} -a ${word}${aboutFlag(about)}`),
    ...options.map(({ word, about, value }) => {
      const files = value === undefined ? '' : value.takesFile ? ' -r -F' : ' -x';
      const choices = value?.words.map((one) => one.word).join(' ') ?? '';
      const taken = choices === '' ? '' : ` -a ${fishQuoted(choices)}`;
      return `${line} -l ${word.slice(2)}${files}${taken}${aboutFlag(about)}`;
    }),
  ];
}

function aboutFlag(about: string): string {
  return about === '' ? '' : ` -d ${fishQuoted(about)}`;
}

/** Lines that take a word as the name of the next command, or leave the loop around them. */
function commandCase(commands: readonly CompletedCommand[], word: string): string[] {
  const paths = commands.slice(1).map(({ path }) => quoted(path));
  return [
    `    case "$command ${word}" in`,
    `      ${paths.join(' | ')}) command="$command ${word}" ;;`,
    "      *' help') ;;",
    '      *) break ;;',
    '    esac',
  ];
}

type Case = readonly [pattern: string, lines: readonly string[]];

/** What to do behind every option that takes a value. */
function valuesOf(
  commands: readonly CompletedCommand[],
  fill: (place: CompletedPlace) => readonly string[],
): Case[] {
  return commands.flatMap(({ path, options }) =>
    options.flatMap(({ word, value }): Case[] =>
      value === undefined ? [] : [[`${path} ${word}`, fill(value)]],
    ),
  );
}

/** The branches of a `case`: one for all patterns where the same is to be done. */
function cases(all: readonly Case[]): string[] {
  const patterns = new Map<string, string[]>();
  for (const [pattern, lines] of all) {
    const body = lines.map((line) => `      ${line}`).join('\n');
    patterns.set(body, [...(patterns.get(body) ?? []), quoted(pattern)]);
  }
  return [...patterns].map(([body, names]) => `    ${names.join(' | ')})\n${body}\n      ;;`);
}

/** A word with its meaning as one word of zsh's `_describe`. */
function described({ word, about }: CompletedWord): string {
  return quoted(about === '' ? word : `${word}:${about}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
}
