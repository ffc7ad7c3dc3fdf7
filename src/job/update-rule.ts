/** From settings to the optimizer and the schedule, as data. */
import type { TrainConfig } from '../config/train-config.ts';
import type { ScheduleSpec } from '../optim/schedule.ts';
import { makeOptimizerSpec, OPTIMIZERS, type OptimizerSpec } from '../optim/spec.ts';

/** The optimizer that a configuration asks for, with those of its numbers that it has. */
export function optimizerOf(config: TrainConfig): OptimizerSpec {
  const { momentum, beta1, beta2, epsilon, weightDecay } = config;
  const wanted: Readonly<Record<string, number>> = { momentum, beta1, beta2, epsilon, weightDecay };
  const known = Object.keys(OPTIMIZERS[config.optimizer].defaults);
  return makeOptimizerSpec(
    config.optimizer,
    Object.fromEntries(Object.entries(wanted).filter(([key]) => known.includes(key))),
  );
}

/** The schedule of learning rates that a configuration asks for. */
export function scheduleOf(config: TrainConfig): ScheduleSpec {
  const base = { learningRate: config.lr, warmupSteps: config.warmupSteps };
  switch (config.schedule) {
    case 'constant':
      return { kind: 'constant', ...base };
    case 'cosine':
      return { kind: 'cosine', ...base, minimum: config.minLr };
    case 'step':
      return { kind: 'step', ...base, gamma: config.gamma, everySteps: config.stepSize };
    default:
      return config.schedule satisfies never;
  }
}
