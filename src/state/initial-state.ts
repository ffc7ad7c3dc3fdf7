import { invariant } from '../base/errors.ts';
import { staticElementCount } from '../graph/values/shape.ts';
import { initialParameter } from '../models/initial-parameter.ts';
import type { ParameterInit } from '../models/model.ts';
import type { PlanBytes, PlannedInit, RunPlan } from '../plan/run-plan.ts';

type Beginning = Pick<RunPlan, 'job' | 'initial' | 'stateBytes'>;

/** Others get their turn after so long, while a large state is drawn. */
const TURN_MS = 200;

/** Makes the state before the first update; `given` is that of the plan's bytes. */
export function makeInitialState(plan: Beginning, given: PlanBytes['given']): Uint8Array {
  const drawing = draw(plan, given);
  for (;;) {
    const next = drawing.next();
    if (next.done === true) return next.value;
  }
}

/** The same, with turns for others in between. */
export async function drawInitialState(
  plan: Beginning,
  given: PlanBytes['given'],
): Promise<Uint8Array> {
  const drawing = draw(plan, given);
  let turnMs = performance.now();
  for (;;) {
    const next = drawing.next();
    if (next.done === true) return next.value;
    if (performance.now() - turnMs < TURN_MS) continue;
    await new Promise((later) => setTimeout(later));
    turnMs = performance.now();
  }
}

/** Draws tensor after tensor. */
function* draw(
  { job, initial, stateBytes }: Beginning,
  given: PlanBytes['given'],
): Generator<undefined, Uint8Array> {
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
    yield;
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
