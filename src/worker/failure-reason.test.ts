import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError, DataError, GraphError, RuntimeError } from '../base/errors.ts';
import { reasonForCoordinator } from './failure-reason.ts';

describe('reasonForCoordinator', () => {
  test('is the same for whatever is wrong with files: it tells no row, no place, no existence', () => {
    const reasons = [
      new DataError('reading /home/me/t.csv: line 3: expected a number, found "secret"'),
      new DataError('data of the run: expected "t.csv", found none in --data-dir /home/me'),
      new DataError('data of the run: expected SHA-256 aa, found bb'),
      new ConfigError('label_column: expected name, salary, or a number, got "x"'),
    ].map(reasonForCoordinator);

    assert.deepEqual(
      new Set(reasons),
      new Set([
        "the data of this run are not there, or not the same; the worker's own terminal or log " +
          'says more',
      ]),
    );
  });

  test('keeps what is about the job itself, and the last parts of paths', () => {
    for (const [error, reason] of [
      [new GraphError('Relu at layers.0/Relu: bad'), 'Relu at layers.0/Relu: bad'],
      [new RuntimeError('this worker needs 3 / 2 GiB'), 'this worker needs 3 / 2 GiB'],
      [
        new RuntimeError([
          "Cannot find module '/home/me/lib/ort.node'",
          'Require stack:',
          '- /home/me',
        ]),
        "Cannot find module 'ort.node'",
      ],
      [new RuntimeError('open C:\\Users\\me\\a.bin: denied'), 'open a.bin: denied'],
    ] as const)
      assert.equal(reasonForCoordinator(error), reason);
    assert.equal(reasonForCoordinator(new RuntimeError('x'.repeat(10_000))).length, 1000);
  });
});
