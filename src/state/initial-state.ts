import { initialParameter } from '../models/initial-parameter.ts';
import type { ParameterInit } from '../models/model.ts';
import type { PlanBytes, PlannedInit, RunPlan } from '../plan/run-plan.ts';

/** Makes the state before the first update; `given` is that of the plan's bytes. */
export function makeInitialState(
  { job, initial, stateBytes }: Pick<RunPlan, 'job' | 'initial' | 'stateBytes'>,
  given: PlanBytes['given'],
): Uint8Array {
  const state = new Float32Array(stateBytes / 4);
  let offset = 0;
  let givenOffset = 0;
  for (const [index, { shape }] of job.parameters.entries()) {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = given.subarray(givenOffset, givenOffset + count);
    const init = valuesOf(initial[index], values);
    if (init.kind === 'values') givenOffset += count;
    state.set(initialParameter({ shape, init }, job.seed, index), offset);
    offset += count;
  }
  return new Uint8Array(state.buffer);
}

function valuesOf(init: PlannedInit | undefined, values: Float32Array): ParameterInit {
  return init === undefined || init.kind === 'given' ? { kind: 'values', values } : init;
}
