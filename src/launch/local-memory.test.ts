import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noteOnProcesses } from './local-memory.ts';
import type { MachineShare } from './share-machine.ts';

const GIB = 2 ** 30;

function workers(count: number, device: MachineShare['device'] = 'cpu'): MachineShare[] {
  return Array.from({ length: count }, () => ({ device, lanes: 1, throttle: 1 }));
}

describe('noteOnProcesses', () => {
  test('notes more workers than cores, and nothing else', () => {
    assert.equal(noteOnProcesses(workers(2), 2, 8 * GIB), undefined);
    assert.equal(noteOnProcesses(workers(3, 'cuda'), 2, 8 * GIB), undefined);
    assert.equal(
      noteOnProcesses(workers(3), 2, 8 * GIB),
      '--workers 3: this machine has 2 cores, on which the workers take turns; fewer come to the ' +
        'same model',
    );
  });

  test('refuses as many as there is no memory for', () => {
    assert.throws(() => noteOnProcesses(workers(1000), 2, 24 * GIB), {
      name: 'RuntimeError',
      message:
        /^starting 1000 worker processes needs at least 97\.7 GiB of memory, and 24\.0 GiB are free/,
    });
  });
});
