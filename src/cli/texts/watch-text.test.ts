import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import pc from 'picocolors';
import { joined, stepOf } from '../../../test/dashboard-events.ts';
import { applyRecord, makeRunView } from '../../dashboard/view/run-view.ts';
import { watchLines } from './watch-text.ts';

const PLAIN = pc.createColors(false);

describe('watchLines', () => {
  test('answer the three questions, and have a row for each worker', () => {
    const view = makeRunView('night');
    const steps = Array.from({ length: 40 }, (_, i) => stepOf(i + 1, [80, 240, 80]));
    for (const [i, event] of [
      joined(0),
      joined(1, { host: 'mini' }),
      joined(2),
      ...steps,
    ].entries())
      applyRecord(view, { id: i + 1, timeMs: 1e12 + 100 * i, event });

    const lines = watchLines(view, view.updatedMs, PLAIN);

    assert.deepEqual(lines.slice(0, 3), [
      'night',
      'doing    Training with 3 workers, step 40',
      'slow     Rank 1 on mini computes 3 times as long as the others; it gets 33 % of the work',
    ]);
    assert.match(lines[3] ?? '', /^learning Yes: the loss fell from/);
    assert.equal(lines.length, 10);
    assert.match(lines[8] ?? '', /^1 +mini +cpu +training +33 % +\d+ +240 ms +10 ms/);
  });

  test('do not end where nothing is known yet', () => {
    assert.ok(watchLines(makeRunView('new'), 0, PLAIN).length >= 6);
  });
});
