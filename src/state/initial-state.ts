import { invariant } from '../base/errors.ts';
import { staticElementCount } from '../graph/values/shape.ts';
import { initialParameter } from '../models/initial-parameter.ts';
import type { ParameterInit } from '../models/model.ts';
import type { PlanBytes, PlannedInit, RunPlan } from '../plan/run-plan.ts';

/** Makes the state before the first update; `given` is that of the plan's bytes. */
export function makeInitialState(
  { job, initial, stateBytes }: Pick<RunPlan, 'job' | 'initial' | 'stateBytes'>,
  given: PlanBytes['given'],
): Uint8Array {
  const state = new Float32Array(stateBytes / 4);
  const unused = given.values();
  let offset = 0;
  for (const [index, { name, shape }] of job.parameters.entries()) {
    const init = initOf(initial[index], unused);
    const values = initialParameter({ shape, init }, job.seed, index);
    const count = staticElementCount(shape);
    invariant(values.length === count, `${name} has ${count} values, ${values.length} are given`);
    state.set(values, offset);
    offset += count;
  }
  return new Uint8Array(state.buffer);
}

function initOf(init: PlannedInit | undefined, unused: Iterator<Float32Array>): ParameterInit {
  invariant(init !== undefined, 'a plan says of every parameter how it begins');
  if (init.kind !== 'given') return init;
  const next = unused.next();
  invariant(next.done !== true, 'every parameter that begins as given has its values');
  return { kind: 'values', values: next.value };
}
