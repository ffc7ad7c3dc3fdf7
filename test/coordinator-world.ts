import assert from 'node:assert/strict';
import { ManualClock } from '../src/base/clock.ts';
import type { LockstepError } from '../src/base/errors.ts';
import { Coordinator } from '../src/coordinator/coordinator.ts';
import type { DataSource, RunResult } from '../src/coordinator/coordinator-options.ts';
import { DEFAULT_TIMING } from '../src/membership/timing.ts';
import type { RunEvent } from '../src/metrics/events.ts';
import type { RunPlan } from '../src/plan/run-plan.ts';
import type { Connection } from '../src/transport/connection.ts';
import { SimulatedHost } from '../src/transport/memory-network.ts';
import { ELEMENTS, makeTestPlan, NO_BYTES, ScriptedWorker } from './scripted-worker.ts';

/** A coordinator on a manual clock, with all that it tells its owner. */
export function createWorld(
  changes: Partial<RunPlan> = {},
  clock: ManualClock = new ManualClock(),
  data?: DataSource,
) {
  const host = new SimulatedHost('coordinator');
  const events: RunEvent[] = [];
  const results: RunResult[] = [];
  const errors: LockstepError[] = [];
  /** The step of the snapshot whenever the run was told to be trained. */
  const trained: number[] = [];
  let sessions = 0;
  const coordinator = new Coordinator({
    plan: makeTestPlan(changes),
    bytes: NO_BYTES,
    clock,
    timing: DEFAULT_TIMING,
    ...(data && { data }),
    newSession: () => `session-${sessions++}`,
    onEvent: (event) => void events.push(event),
    onTrained: () => void trained.push(coordinator.snapshot.step),
    onFinished: (result) => void results.push(result),
    onFailed: (error) => void errors.push(error),
  });
  const door = {
    clock,
    host,
    accept: (connection: Connection): void => coordinator.accept(connection),
  };
  const join = (...names: string[]): ScriptedWorker[] =>
    names.map((name) => new ScriptedWorker(door, name).join());
  const kinds = (): string[] => events.map(({ kind }) => kind);
  const eventsOf = <K extends RunEvent['kind']>(kind: K): Extract<RunEvent, { kind: K }>[] =>
    events.filter((event): event is Extract<RunEvent, { kind: K }> => event.kind === kind);
  return {
    clock,
    host,
    coordinator,
    events,
    results,
    errors,
    trained,
    door,
    join,
    kinds,
    eventsOf,
  };
}

/**
 * Two workers in their first pass of real training: the pass that measures the grid is behind them.
 */
export function startPair(changes: Partial<RunPlan> = {}) {
  const world = createWorld({ minWorkers: 2, ...changes });
  const [a, b] = world.join('a', 'b') as [ScriptedWorker, ScriptedWorker];
  a.contribute();
  b.contribute();
  world.clock.advance(5);
  assert.deepEqual(
    world.eventsOf('step-redone').map(({ reason }) => reason),
    ['calibration'],
  );
  assert.equal(world.coordinator.committedSteps, 0);
  return { ...world, a, b };
}

/** A gradient sum of equal elements. */
export function sumOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array(ELEMENTS).fill(value).buffer);
}

/** The micro-batches of a step. */
export const ALL: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7];
