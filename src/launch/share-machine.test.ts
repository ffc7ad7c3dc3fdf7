import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { shareMachine } from './share-machine.ts';

describe('shareMachine', () => {
  test('shares all cores out among workers on the CPU, at least one each', () => {
    const lanes = (workers: number, cores: number): number[] =>
      shareMachine({ workers, lanes: 'auto', throttle: [1] }, ['cpu'], cores).map(
        (share) => share.lanes,
      );

    assert.deepEqual(lanes(3, 8), [3, 3, 2]);
    assert.deepEqual(lanes(3, 2), [1, 1, 1]);
  });

  test('gives devices in turn, one core to each worker on a GPU, the rest to the others', () => {
    const shares = shareMachine(
      { workers: 5, lanes: 'auto', throttle: [1] },
      ['webgpu', 'cpu'],
      16,
    );

    assert.deepEqual(
      shares.map(({ device, lanes }) => `${device} ${lanes}`),
      ['webgpu 1', 'cpu 7', 'webgpu 1', 'cpu 6', 'webgpu 1'],
    );
  });

  test('gives workers on the CPU the lanes that were asked for, and one to those on a GPU', () => {
    const shares = shareMachine({ workers: 2, lanes: 4, throttle: [1] }, ['cuda', 'cpu'], 2);

    assert.deepEqual(
      shares.map(({ lanes }) => lanes),
      [1, 4],
    );
  });

  test('slows workers down in turn, on whatever they compute', () => {
    const shares = shareMachine({ workers: 4, lanes: 'auto', throttle: [4, 1] }, ['cuda'], 2);

    assert.deepEqual(
      shares.map(({ throttle }) => throttle),
      [4, 1, 4, 1],
    );
  });
});
