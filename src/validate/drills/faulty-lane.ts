/** How a lane of a faulty worker goes wrong. */
import { gradientFaultNamed } from './gradient-faults.ts';
import type { LaneHooks } from '../../runtime/lane.ts';
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
  const { order, clock, sleep } = options;
  let isInjected = false;
  const begin = (step: number): void => {
    if (!isInjected) options.onInjected(step);
    isInjected = true;
  };
  const damage = gradientFaultNamed(order.fault);
  if (damage !== undefined) {
    return {
      afterGradients: (gradients, step, microBatch) => {
        if (step < order.step) return;
        begin(step);
        damage(gradients, { seed: order.seed, step, microBatch });
      },
    };
  }
  if (order.fault === 'slow_worker') {
    let sleptStep = -1;
    return {
      afterGradients: async (_gradients, step) => {
        if (step < order.step || step === sleptStep) return;
        begin(step);
        sleptStep = step;
        await sleep(SLEEP_MS);
      },
    };
  }
  if (order.fault === 'stale_worker') {
    return {
      skipsUpdate: (step) => {
        const isMissed = !isInjected && step >= order.step;
        if (isMissed) begin(step);
        return isMissed;
      },
    };
  }
  if (order.fault === 'clock_jump') {
    return {
      afterGradients: (_gradients, step) => {
        if (step < order.step) return;
        begin(step);
        Atomics.store(clock, 0, 1);
      },
    };
  }
  return {};
}
