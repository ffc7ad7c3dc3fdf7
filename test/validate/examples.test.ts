/**
 * The examples of the suite's pages: commands that exist, a workflow that is one, a program that
 * runs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { baselineCommand } from '../../src/cli/commands/baseline-command.ts';
import { benchCollectiveCommand } from '../../src/cli/commands/bench-collective-command.ts';
import { faultTestCommand } from '../../src/cli/commands/fault-test-command.ts';
import { monitorCommand } from '../../src/cli/commands/monitor-command.ts';
import { reportCommand } from '../../src/cli/commands/report-command.ts';
import { runCommand } from '../../src/cli/commands/run-command.ts';
import type { CommandContext } from '../../src/cli/shell/command-context.ts';
import { validateCommand } from '../../src/cli/commands/validate-command.ts';
import type { ValidationReport } from '../../src/validate/compare/compare-runs.ts';
import { trainingPayloadSchema } from '../../src/validate/results/result.ts';
import { startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { blocksOf } from '../pages.ts';

const docs = resolve(import.meta.dirname, '../../docs');
const PROGRAM = resolve(docs, '../examples/validate/my_training.py');
const workflow = readFileSync(join(docs, 'examples/validate-training.yml'), 'utf8');

const CONTEXT: CommandContext = {
  environment: {},
  self: { program: '', arguments: [] },
  startedMs: 0,
  now: () => 0,
  setExitCode: () => undefined,
};
const SUITE = [
  runCommand,
  validateCommand,
  baselineCommand,
  faultTestCommand,
  benchCollectiveCommand,
  reportCommand,
  monitorCommand,
];

/** Fails when a command of the suite would refuse these words; nothing is run. */
function assertParses(words: readonly string[]): void {
  const silence = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => undefined });
    if (command.commands.length === 0) command.action(() => undefined);
    for (const one of command.commands) silence(one);
  };
  const [name, ...rest] = words;
  const command = SUITE.map((make) => make(CONTEXT)).find((one) => one.name() === name);
  assert.ok(command !== undefined, `lockstep ${name} is no command of the suite`);
  silence(command);
  assert.doesNotThrow(() => command.parse(rest, { from: 'user' }), `lockstep ${words.join(' ')}`);
}

/** A text whose commands stand on one line each, where a backslash broke them. */
function unbroken(text: string): string {
  return text.replaceAll(/\\\n\s*/g, '');
}

/** The words after `lockstep` of every command in a text, without comments. */
function commandsIn(text: string): string[][] {
  const names = SUITE.map((make) => make(CONTEXT).name()).join('|');
  const pattern = new RegExp(`^\\s*(?:run: )?(?:\\$ )?(?:npx )?lockstep ((?:${names}) .*)$`, 'gm');
  return [...unbroken(text).matchAll(pattern)].map(([, words = '']) =>
    words
      .replace(/\s+(?:#|\|\|).*$/, '')
      .trim()
      .split(/\s+/),
  );
}

describe('the example workflow', () => {
  test('is YAML with the steps that validate a training, as commands that parse', () => {
    const { jobs } = parse(workflow) as {
      jobs: { validate: { steps: { run?: string; uses?: string }[] } };
    };
    const runs = jobs.validate.steps.flatMap(({ run }) => run ?? []);
    const commands = commandsIn(runs.join('\n'));

    assert.ok(runs.includes('npm ci'));
    assert.ok(
      jobs.validate.steps.some(({ uses }) => uses?.startsWith('actions/upload-artifact@') === true),
    );
    assert.deepEqual(
      commands.map(([name]) => name),
      ['run', 'run', 'validate', 'baseline', 'fault-test', 'report'],
    );
    for (const words of commands) assertParses(words);
  });
});

describe('the pages of the suite', () => {
  test('show only commands that can be parsed', () => {
    const commands = [
      'validate-your-own-training.md',
      'validation.md',
      'fault-detection.md',
    ].flatMap((name) => commandsIn(readFileSync(join(docs, name), 'utf8')));

    assert.ok(commands.length >= 10, `${commands.length} commands`);
    for (const words of commands) assertParses(words);
    assert.throws(() => assertParses(['validate', 'one.json']));
    assert.throws(() => assertParses(['validate', 'one.json', 'two.json', '--no-such-flag']));
  });

  test('show a file that the schema takes', () => {
    const example = blocksOf('docs/validate-your-own-training.md').find(
      ({ language }) => language === 'json',
    );

    const { error } = trainingPayloadSchema.safeParse(JSON.parse(example?.text ?? ''));
    assert.equal(error, undefined);
  });
});

const hasPython = spawnSync('python3', ['--version'], { timeout: 60_000 }).status === 0;

describe('a training program of its own', { skip: hasPython ? false : 'without python3' }, () => {
  /** Trains as the example does; gives how comparing with one worker's run ended. */
  async function validated(t: TestContext, rate: string): Promise<[number | null, string]> {
    const folder = temporaryFolder(t);
    for (const words of [
      ['1', 'single.json'],
      ['3', 'multi.json', rate],
    ]) {
      const { status, stderr } = spawnSync('python3', [PROGRAM, ...words], {
        cwd: folder,
        encoding: 'utf8',
        timeout: 60_000,
      });
      assert.equal(status, 0, stderr);
    }
    const files = ['single.json', 'multi.json'];
    const words = ['validate', ...files, '--tolerance', '1e-6', '--json'];
    const started = startLockstep(t, words, folder);
    const { status } = await started.end();
    return [status, started.stdout];
  }

  test('agrees with itself on three workers', async (t) => {
    const [status, report] = await validated(t, '0.1');

    assert.equal(status, 0, report);
  });

  test('with another learning rate on three workers fails, and the setting is named', async (t) => {
    const [status, text] = await validated(t, '0.15');

    const report = JSON.parse(text) as ValidationReport;
    assert.deepEqual([status, report.diagnosis?.cause], [1, 'other-hyperparameters']);
    assert.match(report.diagnosis?.evidence.at(-1) ?? '', /learning_rate 0\.1 and 0\.15/);
  });
});
