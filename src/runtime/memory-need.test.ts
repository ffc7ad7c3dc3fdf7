import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import { makeOptimizerSpec } from '../optim/spec.ts';
import type { Job } from '../protocol/messages.ts';
import { rewriteStep } from './received-step.ts';
import { checkMemory, coordinatorBytes, microBatchBytes, workerBytes } from './memory-need.ts';

/** Only what the estimate looks at: one tensor of a million elements. */
const job = {
  parameters: [{ name: 'weight', shape: [1000, 1000], statisticMomentum: null }],
} as unknown as Job;
const adam = makeOptimizerSpec('adam', {});
const MILLION_FLOATS = 4_000_000;

describe('workerBytes', () => {
  test(
    'counts what one lane alone holds: weights, gradient, sum, two moments, and the state on ' +
      'its way',
    () => {
      assert.equal(workerBytes(job, adam, 1, true), (3 + 2 + 3) * MILLION_FLOATS);
    },
  );

  test('adds sums and totals when there are other workers, and copies for more lanes', () => {
    assert.equal(workerBytes(job, adam, 1, false), (3 + 2 + 3 + 2) * MILLION_FLOATS);
    assert.equal(workerBytes(job, adam, 4, true), (12 + 2 + 5 + 3) * MILLION_FLOATS);
    assert.equal(workerBytes(job, makeOptimizerSpec('sgd', {}), 1, true), (3 + 1) * MILLION_FLOATS);
  });
});

describe('microBatchBytes', () => {
  test('counts samples, masks, files, and half of the results of the steps', () => {
    const g = new GraphBuilder('large');
    const x = g.input('x', 'float32', [1, 1]);
    g.output('y', g.reduceSum(g.apply('Expand', [x, g.ints([2 ** 15, 2 ** 15])])));
    const step = rewriteStep(encodeGraph(g.build()), 'training');
    const sizes = { featureCount: 10, targetCount: 2, microBatch: 3, evaluateMicroBatch: 5 };
    const masks = [{ name: 'mask.0', shape: [4, 6], rate: 0.5 }];

    assert.equal(
      microBatchBytes({ ...sizes, masks }, [step]),
      4 * (8 * 13 + 24) + step.file.length + 2 ** 31,
    );
  });
});

describe('coordinatorBytes', () => {
  test('counts two states, and the sums of several workers', () => {
    assert.equal(coordinatorBytes(job, adam, 1), 6 * MILLION_FLOATS);
    assert.equal(coordinatorBytes(job, adam, 2), (6 + 3) * MILLION_FLOATS);
  });
});

describe('checkMemory', () => {
  test('refuses with both numbers and what to lower', () => {
    assert.throws(() => checkMemory('this worker', 6 * 2 ** 30, 4.5 * 2 ** 30), {
      code: 'RUNTIME_FAILED',
      message:
        'this worker needs at least 6.0 GiB of memory, and 4.5 GiB are free. Lower ' +
        '--workers, --lanes or --micro-batch, choose a smaller model, or an optimizer that ' +
        'keeps less: --optimizer sgd.',
    });
  });

  test('lets pass what fits, and what is small whatever the system says', () => {
    checkMemory('this worker', 6 * 2 ** 30, 6 * 2 ** 30);
    checkMemory('this worker', 2 ** 29, 0);
  });
});
