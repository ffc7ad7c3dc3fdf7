import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LossCourse, nextCourse, NO_LOSSES } from './divergence.ts';

/** The step, from 1, at which a run with these losses is called diverged; 0 when it is not. */
function divergedAt(losses: readonly number[]): number {
  let course: LossCourse = NO_LOSSES;
  for (const [index, loss] of losses.entries()) {
    course = nextCourse(course, loss);
    if (course.isDiverged) return index + 1;
  }
  return 0;
}

const repeated = (count: number, ...losses: readonly number[]): number[] =>
  Array.from({ length: count }, () => losses).flat();

describe('nextCourse', () => {
  test('calls a run diverged whose loss is ten times the first in ten steps one after another', () => {
    assert.equal(divergedAt([2.3, 2, ...repeated(10, 23.1)]), 12);
    assert.equal(divergedAt([2.3, 2, ...repeated(9, 23.1), 2, ...repeated(9, 23.1)]), 0);
    assert.equal(divergedAt([2.3, ...repeated(100, 22.9)]), 0);
  });

  test('calls it diverged at once when a loss is ten thousand times the first', () => {
    assert.equal(divergedAt([2.3, 2.2, 8.6e14]), 3);
    assert.equal(divergedAt([2.3, 2.2, 22_000, 23_001]), 4);
  });

  test('takes no offence at spikes, at losses that fall, rise again, or are of either sign', () => {
    assert.equal(divergedAt([1, ...repeated(50, 0.001, 500, 0.5)]), 0);
    assert.equal(divergedAt([1, ...repeated(50, 1e-6), ...repeated(50, 9)]), 0);
    assert.equal(divergedAt([-1, ...repeated(50, -5, 2)]), 0);
  });

  test('begins with the first loss that is above zero', () => {
    assert.equal(divergedAt([0, -1, 0, ...repeated(50, 0.5)]), 0);
    assert.equal(divergedAt([0, -1, 0, 0.5, 5_001]), 5);
  });

  test('stays diverged', () => {
    let course = nextCourse(nextCourse(NO_LOSSES, 1), 1e6);
    for (let step = 0; step < 20; step++) course = nextCourse(course, 1);

    assert.equal(course.isDiverged, true);
  });
});
