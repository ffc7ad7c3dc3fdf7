import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Command, CommanderError } from 'commander';
import {
  checkFlagValues,
  commandOf,
  helpAsFlag,
  prepareCommands,
  usageErrorText,
} from './command-line.ts';

function program(): Command {
  const report = new Command('report')
    .addCommand(new Command('html').option('--result <file...>'))
    .addCommand(new Command('pdf'));
  const train = new Command('train').argument('[config...]').option('--steps <n>').option('--json');
  return new Command('lockstep').addCommand(train).addCommand(report);
}

describe('the words after lockstep', () => {
  test('ask for help in one way', () => {
    assert.deepEqual(helpAsFlag([]), []);
    assert.deepEqual(helpAsFlag(['help']), ['--help']);
    assert.deepEqual(helpAsFlag(['help', 'train', '--all']), ['train', '--help', '--all']);
    assert.deepEqual(helpAsFlag(['help', 'report', 'html']), ['report', 'html', '--help']);
    assert.deepEqual(helpAsFlag(['train', 'help']), ['train', 'help']);
  });

  test('name a command, at any depth', () => {
    assert.equal(commandOf(program(), []).name(), 'lockstep');
    assert.equal(commandOf(program(), ['--version']).name(), 'lockstep');
    assert.equal(commandOf(program(), ['train', 'report']).name(), 'train');
    assert.equal(commandOf(program(), ['report', '--help']).name(), 'report');
    assert.equal(commandOf(program(), ['report', 'html', 'x']).name(), 'html');
  });

  test('that name none are told so, with what was meant', () => {
    assert.throws(() => commandOf(program(), ['trian', '--help']), {
      name: 'ConfigError',
      message: 'there is no command trian. Did you mean "train"?',
    });
    assert.throws(() => commandOf(program(), helpAsFlag(['help', 'report', 'frob'])), {
      message: 'there is no command report frob. Known: html, pdf.',
    });
  });

  test('may not take a flag for the value of another', () => {
    const train = commandOf(program(), ['train']);

    checkFlagValues(train, ['train', '--steps', '-1', '--json']);
    checkFlagValues(train, ['train', '--', '--steps', '--json']);
    assert.throws(() => checkFlagValues(train, ['train', '--steps', '--json']), {
      message: '--steps: expected a value after it, got the flag --json',
    });
  });

  test('with a flag that there is not are answered in one line', () => {
    const answer = (...words: string[]): string => {
      const all = program();
      prepareCommands(all, words);
      try {
        all.parse(words, { from: 'user' });
      } catch (error) {
        if (error instanceof CommanderError) return usageErrorText(error, commandOf(all, words));
      }
      return '';
    };

    const steps = 'error: unknown option --max-steps; did you mean --steps?';
    assert.equal(answer('train', '--max-steps', '3'), steps);
    assert.equal(answer('train', '--max-steps=3'), steps);
    assert.equal(answer('train', '--step'), 'error: unknown option --step; did you mean --steps?');
    assert.equal(answer('train', '--frob'), 'error: unknown option --frob; --help lists all');
    assert.equal(
      answer('report', 'pdf', 'x'),
      "error: too many arguments for 'pdf'. Expected 0 arguments but got 1.",
    );
  });
});
