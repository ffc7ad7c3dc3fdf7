/** The settings of group `optimizer`: how the weights are updated. */
import type { OptionTable } from '../options/option-table.ts';
import { MAX_COUNT } from '../options/option-types.ts';
import { SCHEDULE_NAMES, type ScheduleName, type ScheduleSpec } from './schedule.ts';
import {
  makeOptimizerSpec,
  OPTIMIZER_NAMES,
  OPTIMIZERS,
  type OptimizerKind,
  type OptimizerSpec,
} from './spec.ts';

/** How the weights are updated; each setting is explained in `OPTIMIZER_OPTIONS`. */
export interface OptimizerSettings {
  readonly optimizer: OptimizerKind;
  readonly lr: number;
  readonly momentum: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clipNorm: number | undefined;
  readonly schedule: ScheduleName;
  readonly warmupSteps: number;
  readonly minLr: number;
  readonly stepSize: number;
  readonly gamma: number;
}

/** The one description of these settings. */
export const OPTIMIZER_OPTIONS: OptionTable<OptimizerSettings> = {
  optimizer: {
    type: { kind: 'choice', choices: OPTIMIZER_NAMES },
    default: 'adam',
    help: 'Update rule; momentum is sgd with momentum',
    isEveryday: true,
  },
  lr: {
    type: { kind: 'number', min: 0, max: 1000, exclusive: 'min' },
    default: 0.001,
    help: 'Learning rate, before the schedule',
    isEveryday: true,
  },
  momentum: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.9,
    help: 'Part of the last update that is kept',
    onlyWith: { key: 'optimizer', values: optimizersWith('momentum') },
  },
  beta1: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.9,
    help: 'Decay of the first moment',
    onlyWith: { key: 'optimizer', values: optimizersWith('beta1') },
  },
  beta2: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'max' },
    default: 0.999,
    help: 'Decay of the second moment',
    onlyWith: { key: 'optimizer', values: optimizersWith('beta2') },
  },
  epsilon: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'min' },
    default: 1e-8,
    help: 'Added to the root of the second moment',
    onlyWith: { key: 'optimizer', values: optimizersWith('epsilon') },
  },
  weightDecay: {
    type: { kind: 'number', min: 0, max: 10 },
    default: 0,
    help: 'Pull of the weights towards 0; when not given, 0.01 with adamw',
  },
  clipNorm: {
    type: { kind: 'number', min: 0, max: 1e12, exclusive: 'min' },
    default: undefined,
    help:
      'Largest L2 norm of the whole gradient; a longer one is scaled down to it; not given: ' +
      'no limit',
  },
  schedule: {
    type: { kind: 'choice', choices: SCHEDULE_NAMES },
    default: 'constant',
    help:
      'How the learning rate moves: cosine falls to min_lr, step multiplies by gamma every ' +
      'step_size steps',
  },
  warmupSteps: {
    type: { kind: 'integer', min: 0, max: MAX_COUNT },
    default: 0,
    unit: 'steps',
    help: 'Steps over which the learning rate first rises from 0',
  },
  minLr: {
    type: { kind: 'number', min: 0, max: 1000 },
    default: 0,
    help: 'Learning rate at the end of a cosine schedule',
    onlyWith: { key: 'schedule', values: ['cosine'] },
  },
  stepSize: {
    type: { kind: 'integer', min: 1, max: MAX_COUNT },
    default: 1000,
    unit: 'steps',
    help: 'Steps between two drops of a step schedule',
    onlyWith: { key: 'schedule', values: ['step'] },
  },
  gamma: {
    type: { kind: 'number', min: 0, max: 1, exclusive: 'min' },
    default: 0.1,
    help: 'Factor of each drop of a step schedule',
    onlyWith: { key: 'schedule', values: ['step'] },
  },
};

/** Makes the spec of the optimizer that is asked for: of the settings, those that it has. */
export function optimizerSpecOf(settings: OptimizerSettings): OptimizerSpec {
  const { optimizer, momentum, beta1, beta2, epsilon, weightDecay } = settings;
  const wanted = Object.entries({ momentum, beta1, beta2, epsilon, weightDecay });
  const own = wanted.filter(([number]) => Object.hasOwn(OPTIMIZERS[optimizer].defaults, number));
  return makeOptimizerSpec(optimizer, Object.fromEntries(own));
}

/** Makes the schedule that is asked for. */
export function scheduleSpecOf(settings: OptimizerSettings): ScheduleSpec {
  const base = { learningRate: settings.lr, warmupSteps: settings.warmupSteps };
  switch (settings.schedule) {
    case 'constant':
      return { kind: 'constant', ...base };
    case 'cosine':
      return { kind: 'cosine', ...base, minimum: settings.minLr };
    case 'step':
      return { kind: 'step', ...base, gamma: settings.gamma, everySteps: settings.stepSize };
    default:
      return settings.schedule satisfies never;
  }
}

/** The optimizers whose rule has a number of this name. */
function optimizersWith(number: string): readonly OptimizerKind[] {
  return OPTIMIZER_NAMES.filter((name) => Object.hasOwn(OPTIMIZERS[name].defaults, number));
}
