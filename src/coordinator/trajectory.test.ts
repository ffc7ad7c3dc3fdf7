import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeTestPlan, NO_BYTES } from '../../test/scripted-worker.ts';
import { Pass } from './pass.ts';
import { Trajectory } from './trajectory.ts';

/** The next pass, done by one worker with gradients of this size. */
function settle(trajectory: Trajectory, largest: number): string {
  const pass = new Pass(trajectory.specOf('train', 1, 'star'));
  const microBatches = pass.uncoveredBy([]);
  pass.lease('a', microBatches);
  pass.count(
    microBatches.map((microBatch) => {
      return {
        microBatch,
        sampleCount: 2,
        lossSum: 1,
        correctSum: 0,
        maxima: [largest],
        computeMs: 1,
      };
    }),
  );
  return trajectory.settle(pass).kind;
}

const gridOf = (trajectory: Trajectory): readonly number[] =>
  trajectory.specOf('train', 1, 'star').exponents;

describe('Trajectory', () => {
  test('undone within a step, forgets how far passes of it have widened the grid', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    const fresh = gridOf(trajectory);
    assert.equal(settle(trajectory, 3), 'redo');
    assert.notDeepEqual(gridOf(trajectory), fresh);
    trajectory.undo(0);
    assert.deepEqual(gridOf(trajectory), fresh);

    assert.equal(settle(trajectory, 0.01), 'redo');
    assert.equal(settle(trajectory, 0.01), 'commit');
    const committed = gridOf(trajectory);
    assert.equal(settle(trajectory, 1e4), 'redo');
    assert.notDeepEqual(gridOf(trajectory), committed);
    trajectory.undo(1);

    assert.equal(trajectory.step, 1);
    assert.deepEqual(gridOf(trajectory), committed);
  });

  test('keeps a snapshot as of the last commit, whatever passes since then have widened', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    settle(trajectory, 0.01);
    settle(trajectory, 0.01);
    const committed = gridOf(trajectory);
    settle(trajectory, 1e4);
    trajectory.keep(trajectory.mark(), new Uint8Array(0));
    trajectory.rollBack();

    assert.deepEqual(gridOf(trajectory), committed);
  });

  test('keeps a state that comes late as of the step that it is of', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    settle(trajectory, 0.01);
    settle(trajectory, 0.01);
    const mark = trajectory.mark();
    const committed = gridOf(trajectory);
    settle(trajectory, 0.001);
    assert.equal(trajectory.step, 2);

    trajectory.keep(mark, new Uint8Array(0));
    assert.equal(trajectory.isKept, false);
    trajectory.rollBack();

    assert.equal(trajectory.step, 1);
    assert.deepEqual(gridOf(trajectory), committed);
    assert.equal(trajectory.ledger.counted, 16);
  });
});
