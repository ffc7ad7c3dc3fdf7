/** Training on a GPU, which is played in software, and what is said of every device. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { DeviceReport } from '../../src/runtime/devices.ts';
import { softwareGpuMissing, useSoftwareGpu } from '../software-gpu.ts';
import { startLockstep } from '../cluster/processes.ts';
import { referenceOf, startRun, startWorker } from '../cluster/runs.ts';

const skip = softwareGpuMissing();
const absent = process.platform === 'win32' ? 'coreml' : 'dml';

/** So small that a GPU in software takes about 30 ms for a micro-batch. */
const SMALL = [
  ...['--model', 'mlp', '--dataset', 'digits', '--hidden', '16', '--seed', '7'],
  ...['--micro-batch', '16', '--global-batch', '32', '--eval-every', '1000000'],
];

function assertNear(
  actual: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void {
  assert.equal(actual.length, expected.length);
  for (const [step, loss] of actual.entries()) {
    const reference = expected[step]!;
    assert.ok(
      Math.abs(loss - reference) <= tolerance * reference,
      `step ${step + 1}: ${loss}, ${reference}`,
    );
  }
}

describe('lockstep train --device', { skip }, () => {
  before(useSoftwareGpu);

  test('trains on a GPU with the losses of the CPU', async (t) => {
    const args = [...SMALL, '--steps', '5'];
    const onGpu = ['--workers', '1', '--device', 'webgpu'];
    const reference = await referenceOf(t, args);

    const { summary, losses } = await startRun(t, [...args, ...onGpu]).outcome();

    assertNear(losses, reference.losses, 1e-5);
    assert.ok(Math.abs(summary.testLoss! - reference.summary.testLoss!) < 1e-4);
    assert.deepEqual(
      summary.workers.map(({ device, lanes }) => [device, lanes]),
      [['webgpu', 1]],
    );
  });

  // That all replicas are the same is checked by the coordinator: the run would fail.
  test('mixes a worker on a GPU with one on the CPU, and says that bits differ', async (t) => {
    const args = [...SMALL, '--steps', '60'];
    const reference = await referenceOf(t, args);
    const run = startRun(t, [...args, '--workers', '2'], 'coordinator');
    const gpuWorker = await startWorker(t, run, '--device', 'webgpu', '--rank', '0');
    // Shaders take time: the worker on the CPU would be done before the other begins.
    await gpuWorker.saying(
      /webgpu computes \d+ nodes of the training step; left to the CPU: .*LogSoftmax/,
    );
    await startWorker(t, run, '--rank', '1');

    const { summary, losses } = await run.outcome();

    assertNear(losses, reference.losses, 1e-4);
    const [gpu, cpu] = summary.workers;
    assert.deepEqual([gpu!.device, cpu!.device], ['webgpu', 'cpu']);
    assert.ok(gpu!.samples > 0 && cpu!.samples > 0, `${gpu!.samples} and ${cpu!.samples} samples`);
    assert.equal(run.eventsOf('numerics-differ').at(-1)?.classes.length, 2);
  });

  test('takes the CPU for auto where the GPU is slower, and says so', async (t) => {
    const run = startRun(t, [...SMALL, '--steps', '1', '--device', 'auto', '--workers', '1']);

    const { summary } = await run.outcome();

    assert.equal(summary.workers[0]!.device, 'cpu');
    assert.match(
      run.program.stderr,
      /^device auto: cpu \(cpu [\d.]+ GFLOP\/s; webgpu [\d.]+ GFLOP\/s; no cuda: .+\)$/m,
    );
  });
});

describe('a device that cannot be used', () => {
  test('is refused with more lanes than it can have', { skip }, async (t) => {
    useSoftwareGpu();
    const program = startLockstep(t, [
      'worker',
      '--join',
      '127.0.0.1:9',
      '--device',
      'webgpu',
      '--lanes',
      '2',
    ]);

    assert.equal((await program.end()).status, 2);
    assert.match(program.stderr, /^error: --lanes: expected 1, got "2"/m);
  });
});

describe('lockstep devices', { skip }, () => {
  before(useSoftwareGpu);

  test('prints what every device can do, or why it cannot be used', async (t) => {
    const json = startLockstep(t, ['devices', '--json']);
    const text = startLockstep(t, ['devices']);

    assert.deepEqual([(await json.end()).status, (await text.end()).status], [0, 0]);
    const { devices } = JSON.parse(json.stdout) as { devices: DeviceReport[] };
    assert.deepEqual(
      devices.map(({ device }) => device),
      ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'],
    );
    const gpu = devices[1]!;
    assert.equal(gpu.isAvailable, true);
    assert.deepEqual(gpu.drivers, ['libvk_swiftshader.so']);
    for (const { isAvailable, gigaflops, reason } of devices)
      assert.ok(isAvailable ? gigaflops! > 0 : reason);
    assert.match(text.stdout, /^webgpu +yes  GPU through .+ GFLOP\/s, libvk_swiftshader\.so$/m);
    assert.match(text.stdout, new RegExp(`^${absent} +no   .+; this is `, 'm'));
  });
});
