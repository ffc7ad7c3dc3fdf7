import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { chooseDevices, type DeviceReport, fastest, listDevices, plainReason } from './devices.ts';

const elsewhere = process.platform === 'win32' ? 'coreml' : 'dml';

describe('listDevices', () => {
  test('reports the CPU as measured, and why this system cannot have others', async () => {
    const [cpu, other] = await listDevices(['cpu', elsewhere]);

    assert.equal(cpu!.isAvailable, true);
    assert.ok(cpu!.gigaflops! > 0.5, `${cpu!.gigaflops} GFLOP/s`);
    assert.equal(other!.isAvailable, false);
    assert.match(other!.reason!, new RegExp(`; this is ${process.platform} ${process.arch}$`));
  });
});

describe('chooseDevices', () => {
  test('takes the CPU at its word, without trying anything', async () => {
    const startedMs = performance.now();

    assert.deepEqual(await chooseDevices(['cpu', 'cpu']), [{ device: 'cpu' }, { device: 'cpu' }]);
    assert.ok(performance.now() - startedMs < 100);
  });

  test('refuses a device that is not here, saying why and what there is', async () => {
    await assert.rejects(chooseDevices(['cpu', elsewhere]), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(
        error.message,
        /^--device \w+: not available on this machine: .+\. `lockstep devices`/,
      );
      return true;
    });
  });

  test('decides auto by trying, and says how it came to it', async () => {
    const [choice] = await chooseDevices(['auto']);

    assert.match(choice!.note!, /^device auto: \w+ \(\w+ [\d.]+ GFLOP\/s/);
  });
});

describe('fastest', () => {
  const report = (
    device: DeviceReport['device'],
    gigaflops?: number,
    advice?: string,
  ): DeviceReport => ({
    device,
    title: '',
    isAvailable: gigaflops !== undefined,
    ...(gigaflops === undefined ? { reason: 'no driver' } : { gigaflops }),
    ...(advice !== undefined && { advice }),
  });
  const lanesOf = (device: string): number => (device === 'cpu' ? 16 : 1);

  test('weighs a GPU against all cores', () => {
    assert.equal(fastest([report('cpu', 100), report('webgpu', 1500)], lanesOf).device, 'cpu');
    assert.equal(fastest([report('cpu', 100), report('webgpu', 1700)], lanesOf).device, 'webgpu');
  });

  test('prints speeds and reasons in one line, without what this system cannot have', () => {
    const reports = [
      report('cpu', 100.4),
      report('webgpu', 3),
      report('cuda', undefined, 'install it'),
      report('dml'),
    ];

    assert.deepEqual(fastest(reports, lanesOf), {
      device: 'cpu',
      note: 'device auto: cpu (cpu 1606 GFLOP/s; webgpu 3.0 GFLOP/s; no cuda: no driver)',
    });
  });
});

describe('plainReason', () => {
  test("names the missing library, which is only in ONNX Runtime's log", () => {
    const log =
      'Failed to load library /a/libx.so with error: libcudnn.so.9: cannot open shared ' +
      'object file: No such file';

    assert.equal(
      plainReason(
        'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library',
        log,
      ),
      'the library libcudnn.so.9 is not there',
    );
  });

  test('leaves out source lines', () => {
    const reason =
      '/src/context.cc:136 Initialize(const Config&) status == Success was false. Failed to ' +
      'get a WebGPU adapter: No supported adapters\n';

    assert.equal(plainReason(reason, ''), 'Failed to get a WebGPU adapter: No supported adapters');
  });
});
