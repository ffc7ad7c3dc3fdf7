import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Command, Option } from 'commander';
import { helpText, RareOption, shapeHelp, withChoices, wrapParagraphs } from './help.ts';

/** A command with an option of every sort, as it is shaped. */
function pageOf(isAll: boolean): string {
  const command = new Command('paint').description('paint a wall');
  command
    .option('--colour <name>', 'its colour', 'white')
    .addOption(withChoices(new Option('--tool <name>', 'with what'), ['brush', 'roll']))
    .addOption(new RareOption('--a-name-that-has-no-room <number>', 'a word '.repeat(20).trim()))
    .addOption(new Option('--color <name>').hideHelp())
    .addHelpText('after', helpText('\nOne\ntwo.\n  as it is\nThree.'));
  shapeHelp(command, isAll);
  let page = '';
  command.exitOverride().configureOutput({ writeOut: (text) => (page += text) });
  assert.throws(() => command.parse(['--help'], { from: 'user' }), { exitCode: 0 });
  return page;
}

describe('help', () => {
  test('begins with everyday options, and tells how to get the others', () => {
    assert.equal(
      pageOf(false),
      [
        'Usage: paint [options]',
        '',
        'paint a wall',
        '',
        'Options:',
        '  --colour <name>  its colour (default: white)',
        '  --tool <name>    with what (one of brush, roll)',
        '  -h, --help       this page; --all: every option',
        '',
        'One two.',
        '  as it is',
        'Three.',
        '',
        '1 more options: lockstep paint --help --all',
        '',
      ].join('\n'),
    );
  });

  test('begins a description on a line of its own where the name has no room', () => {
    const lines = pageOf(true).split('\n');
    const at = lines.indexOf('  --a-name-that-has-no-room <number>');

    assert.equal(lines[at + 1], `${' '.repeat(30)}${'a word '.repeat(7)}a`);
    assert.ok(lines.every((line) => line.length <= 80));
    assert.doesNotMatch(pageOf(true), /more options/);
  });
});

describe('wrapParagraphs', () => {
  test('breaks at blanks only, and leaves what is indented', () => {
    assert.equal(
      wrapParagraphs('one two three\nfour\n  five  six  seven  eight\n\nnine', 10),
      'one two\nthree four\n  five  six  seven  eight\n\nnine',
    );
    assert.equal(wrapParagraphs('a-word-that-is-too-long b', 10), 'a-word-that-is-too-long\nb');
  });
});
