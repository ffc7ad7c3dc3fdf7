/**
 * As `sync`, with every step led by the coordinator, which adds up all sums: no step is granted. In
 * mode `exact` the model is that of `sync`, bit for bit; in mode `deadline` a step goes on with
 * what is there when the time is up.
 */
import type { StepClosing } from '../plan/closing.ts';
import { SYNC } from './sync.ts';
import type { Strategy } from './strategy.ts';

/** The strategy `parameter-server`. */
export const PARAMETER_SERVER: Strategy = {
  ...SYNC,
  plan(request) {
    const { mode, gradientTimeout } = request.config;
    const isExact = mode === 'exact';
    const closing: StepClosing = isExact
      ? { kind: 'complete' }
      : { kind: 'deadline', timeoutMs: 1_000 * gradientTimeout };
    const note =
      `mode deadline: a step goes on after ${gradientTimeout} s with the gradients that are ` +
      'there, and leaves out the others: the result depends on timing, and is not exact';
    return {
      ...SYNC.plan(request),
      spec: { kind: 'parameter-server' },
      closing,
      notes: isExact ? [] : [note],
    };
  },
};
