/**
 * As `sync`, but a step does not wait for whoever is slower than the others: their gradients are
 * added to a later step, with less weight the older they are, up to a bound. `coordinator/` does
 * it, by what the plan says of closing steps.
 */
import { SYNC } from './sync.ts';
import type { Strategy } from './strategy.ts';

/** The strategy `async`. */
export const ASYNC: Strategy = {
  ...SYNC,
  plan(request) {
    const { maxStaleness } = request.config;
    const note =
      'strategy async: gradients of slower workers are added to later steps, up to ' +
      `${maxStaleness} steps later: the result depends on timing, and is not exact`;
    return {
      ...SYNC.plan(request),
      spec: { kind: 'async' },
      closing: { kind: 'staleness', maxStaleness },
      notes: [note],
    };
  },
};
