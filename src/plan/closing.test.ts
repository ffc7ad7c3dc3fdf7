import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { closesInMs, type OpenStep, staleSamples, summandsOf } from './closing.ts';

const DEADLINE = { kind: 'deadline', timeoutMs: 100 } as const;
const STALENESS = { kind: 'staleness', maxStaleness: 3 } as const;
const OPEN: OpenStep = { elapsedMs: 120, lastMs: 100, isAnyIdle: true, expectedMs: [150] };

describe('closesInMs', () => {
  test('never closes a step that is to be complete, nor one of which nothing is in', () => {
    assert.equal(closesInMs({ kind: 'complete' }, OPEN), undefined);
    for (const closing of [DEADLINE, STALENESS])
      assert.equal(closesInMs(closing, { ...OPEN, lastMs: undefined }), undefined);
  });

  test('closes a step at its deadline, whoever is expected when', () => {
    assert.equal(closesInMs({ ...DEADLINE, timeoutMs: 200 }, OPEN), 80);
    assert.equal(closesInMs(DEADLINE, { ...OPEN, isAnyIdle: false }), -20);
  });

  test('waits twice as long as it took the others for who may be done by then', () => {
    assert.equal(closesInMs(STALENESS, OPEN), 80);
    assert.equal(closesInMs(STALENESS, { ...OPEN, expectedMs: [1000, undefined] }), 80);
    assert.equal(closesInMs(STALENESS, { ...OPEN, elapsedMs: 200 }), 0);
  });

  test('leaves nobody behind for some milliseconds, however short the step', () => {
    const short = { ...OPEN, elapsedMs: 5, lastMs: 4, expectedMs: [4] };

    assert.equal(closesInMs(STALENESS, short), 15);
  });

  test('waits for nobody who is not to be done with the others', () => {
    assert.equal(closesInMs(STALENESS, { ...OPEN, expectedMs: [] }), 0);
  });

  test('does not wait for who is known to need longer, as long as somebody is idle', () => {
    assert.equal(closesInMs(STALENESS, { ...OPEN, expectedMs: [201] }), 0);
    assert.equal(
      closesInMs(STALENESS, { ...OPEN, expectedMs: [201], isAnyIdle: false }),
      undefined,
    );
  });
});

describe('staleSamples', () => {
  test('counts n samples as n / (1 + staleness), whole and at least one, up to the bound', () => {
    const counts = [1, 2, 3, 4].map((staleness) => staleSamples(STALENESS, staleness, 32));
    assert.deepEqual(counts, [16, 11, 8, 0]);
    assert.equal(staleSamples(STALENESS, 3, 1), 1);
  });

  test('leaves out what comes after a deadline', () => {
    assert.equal(staleSamples(DEADLINE, 1, 32), 0);
  });
});

describe('summandsOf', () => {
  test('has room for as many old gradients as new ones where they are added', () => {
    assert.deepEqual(
      [undefined, DEADLINE, STALENESS].map((closing) => summandsOf(closing, 6)),
      [6, 6, 12],
    );
  });
});
