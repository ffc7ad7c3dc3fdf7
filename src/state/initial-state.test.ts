import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeOptimizerSpec } from '../optim/spec.ts';
import { makeTestPlan } from '../../test/scripted-worker.ts';
import { makeInitialState } from './initial-state.ts';
import { stateBytesOf } from './state-layout.ts';

const PARAMETERS = [
  { name: 'a', shape: [3, 5], statisticMomentum: null },
  { name: 'b', shape: [2], statisticMomentum: null },
  { name: 'c', shape: [], statisticMomentum: null },
];

describe('makeInitialState', () => {
  test('keeps the order of parameters and given values; the optimizer begins with zeros', () => {
    const { job } = makeTestPlan();
    const stateBytes = stateBytesOf(PARAMETERS, makeOptimizerSpec('adam'));
    const plan = {
      job: { ...job, parameters: PARAMETERS },
      initial: [{ kind: 'constant', value: 0.5 }, { kind: 'given' }, { kind: 'given' }] as const,
      stateBytes,
    };

    const state = makeInitialState(plan, [Float32Array.of(7, 8), Float32Array.of(9)]);

    assert.equal(state.length, stateBytes);
    const values = new Float32Array(state.buffer);
    assert.deepEqual([...values.subarray(0, 15)], Array<number>(15).fill(0.5));
    assert.deepEqual([...values.subarray(15, 18)], [7, 8, 9]);
    assert.deepEqual([...values.subarray(18)], Array<number>(2 * 18).fill(0));
  });
});
