import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startLockstep } from './processes.ts';

const absent = process.platform === 'win32' ? 'coreml' : 'dml';

describe('a device that cannot be used', () => {
  test('is refused before anything starts, with what there is to do', async (t) => {
    for (const command of [['train'], ['worker', '--join', '127.0.0.1:9']]) {
      const program = startLockstep(t, [...command, '--device', absent]);

      assert.equal((await program.end()).status, 2);
      assert.match(
        program.stderr,
        new RegExp(
          `^error: --device ${absent}: not available on this machine: .+\\. \`lockstep ` +
            'devices` lists',
          'm',
        ),
      );
    }
  });

  test('is refused when it is none', async (t) => {
    const program = startLockstep(t, ['worker', '--join', '127.0.0.1:9', '--device', 'webgp']);

    assert.equal((await program.end()).status, 2);
    assert.match(
      program.stderr,
      /^error: --device: expected one device, got "webgp"\. Did you mean "webgpu"\?$/m,
    );
  });
});
