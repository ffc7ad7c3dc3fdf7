import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addToHistory, cutHistory, makeHistory } from './history.ts';

describe('History', () => {
  test('keeps every step as long as there is room', () => {
    const history = makeHistory(['loss']);
    for (let step = 1; step <= 600; step++) addToHistory(history, step, { loss: step });

    assert.equal(history.stride, 1);
    assert.deepEqual(history.columns['loss']?.slice(0, 3), [1, 2, 3]);
  });

  test('has means over longer stretches where there is no more room', () => {
    const history = makeHistory(['loss']);
    for (let step = 1; step <= 4_800; step++) addToHistory(history, step, { loss: step });

    assert.equal(history.stride, 8);
    assert.equal(history.steps.length, 600);
    assert.deepEqual(history.columns['loss']?.slice(0, 2), [4.5, 12.5]);
    assert.equal(history.steps.at(-1), 4_800);
  });

  test('takes no part of what was not measured, or is no number', () => {
    const history = makeHistory(['loss', 'accuracy']);
    addToHistory(history, 1, { loss: 2 });
    addToHistory(history, 2, { loss: NaN, accuracy: 0.5 });

    assert.deepEqual(history.columns, { loss: [2, null], accuracy: [null, 0.5] });
  });

  test('forgets what came after a step, and goes on from there', () => {
    const history = makeHistory(['loss']);
    for (let step = 1; step <= 1_200; step++) addToHistory(history, step, { loss: step });
    cutHistory(history, 601);
    addToHistory(history, 602, { loss: 9 });

    assert.equal(history.columns['loss']?.length, history.steps.length);
    assert.deepEqual([history.steps.at(-2), history.steps.at(-1)], [600, 602]);
  });
});
