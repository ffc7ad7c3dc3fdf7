import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Argument, Command, Option } from 'commander';
import { completionScript, SHELLS } from './completion-scripts.ts';
import { completedCommands } from './completion-words.ts';

function program(): Command {
  const paint = new Command('paint')
    .description('paint a wall; one at a time')
    .addArgument(new Argument('[wall]', 'a wall or a path').choices(['left', 'right']))
    .addOption(new Option('--tool <name>', "the painter's tool (clean)").choices(['brush']))
    .addOption(new Option('--pattern <name|path>', 'a pattern').choices(['dots']))
    .option('--number <n>', 'how many')
    .option('--wet', 'with water')
    .addOption(new Option('--brush <name>').hideHelp());
  return new Command('house').addCommand(paint).addCommand(new Command('sell'));
}

describe('completedCommands', () => {
  test('gives every command, its options without hidden ones, and what they take', () => {
    const files = { words: [], takesFile: true };
    const word = (text: string) => ({ word: text, about: '' });
    const help = { word: '--help', about: 'the page of a command', value: undefined };

    assert.deepEqual(completedCommands(program()), [
      {
        path: 'house',
        words: [
          { word: 'paint', about: 'paint a wall' },
          { word: 'sell', about: '' },
          { word: 'help', about: 'the page of a command' },
        ],
        takesFile: false,
        options: [help],
      },
      {
        path: 'house paint',
        words: [word('left'), word('right')],
        takesFile: true,
        options: [
          {
            word: '--tool',
            about: "the painter's tool",
            value: { words: [word('brush')], takesFile: false },
          },
          {
            word: '--pattern',
            about: 'a pattern',
            value: { words: [word('dots')], takesFile: true },
          },
          { word: '--number', about: 'how many', value: files },
          { word: '--wet', about: 'with water', value: undefined },
          help,
        ],
      },
      { path: 'house sell', words: [], takesFile: false, options: [help] },
    ]);
  });
});

describe('completionScript', () => {
  test('quotes what a shell would read otherwise', () => {
    const scripts = SHELLS.map((shell) => completionScript(shell, completedCommands(program())));

    assert.match(scripts[1]!, /'--tool:the painter'\\''s tool'/);
    assert.match(scripts[2]!, /-d 'the painter\\'s tool'/);
  });
});
