import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SteadySpeed } from './steady-speed.ts';

describe('SteadySpeed', () => {
  test('is the mean of the first steps, and later follows by a tenth', () => {
    const speed = new SteadySpeed();

    const means = [10, 11, 12].map((ms, step) => speed.at(step, ms));
    for (let step = 3; step < 50; step++) speed.at(step, 11);

    assert.deepEqual(means, [10, 10.5, 11]);
    assert.ok(Math.abs(speed.at(50, 12) - 11.1) < 1e-9);
  });

  test('is what was measured last where that is a quarter more or less, and begins anew', () => {
    const speed = new SteadySpeed();
    for (let step = 0; step < 50; step++) speed.at(step, 10);

    assert.equal(speed.at(50, 20), 20);
    assert.equal(speed.at(51, 22), 21);
    assert.equal(speed.at(52, 10), 10);
    assert.equal(new SteadySpeed().at(0, 0), 0);
  });

  test('counts a step once, however often it is asked for', () => {
    const speed = new SteadySpeed();
    speed.at(0, 10);

    assert.equal(speed.at(1, 12), 11);
    assert.equal(speed.at(1, 12), 11);
  });
});
