import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  OPTIMIZER_OPTIONS,
  optimizerSpecOf,
  scheduleSpecOf,
  type OptimizerSettings,
} from './optimizer-settings.ts';
import { SCHEDULE_NAMES } from './schedule.ts';
import { makeOptimizerSpec, OPTIMIZER_NAMES } from './spec.ts';

const settings = Object.fromEntries(
  Object.entries(OPTIMIZER_OPTIONS).map(([key, option]) => [key, option.default]),
) as unknown as OptimizerSettings;

describe('OPTIMIZER_OPTIONS', () => {
  test('ties a number to the optimizers whose rule has it', () => {
    assert.deepEqual(OPTIMIZER_OPTIONS.beta1.onlyWith?.values, ['adam', 'adamw']);
    assert.deepEqual(OPTIMIZER_OPTIONS.momentum.onlyWith?.values, ['momentum']);
  });
});

describe('optimizerSpecOf', () => {
  test('takes of the settings those that the optimizer has', () => {
    const wanted = { ...settings, momentum: 0.5, beta1: 0.8, weightDecay: 0.1 };

    const specs = OPTIMIZER_NAMES.map((optimizer) => optimizerSpecOf({ ...wanted, optimizer }));

    assert.deepEqual(specs, [
      makeOptimizerSpec('adam', { beta1: 0.8, weightDecay: 0.1 }),
      makeOptimizerSpec('adamw', { beta1: 0.8, weightDecay: 0.1 }),
      makeOptimizerSpec('sgd', { weightDecay: 0.1 }),
      makeOptimizerSpec('momentum', { momentum: 0.5, weightDecay: 0.1 }),
    ]);
  });
});

describe('scheduleSpecOf', () => {
  test('gives each kind its own numbers', () => {
    const wanted = { ...settings, lr: 2, warmupSteps: 3, minLr: 1, gamma: 0.5, stepSize: 7 };

    const specs = SCHEDULE_NAMES.map((schedule) => scheduleSpecOf({ ...wanted, schedule }));

    const base = { learningRate: 2, warmupSteps: 3 };
    assert.deepEqual(specs, [
      { kind: 'constant', ...base },
      { kind: 'cosine', ...base, minimum: 1 },
      { kind: 'step', ...base, gamma: 0.5, everySteps: 7 },
    ]);
  });
});
