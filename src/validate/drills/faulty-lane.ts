/** How a lane of a faulty worker goes wrong. */
import { type GradientFault, gradientFaultNamed } from './gradient-faults.ts';
import type { LaneHooks } from '../../runtime/lanes/lane.ts';
import type { FaultOrder } from './fault-order.ts';

/** What the lanes and the heartbeat of a faulty worker are started with. */
export interface FaultyParts {
  readonly order: FaultOrder;
  /** One word: 1 once the worker's clock has jumped. */
  readonly clock: Int32Array<SharedArrayBuffer>;
}

/** What hooks need from around them. */
export interface FaultyLaneOptions extends FaultyParts {
  /** Told once, when the fault begins. */
  readonly onInjected: (step: number) => void;
  readonly sleep: (ms: number) => Promise<void>;
}

const SLEEP_MS = 500;

/** The hooks that make a lane faulty as it was ordered; none for a fault that is not in a lane. */
export function faultyLaneHooks(options: FaultyLaneOptions): LaneHooks {
  const { fault } = options.order;
  const damage = gradientFaultNamed(fault);
  if (damage !== undefined) return damaging(options, damage);
  switch (fault) {
    case 'slow_worker':
      return slowing(options);
    case 'stale_worker':
      return missingOneUpdate(options);
    case 'clock_jump':
      return jumping(options);
    default:
      return {};
  }
}

/** Tells of the fault's beginning, the first time. */
function createBeginning({ onInjected }: FaultyLaneOptions): (step: number) => void {
  let isInjected = false;
  return (step) => {
    if (!isInjected) onInjected(step);
    isInjected = true;
  };
}

function damaging(options: FaultyLaneOptions, damage: GradientFault): LaneHooks {
  const { order } = options;
  const begin = createBeginning(options);
  return {
    afterGradients: (gradients, step, microBatch) => {
      if (step < order.step) return;
      begin(step);
      damage(gradients, { seed: order.seed, step, microBatch });
    },
  };
}

function slowing(options: FaultyLaneOptions): LaneHooks {
  const begin = createBeginning(options);
  let sleptStep = -1;
  return {
    afterGradients: async (_gradients, step) => {
      if (step < options.order.step || step === sleptStep) return;
      begin(step);
      sleptStep = step;
      await options.sleep(SLEEP_MS);
    },
  };
}

function missingOneUpdate({ order, onInjected }: FaultyLaneOptions): LaneHooks {
  let isMissed = false;
  return {
    skipsUpdate: (step) => {
      if (isMissed || step < order.step) return false;
      isMissed = true;
      onInjected(step);
      return true;
    },
  };
}

function jumping(options: FaultyLaneOptions): LaneHooks {
  const begin = createBeginning(options);
  return {
    afterGradients: (_gradients, step) => {
      if (step < options.order.step) return;
      begin(step);
      Atomics.store(options.clock, 0, 1);
    },
  };
}
