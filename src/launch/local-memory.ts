import { parseOptimizerSpec } from '../optim/spec.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { checkMemory, coordinatorBytes, workerBytes } from '../runtime/memory-need.ts';
import { strategyOf } from '../strategies/strategies.ts';
import type { MachineShare } from './share-machine.ts';

/** Throws RuntimeError when a run does not fit into this machine together with its workers. */
export function checkLocalMemory(
  { job, update }: Pick<RunPlan, 'job' | 'update'>,
  shares: readonly MachineShare[],
): void {
  const isAlone = shares.length <= 1;
  const optimizer = parseOptimizerSpec(job.optimizer);
  const { extraRegions } = strategyOf(job);
  const needs = shares.map(({ lanes }) =>
    workerBytes(job, optimizer, lanes, isAlone, extraRegions),
  );
  const ofCoordinator = coordinatorBytes(job, update.optimizer, shares.length);
  const bytes = needs.reduce((sum, need) => sum + need, ofCoordinator);
  const count = `${shares.length} worker${isAlone ? '' : 's'}`;
  checkMemory(
    shares.length === 0 ? 'the coordinator' : `this run with ${count} on this machine`,
    bytes,
  );
}
