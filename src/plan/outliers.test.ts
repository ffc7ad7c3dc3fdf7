import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomWords } from '../base/random.ts';
import { type Outlier, Outliers, type Pace } from './outliers.ts';

/** Feeds one step after the other; gives what was reported, with the step's index. */
function watch(steps: readonly (readonly Pace[])[]): [number, Outlier][] {
  const outliers = new Outliers();
  return steps.flatMap((paces, step) =>
    outliers.step(paces).map((o): [number, Outlier] => [step, o]),
  );
}

/** Paces of ranks 0, 1, ... that compute in these times; undefined: no work. */
function computing(...times: (number | undefined)[]): Pace[] {
  return times.flatMap((computeMs, rank) =>
    computeMs === undefined ? [] : [{ rank, computeMs, linkMs: 1 }],
  );
}

function repeat<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

describe('Outliers', () => {
  test('reports a worker that sleeps half a second in every step, after three of its steps', () => {
    const steps = [
      ...repeat(5, () => computing(0.4, 0.3, 0.5)),
      ...repeat(6, () => computing(0.4, 500, 0.5)),
    ];

    assert.deepEqual(watch(steps), [[7, { rank: 1, where: 'compute', ms: 500, othersMs: 0.5 }]]);
  });

  test('counts the steps in which a worker had work, however few', () => {
    const steps = [
      ...repeat(5, () => computing(0.4, 0.3, 0.5)),
      computing(0.4, 170, 0.5),
      computing(0.4, 500, 0.5),
      computing(0.4, undefined, 0.5),
      computing(undefined, 500, 0.5),
    ];

    assert.deepEqual(
      watch(steps).map(([step, { rank }]) => [step, rank]),
      [[8, 1]],
    );
  });

  test('reports frames that are late on one link as such, the sooner the later they are', () => {
    const reportedAfter = (linkMs: number): number => {
      const late = (step: number, rank: number): number => (step >= 5 && rank === 2 ? linkMs : 0.8);
      const steps = repeat(30, (step) =>
        [0, 1, 2].map((rank) => ({ rank, computeMs: 0.3, linkMs: late(step, rank) })),
      );
      const found = watch(steps);
      assert.deepEqual(
        found.map(([, { rank, where }]) => [rank, where]),
        [[2, 'link']],
      );
      return found[0]![0] - 4;
    };

    assert.deepEqual([200, 100, 50, 25].map(reportedAfter), [3, 4, 7, 13]);
  });

  test('compares two workers with each other', () => {
    const steps = [
      ...repeat(4, () => computing(0.4, 0.3)),
      ...repeat(5, () => computing(120, 0.3)),
    ];

    assert.deepEqual(
      watch(steps).map(([step, { rank }]) => [step, rank]),
      [[6, 0]],
    );
  });

  test('has nothing to compare a lone worker with', () => {
    assert.deepEqual(watch(repeat(20, (step) => computing(step < 10 ? 1 : 1_000))), []);
  });

  test('remembers how fast the others were when they have no work just now', () => {
    const steps = [
      ...repeat(5, () => computing(0.4, 0.3, 0.3)),
      ...repeat(5, () => computing(400, undefined, undefined)),
    ];

    assert.deepEqual(
      watch(steps).map(([, { rank, othersMs }]) => [rank, othersMs]),
      [[0, 0.3]],
    );
  });

  test('tells once, and again only after the worker has kept up for a while', () => {
    const slow = repeat(20, () => computing(0.4, 300, 0.5));
    const calm = (count: number): Pace[][] => repeat(count, () => computing(0.4, 0.5, 0.5));

    assert.equal(watch([...calm(3), ...slow, ...calm(7), ...slow]).length, 1);
    assert.equal(watch([...calm(3), ...slow, ...calm(8), ...slow]).length, 2);
  });

  test('says nothing of one or two hiccups, however long', () => {
    const steps = repeat(40, (step) =>
      computing(0.4, step === 7 || step === 8 || step === 20 ? 5_000 : 0.4, 0.4),
    );

    assert.deepEqual(watch(steps), []);
  });

  test('says nothing of the first step, in which everything warms up', () => {
    assert.deepEqual(
      watch([computing(40, 900, 50), ...repeat(10, () => computing(0.4, 0.4, 0.4))]),
      [],
    );
  });

  test('says nothing when all become slow together', () => {
    const steps = repeat(30, (step) =>
      computing(...(step < 10 ? [0.4, 0.3, 0.5] : [90, 120, 100])),
    );

    assert.deepEqual(watch(steps), []);
  });

  test('says nothing of machines that differ by less than three times', () => {
    assert.deepEqual(watch(repeat(50, () => computing(100, 250, 110))), []);
  });

  test('says nothing of a few milliseconds, however many times what it takes the others', () => {
    assert.deepEqual(watch(repeat(200, () => computing(0.2, 20, 0.2))), []);
    assert.equal(watch(repeat(200, () => computing(0.2, 21, 0.2))).length, 1);
  });

  test('begins anew with a worker that has come in the place of another', () => {
    const outliers = new Outliers();
    for (let step = 0; step < 5; step++) outliers.step(computing(0.4, 0.4, step < 3 ? 0.4 : 900));
    outliers.forget(2);

    const found = repeat(3, () => outliers.step(computing(0.4, 0.4, 900))).flat();

    assert.deepEqual(found, []);
  });

  test('says nothing in a thousand runs on a busy machine, whose delays have a heavy tail', () => {
    const random = new RandomWords(3, 'synthetic', 2);
    let drawn = 0;
    // Pareto with exponent 1.2: one in 250 is above 20 ms, one in 1,700 above 100 ms.
    const delay = (): number => 0.2 * (1 - random.uniform(drawn++)) ** (-1 / 1.2);
    let lateCount = 0;

    for (let run = 0; run < 1_000; run++) {
      const steps = repeat(100, () =>
        [0, 1, 2].map((rank) => ({ rank, computeMs: delay(), linkMs: delay() })),
      );
      lateCount += steps.flat().filter(({ computeMs }) => computeMs > 20).length;
      assert.deepEqual(watch(steps), [], `run ${run}`);
    }

    assert.ok(lateCount > 500, `${lateCount} times more than 20 ms`);
  });
});
