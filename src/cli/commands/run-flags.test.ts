import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { DEFAULT_WORKLOAD } from '../../validate/watch/workloads.ts';
import { parseRunFlags, type RunFlags } from './run-flags.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-flags-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The flags as commander gives them, with the defaults of the command. */
function flagsIn(folder: string, changes: Partial<RunFlags> = {}): RunFlags {
  return {
    workers: '2',
    steps: '100',
    batchSize: '32',
    learningRate: '0.01',
    hiddenSize: '128',
    numLayers: '2',
    seed: '42',
    workload: 'mlp',
    lanes: '1',
    device: 'cpu',
    output: join(folder, 'new', 'result.json'),
    healthCheckpointPath: join(folder, 'new', 'health.json'),
    ...changes,
  };
}

describe('parseRunFlags', () => {
  test('takes the defaults of the original, and writes nothing', (t) => {
    const folder = folderOf(t);
    const request = parseRunFlags(flagsIn(folder));

    assert.deepEqual(request.workload, DEFAULT_WORKLOAD);
    assert.deepEqual(
      [request.tdpWatts, request.baselineThroughput, request.notes],
      [undefined, undefined, []],
    );
    assert.equal(existsSync(join(folder, 'new')), false);
  });

  const refused: readonly (readonly [Partial<RunFlags>, RegExp])[] = [
    [{ workers: '0' }, /^--workers: expected a whole number from 1 to 256, got "0"/],
    [{ workers: '2.5' }, /^--workers/],
    [{ steps: '-1' }, /^--steps/],
    [{ steps: '100001' }, /^--steps: expected a whole number from 1 to 100000/],
    [{ batchSize: '1001' }, /^--batch-size: expected a whole number from 1 to 1000, got "1001"/],
    [{ learningRate: '0' }, /^--learning-rate: expected a number above 0, got "0"/],
    [{ learningRate: 'NaN' }, /^--learning-rate/],
    [{ hiddenSize: '' }, /^--hidden-size/],
    [{ numLayers: '0' }, /^--num-layers/],
    [{ seed: '4294967296' }, /^--seed/],
    [{ workload: 'cnn' }, /^--workload: expected mlp or transformer or embedding, got "cnn"/],
    [{ backend: 'mpi' }, /^--backend: expected gloo or nccl or star, got "mpi"/],
    [{ device: 'tpu' }, /^--device/],
    [{ tdpWatts: '10' }, /^--tdp-watts: expected a number from 20 to 100000, got "10"/],
    [{ baselineThroughput: '0' }, /^--baseline-throughput: expected samples per second above 0/],
    [{ baselineThroughput: 'none.json' }, /reading none\.json: there is no such file/],
    [{ output: '/proc/results/a.json' }, /^--output \/proc\/results\/a\.json: cannot be written/],
    [{ output: '/dev/null' }, /^--output \/dev\/null: expected a file, and this is a device/],
    [{ output: tmpdir() }, /^--output .*: expected a file, and this is a folder/],
    [{ plain: '/proc/plain.json' }, /^--plain/],
  ];
  for (const [changes, message] of refused) {
    test(`refuses ${JSON.stringify(changes)}`, (t) => {
      const folder = folderOf(t);
      assert.throws(() => parseRunFlags(flagsIn(folder, changes)), {
        code: 'CONFIG_INVALID',
        message,
      });
      assert.equal(existsSync(join(folder, 'new')), false);
    });
  }

  test('refuses one file for two things', (t) => {
    const folder = folderOf(t);
    const path = join(folder, 'a.json');
    const changes = { output: path, healthCheckpointPath: `${folder}/./a.json` };

    assert.throws(() => parseRunFlags(flagsIn(folder, changes)), {
      code: 'CONFIG_INVALID',
      message: /^--health-checkpoint-path .*: expected another file than that of --output/,
    });
  });

  test('takes the baseline from a result file', (t) => {
    const folder = folderOf(t);
    const path = join(folder, 'single.json');
    const payload = {
      num_workers: 1,
      num_steps: 1,
      steps: [
        {
          step: 0,
          loss: 1,
          throughput_samples_per_sec: 640,
          allreduce_time_ms: 1,
          compute_time_ms: 1,
        },
      ],
      total_time_sec: 1,
      total_allreduce_time_ms: 1,
      total_compute_time_ms: 1,
      start_timestamp: '2026-01-02T00:00:00Z',
      end_timestamp: '2026-01-02T00:00:01Z',
      average_loss: 1,
      final_loss: 1,
      average_throughput_samples_per_sec: 640.5,
    };
    writeFileSync(path, JSON.stringify(payload));

    assert.equal(
      parseRunFlags(flagsIn(folder, { baselineThroughput: path })).baselineThroughput,
      640.5,
    );
    assert.equal(
      parseRunFlags(flagsIn(folder, { baselineThroughput: '1e3' })).baselineThroughput,
      1000,
    );
  });

  test('notes a backend that is not used, and workers that will have nothing to do', (t) => {
    const folder = folderOf(t);
    const { notes } = parseRunFlags(
      flagsIn(folder, { backend: 'nccl', workers: '9', batchSize: '4' }),
    );

    assert.match(notes[0] ?? '', /--backend nccl: .* recorded as "star"/);
    assert.match(
      notes[1] ?? '',
      /--workers 9: a step of 4 samples is 4 micro-batches, so 5 of the workers/,
    );
    assert.deepEqual(parseRunFlags(flagsIn(folder, { workers: '8' })).notes, []);
  });
});
