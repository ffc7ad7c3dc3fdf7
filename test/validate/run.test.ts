import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { resultSchema, type TrainingPayload } from '../../src/validate/results/result.ts';
import { assertGone, isAlive, startLockstep, temporaryFolder } from '../cluster/processes.ts';
import { lossBits, MeasuredRun } from './measured-run.ts';

function sumOf(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? Number.NaN), 0);
}

describe('lockstep run', () => {
  test('has the same losses and the same model on one, two and four workers', async (t) => {
    const payloads: TrainingPayload[] = [];
    for (const workers of ['1', '2', '4']) {
      const { payload } = await new MeasuredRun(t, ['--workers', workers]).finished();
      payloads.push(payload);
    }
    const [single, ...multi] = payloads;

    assert.equal(single!.steps.length, 100);
    assert.ok(single!.final_loss < 0.01 * single!.steps[0]!.loss, 'it learns');
    for (const payload of multi) {
      assert.deepEqual(lossBits(payload), lossBits(single!));
      assert.deepEqual(
        [payload.state_digest, payload.weights_digest],
        [single!.state_digest, single!.weights_digest],
      );
    }
    assert.deepEqual(
      payloads.map(({ num_workers, worker_snapshots }) => [num_workers, worker_snapshots?.length]),
      [
        [1, 1],
        [2, 2],
        [4, 4],
      ],
    );
  });

  test('writes the canonical result, the plain form, the health file, nothing else', async (t) => {
    const run = new MeasuredRun(t, [
      '--workers',
      '2',
      '--steps',
      '20',
      '--json',
      '--baseline-throughput',
      '1000',
    ]);
    const { result, payload } = await run.finished();

    assert.deepEqual(readdirSync(run.folder).sort(), ['health.json', 'plain.json', 'result.json']);
    assert.deepEqual(JSON.parse(run.program.stdout), result);
    assert.deepEqual(JSON.parse(readFileSync(run.path('plain.json'), 'utf8')), payload);
    const { metrics, workload, schema_version } = result;
    assert.deepEqual([schema_version, workload.steps, workload.batch_size], ['1.1.0', 20, 32]);
    assert.ok(metrics.memory_utilization_percent > 0 && metrics.memory_utilization_percent < 100);
    const efficiency = (payload.average_throughput_samples_per_sec / 2000) * 100;
    assert.ok(Math.abs(metrics.scaling_efficiency_pct! - efficiency) < 1e-9 * efficiency);
    const { is_complete, completed_steps, workers } = run.health()!;
    assert.deepEqual([is_complete, completed_steps, workers.length], [true, 20, 2]);
    assert.ok(workers.every(({ status, step }) => status === 'healthy' && step === 20));
    const check = startLockstep(t, [
      'report',
      'check',
      ...['result', 'plain', 'health'].map((name) => run.path(`${name}.json`)),
    ]);
    assert.equal((await check.end()).status, 0, check.stderr);
  });

  test('obeys the seed in data and weights, and the batch size of the whole step', async (t) => {
    const runs = [
      ['--seed', '42'],
      ['--seed', '7'],
      ['--batch-size', '16'],
    ].map(async (args) => (await new MeasuredRun(t, ['--steps', '5', ...args]).finished()).payload);
    const [usual, seeded, small] = await Promise.all(runs);

    assert.equal(
      new Set([usual, seeded, small].map((payload) => payload!.steps[0]!.loss_bits)).size,
      3,
    );
    assert.deepEqual(
      small!.steps.map(({ workers }) => sumOf(workers!.map(({ samples }) => samples))),
      [16, 16, 16, 16, 16],
    );
  });

  test('speaks as the original does, without colour, of every step when asked', async (t) => {
    const run = new MeasuredRun(t, [
      '--steps',
      '3',
      '--verbose',
      '--backend',
      'gloo',
      '--tdp-watts',
      '150',
    ]);
    const { result, payload } = await run.finished();
    const { stderr, stdout } = run.program;

    assert.match(stderr, /^note: --backend gloo: .* recorded as "star"$/m);
    assert.match(stderr, /^Starting distributed training run\.\.\./m);
    assert.equal(stderr.match(/^step \d\/3 {2}loss \d+\.\d{6} .* compute \d/gm)?.length, 3);
    const loss = payload.final_loss.toFixed(6);
    assert.match(
      stdout,
      new RegExp(
        `✓ Run complete!\n  Total time: [\\d.]+s\n  Final loss: ${loss}\n  Avg throughput: ` +
          '[\\d.,]+ samples/sec\n',
      ),
    );
    assert.match(stdout, /\n {2}Metrics saved to: .*result\.json\n$/);
    assert.ok(!(stdout + stderr).includes('\u001b'));
    // Where RAPL can be read it is measured, and said so.
    const isEstimate = (payload.power_metrics as { estimated: boolean } | null)?.estimated;
    assert.equal(/an estimate, not measured/.test(stdout), isEstimate);
    if (isEstimate === true) assert.ok(result.metrics.power_consumption_watts! >= 20);
  });

  test("when interrupted ends with 130, leaves no result, and keeps the run's files", async (t) => {
    const run = new MeasuredRun(t, ['--steps', '100000', '--json']);
    await run.program.during('some steps', () => (run.health()?.completed_steps ?? 0) > 0);
    run.program.signal('SIGINT');
    const { status } = await run.program.end();

    assert.equal(status, 130);
    assert.deepEqual([existsSync(run.path('result.json')), run.program.stdout], [false, '']);
    assert.equal(run.health()?.is_complete, false);
    const [folder] = readdirSync(run.folder).filter((name) => name.startsWith('lockstep-run-'));
    assert.ok(run.program.stderr.includes(`files of the run: ${run.path(folder!)}`));
    assert.ok(existsSync(join(run.path(folder!), 'summary.json')));
    await assertGone(run.workerIds());
  });

  test('when all workers are told to end ends with 1 and one clear message', async (t) => {
    const run = new MeasuredRun(t, ['--steps', '100000']);
    await run.program.during('some steps', () => (run.health()?.completed_steps ?? 0) > 0);
    for (const id of run.workerIds().filter(isAlive)) process.kill(id, 'SIGTERM');
    const { status } = await run.program.end();

    assert.equal(status, 1);
    assert.match(run.program.stderr, /^error: all 2 local workers have ended/m);
    assert.doesNotMatch(run.program.stderr, /^ {4}at /m);
    assert.equal(existsSync(run.path('result.json')), false);
  });

  test('goes on when the health file cannot be written any more, says so once, ends with 3', async (t) => {
    const folder = temporaryFolder(t);
    const path = join(folder, 'health', 'a.json');
    const run = new MeasuredRun(t, ['--steps', '100', '--health-checkpoint-path', path]);
    // It is there before there are workers.
    await run.program.during('a health file', () => existsSync(path));
    rmSync(join(folder, 'health'), { recursive: true });
    writeFileSync(join(folder, 'health'), 'in the way');
    const { status } = await run.program.end();
    const { stderr } = run.program;

    assert.equal(status, 3, stderr);
    assert.equal(stderr.match(/health\/a\.json: /g)?.length, 1, stderr);
    assert.doesNotMatch(stderr, /^ {4}at |^error/m);
    const result = resultSchema.parse(JSON.parse(readFileSync(run.path('result.json'), 'utf8')));
    assert.equal(result.workload.steps, 100);
    const payload = JSON.parse(readFileSync(run.path('plain.json'), 'utf8')) as TrainingPayload;
    assert.equal(payload.steps.length, 100);
    await assertGone(run.workerIds());
  });

  test('refuses unknown flags and wrong values with 2, and writes nothing', async (t) => {
    for (const [args, message] of [
      [['--worker', '2'], /error: unknown option --worker; did you mean --workers/],
      [
        ['--workers', 'two'],
        /^error: --workers: expected a whole number from 1 to 256, got "two"\n$/,
      ],
      [['--plain', '--output', 'x'], /^error: --plain: expected a value .*the flag --output\n$/],
      [['--tdp-watts', '--json'], /^error: --tdp-watts: expected a value .*the flag --json\n$/],
    ] as const) {
      const run = new MeasuredRun(t, args);
      const { status } = await run.program.end();

      assert.equal(status, 2);
      assert.match(run.program.stderr, message);
      assert.deepEqual(readdirSync(run.folder), []);
    }
  });
});
