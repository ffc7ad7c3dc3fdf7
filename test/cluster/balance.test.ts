import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { lockstep } from './lockstep-command.ts';
import { temporaryFolder } from './processes.ts';
import { assertSameModel, referenceOf, SHORT, startRun } from './runs.ts';

/** One worker of three is so much slower than the others that no other load of the machine hides it. */
const UNEQUAL = [...SHORT, '--workers', '3', '--throttle', '1,20,1'];

describe('unequal workers', () => {
  test('make the same model, and whoever is slow gets less to do', async (t) => {
    const reference = await referenceOf(t, SHORT);

    const outcome = await startRun(t, UNEQUAL).outcome();

    assertSameModel(outcome, reference);
    const samples = outcome.summary.workers.map((worker) => worker.samples);
    assert.ok(2 * samples[1]! < samples[0]! + samples[2]!, `samples ${samples.join()}`);
    assert.ok(samples[1]! > 0, 'it helped');
  });

  test('make the same model by a rule of the third seed system, as it says', async (t) => {
    const reference = await referenceOf(t, SHORT);
    const scores = join(temporaryFolder(t), 'gpu_profiles.json');
    writeFileSync(scores, JSON.stringify([4, 1, 1].map((compute_score) => ({ compute_score }))));

    const policy = ['--load-balance-policy', 'proportional', '--gpu-profiles', scores];
    const run = startRun(t, [...UNEQUAL, ...policy]);
    const outcome = await run.outcome();

    assertSameModel(outcome, reference);
    const told = run.eventsOf('rebalanced').at(-1)!;
    assert.deepEqual(
      told.shares.map(({ microBatches }) => microBatches),
      [4, 1, 1],
    );
    assert.match(run.program.stderr, /proportional shares from step \d+ on: rank 0 4, rank 1 1/);
    const samples = outcome.summary.workers.map((worker) => worker.samples);
    assert.ok(samples[0]! > 2 * samples[1]!, `samples ${samples.join()}`);
  });

  test('measure their machines where a rule wants that, and no file says it', async (t) => {
    const flags = ['--steps', '20', '--workers', '2', '--lanes', '1', '--seed', '7'];
    const run = startRun(t, [...flags, '--load-balance-policy', 'dynamic']);
    await run.outcome();

    const [told] = run.eventsOf('rebalanced');
    assert.equal(told!.policy, 'dynamic');
    assert.equal(
      told!.shares.reduce((sum, { microBatches }) => sum + microBatches, 0),
      6,
    );
  });
});

describe('lockstep profile', () => {
  test('writes what this machine is, for rules to share work out by', async (t) => {
    const folder = temporaryFolder(t);

    const { status, stdout } = await lockstep(t, 'profile', '--output-dir', folder);

    assert.equal(status, 0);
    assert.match(
      stdout,
      /^host .*\ncpu .*\nmemory .*\n(?:.*\n)*cpu +[\d.]+ GFLOP\/s on \d+ lanes?/,
    );
    const records = JSON.parse(readFileSync(join(folder, 'gpu_profiles.json'), 'utf8')) as {
      readonly device: string;
      readonly compute_score: number;
    }[];
    const cpu = records.find(({ device }) => device === 'cpu');
    assert.ok(cpu!.compute_score > 0 && cpu!.compute_score < 1_000, JSON.stringify(cpu));
  });

  test('says which folder cannot be written to', async (t) => {
    const { status, stderr } = await lockstep(
      t,
      'profile',
      '--no-benchmark',
      '--output-dir',
      '/dev/null/x',
    );

    assert.equal(status, 2);
    assert.match(
      stderr,
      /^error: --output-dir \/dev\/null\/x: expected a folder that can be written/,
    );
  });
});

describe('lockstep plan', () => {
  const settings = ['--dataset', 'synthetic_image', '--image-size', '8', '--samples', '800'];

  test('compares workers behind links by what a profile of this machine says', async (t) => {
    const folder = temporaryFolder(t);
    const place = ['--output-dir', folder, '--no-benchmark'];
    const profiled = await lockstep(t, 'profile', ...settings, '--micro-batch', '16,32', ...place);
    assert.equal(profiled.status, 0, profiled.stderr);
    assert.match(profiled.stdout, /^step +mlp on synthetic_image, 32 samples: [\d.]+ ms on each/m);

    const links = ['--workers', '2', '--link', '1mbit,5ms'];
    const profile = ['--profile', join(folder, 'system_profile.json')];
    const { status, stdout, stderr } = await lockstep(t, 'plan', ...settings, ...links, ...profile);

    assert.equal(status, 0, stderr);
    assert.match(stdout, /^\* +0 +sync +- .* 1\.00x$/m);
    assert.match(stdout, /^ +0,1 +sync +ring .* 0\.\d\dx$/m);
    assert.match(stdout, /^ +0,1 +local-sgd, \d+ steps +ring .*x$/m);
    assert.match(stdout, /^! 2 workers over these links: 0\.\d\dx of one\. Use --workers 1$/m);

    const other = ['--micro-batch', '8', ...links, ...profile];
    const refused = await lockstep(t, 'plan', ...settings, ...other);

    assert.equal(refused.status, 2);
    assert.match(
      refused.stderr,
      /^error: --profile: expected .* micro-batches of 8, got .* of 16, .* of 32\. There: lockstep /,
    );
  });
});
