import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeTestPlan, NO_BYTES } from '../../../test/scripted-worker.ts';
import { Pass } from './pass.ts';
import { Trajectory } from './trajectory.ts';

/** The next pass, done by one worker with gradients of this size, and what it came to. */
function settle(
  trajectory: Trajectory,
  largest: number | ((microBatch: number) => number),
): string {
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
        maxima: [typeof largest === 'number' ? largest : largest(microBatch)],
        computeMs: 1,
      };
    }),
  );
  const outcome = trajectory.settle(pass);
  return outcome.kind === 'redo' ? `redo: ${outcome.reason}` : outcome.kind;
}

const gridOf = (trajectory: Trajectory): readonly number[] =>
  trajectory.specOf('train', 1, 'star').exponents;

/** How the first step goes. */
const MEASURED = ['redo: calibration', 'commit'];

describe('Trajectory', () => {
  test('measures gradients on one micro-batch, whose grid the whole first step is on', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    const { microBatchCount, sampleCount } = trajectory.specOf('train', 1, 'star');
    assert.deepEqual([microBatchCount, sampleCount], [1, 2]);
    assert.equal(settle(trajectory, 0.01), 'redo: calibration');
    assert.equal(trajectory.specOf('train', 1, 'star').microBatchCount, 8);
    const measured = gridOf(trajectory);

    // Others have larger gradients, which the grid has room for.
    assert.equal(
      settle(trajectory, (microBatch) => (microBatch === 0 ? 0.01 : 0.05)),
      'commit',
    );
    assert.equal(trajectory.ledger.counted, 16);
    trajectory.undo(0);
    assert.equal(settle(trajectory, 0.01), 'redo: calibration');
    assert.deepEqual(gridOf(trajectory), measured);
  });

  test('undone within a step, forgets how far passes of it have widened the grid', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    const fresh = gridOf(trajectory);
    assert.equal(settle(trajectory, 3), 'redo: calibration');
    assert.notDeepEqual(gridOf(trajectory), fresh);
    trajectory.undo(0);
    assert.deepEqual(gridOf(trajectory), fresh);

    assert.equal(settle(trajectory, 0.01), 'redo: calibration');
    assert.equal(settle(trajectory, 0.01), 'commit');
    const committed = gridOf(trajectory);
    assert.equal(settle(trajectory, 1e4), 'redo: overflow');
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

  test('takes the grid of what was seen again, not of a large element that was seen once', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    const undisturbed = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    for (const each of [trajectory, undisturbed])
      assert.deepEqual([settle(each, 0.01), settle(each, 0.01)], MEASURED);

    assert.equal(settle(trajectory, 1e30), 'redo: overflow');
    assert.equal(settle(trajectory, 0.01), 'redo: unconfirmed');
    assert.equal(settle(trajectory, 0.01), 'commit');
    settle(undisturbed, 0.01);

    assert.deepEqual(gridOf(trajectory), gridOf(undisturbed));
  });

  test('measures its first grid again when what it measured is not seen again', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    const undisturbed = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    assert.deepEqual([settle(undisturbed, 0.01), settle(undisturbed, 0.01)], MEASURED);

    for (const wrong of [1e30, 0]) {
      trajectory.undo(0);
      assert.equal(settle(trajectory, wrong), 'redo: calibration');
      assert.match(settle(trajectory, 0.01), /^redo: (unconfirmed|overflow)$/);
    }
    assert.equal(settle(trajectory, 0.01), 'commit');

    assert.deepEqual(gridOf(trajectory), gridOf(undisturbed));
  });

  test('commits on too wide a grid at last when every attempt sees something else', () => {
    const trajectory = new Trajectory(makeTestPlan({ totalSteps: 5 }), NO_BYTES);
    settle(trajectory, 0.01);
    settle(trajectory, 0.01);

    const outcomes = [1e30, 0.01, 1e30, 0.01, 1e30, 0.01, 1e30].map((largest) =>
      settle(trajectory, largest),
    );

    assert.equal(outcomes.indexOf('commit'), 5, outcomes.join(', '));
  });
});
