/**
 * The examples of the suite's pages: commands that exist, a workflow that is one, a program that
 * runs.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
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

const docs = resolve(import.meta.dirname, '../../docs');
const page = readFileSync(join(docs, 'validate-your-own-training.md'), 'utf8');
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
      .replace(/\s+#.*$/, '')
      .trim()
      .split(/\s+/),
  );
}

function blocksIn(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, block = '']) => block,
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
    const [example = ''] = blocksIn(page, 'json');

    assert.equal(trainingPayloadSchema.safeParse(JSON.parse(example)).error, undefined);
  });
});

const hasPython = spawnSync('python3', ['--version'], { timeout: 60_000 }).status === 0;

describe('a training program of its own', { skip: hasPython ? false : 'without python3' }, () => {
  test('written as the page shows is taken by every command that the page shows', async (t) => {
    const folder = temporaryFolder(t);
    const [program = ''] = blocksIn(page, 'python');
    const [session = ''] = blocksIn(page, 'sh');
    writeFileSync(join(folder, 'my_training.py'), program);
    const lines = unbroken(session).trimEnd().split('\n');

    for (const line of lines) {
      const [name, ...words] = line.split(/\s+/);
      if (name === 'python3') {
        const { status, stderr } = spawnSync('python3', words, {
          cwd: folder,
          encoding: 'utf8',
          timeout: 60_000,
        });
        assert.equal(status, 0, `${line}\n${stderr}`);
      } else {
        const started = startLockstep(t, words, folder);
        const { status } = await started.end();
        assert.equal(status, 0, `${line}\n${started.stderr}`);
      }
    }
    assert.ok(lines.length >= 5);
  });

  test('with another learning rate on three workers fails, and the setting is named', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'my_training.py'), blocksIn(page, 'python')[0] ?? '');
    for (const args of [
      ['1', 'single.json'],
      ['3', 'multi.json', '0.15'],
    ])
      assert.equal(
        spawnSync('python3', ['my_training.py', ...args], { cwd: folder, timeout: 60_000 }).status,
        0,
      );

    const validated = startLockstep(t, ['validate', 'single.json', 'multi.json', '--json'], folder);
    const { status } = await validated.end();

    const report = JSON.parse(validated.stdout) as ValidationReport;
    assert.deepEqual([status, report.diagnosis?.cause], [1, 'other-hyperparameters']);
    assert.match(report.diagnosis?.evidence.at(-1) ?? '', /learning_rate 0\.1 and 0\.15/);
  });
});
