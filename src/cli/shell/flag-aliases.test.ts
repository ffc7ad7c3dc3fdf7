import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { describeOptions } from '../../config/option-docs.ts';
import {
  likelyFlag,
  readAliases,
  RUN_ALIASES,
  TRAIN_ALIASES,
  withAliases,
} from './flag-aliases.ts';
import { runCommand } from '../commands/run-command.ts';

describe('flags by the names of other programs', () => {
  test('are read as ours, with a note for each', () => {
    const given = { batchSize: '64', rank: '0', masterPort: '4', epochs: '2' };

    const { flags, notes } = readAliases(given, TRAIN_ALIASES);

    assert.deepEqual(flags, { globalBatch: '64', port: '4', epochs: '2' });
    assert.deepEqual(notes, [
      '--batch-size: read as --global-batch; the samples of a step over all workers together',
      '--master-port: read as --port',
      '--rank: not used; workers get their ranks when they join',
    ]);
  });

  test('are refused beside ours', () => {
    assert.throws(() => readAliases({ learningRate: '1', lr: '2' }, TRAIN_ALIASES), {
      name: 'ConfigError',
      message: '--learning-rate: expected it or --lr, which is the same; got both',
    });
  });

  test('mean flags that there are, hide none of ours, and stay out of the help', () => {
    const environment = {};
    const context = { environment } as Parameters<typeof runCommand>[0];
    const ours = {
      train: describeOptions().map(({ flag }) => flag),
      run: runCommand(context).options.flatMap(({ long, hidden }) => (hidden ? [] : long!)),
    };
    const tables = { train: TRAIN_ALIASES, run: RUN_ALIASES };
    for (const name of ['train', 'run'] as const)
      for (const { flag, means } of tables[name]) {
        assert.ok(means === undefined || ours[name].includes(means), `${name}: ${means}`);
        assert.ok(!ours[name].includes(flag), `${name}: ${flag}`);
      }
    const command = withAliases(new Command('train'), TRAIN_ALIASES);
    assert.ok(!command.helpInformation().includes('--batch-size'));
  });

  test('lead to the flag of a command that means the same, also when misspelt', () => {
    const command = (...flags: string[]): Command => {
      const made = new Command('any');
      for (const flag of flags) made.option(`${flag} <value>`);
      return withAliases(made, TRAIN_ALIASES);
    };
    const train = command(
      '--steps',
      '--workers',
      '--out-dir',
      '--global-batch',
      '--lr',
      '--device',
    );
    const bench = command('--workers', '--iterations', '--output');

    const likely: readonly (readonly [Command, string, string | undefined])[] = [
      [train, '--max-steps', '--steps'],
      [train, '--max-stps', '--steps'],
      [train, '--batch-size', '--global-batch'],
      [train, '--learning-rate', '--lr'],
      [train, '--n-workers', '--workers'],
      [train, '--gpus', '--device'],
      [train, '--output', '--out-dir'],
      [train, '--stesp', '--steps'],
      [train, '--hepl', '--help'],
      [train, '--frobnicate', undefined],
      [bench, '--num-workers', '--workers'],
      [bench, '--num-iterations', '--iterations'],
      [bench, '--out-dir', '--output'],
      [bench, '--max-epochs', undefined],
    ];

    for (const [of, unknown, flag] of likely) assert.equal(likelyFlag(unknown, of), flag, unknown);
  });
});
