/** The program of a faulty lane's thread: an ordinary lane with hooks. */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveLane } from '../../runtime/lanes/serve-lane.ts';
import { injectionLine } from './fault-order.ts';
import { faultyLaneHooks, type FaultyParts } from './faulty-lane.ts';

await serveLane(({ extra }) => {
  const parts = extra as FaultyParts;
  return faultyLaneHooks({
    ...parts,
    // Straight to the log of the process: a thread's own stderr goes through the main thread, and
    // comes later.
    onInjected: (step) =>
      writeSync(2, injectionLine(parts.order.fault, { step, atMs: Date.now() })),
    sleep: async (ms) => sleep(ms),
  });
});
