/** Whether a run and its workers fit into this machine. */
import { availableParallelism } from 'node:os';
import { availableMemory } from '../data/available-memory.ts';
import { parseOptimizerSpec } from '../optim/spec.ts';
import type { RunPlan } from '../plan/run-plan.ts';
import { checkMemory, coordinatorBytes, workerBytes } from '../runtime/memory-need.ts';
import { strategyOf } from '../strategies/strategies.ts';
import type { MachineShare } from './share-machine.ts';

/** Memory that is a worker's own before it has any model: Node.js, ONNX Runtime and its threads. */
const PROCESS_BYTES = 100 * 2 ** 20;

/**
 * Before workers are started: a note when there are more than cores, of which each takes its turn.
 *
 * Throws: RuntimeError when so many processes do not fit into the memory of this machine.
 */
export function noteOnProcesses(
  shares: readonly MachineShare[],
  cores: number = availableParallelism(),
  availableBytes: number = availableMemory(),
): string | undefined {
  checkMemory(
    `starting ${shares.length} worker processes`,
    shares.length * PROCESS_BYTES,
    availableBytes,
  );
  const onCpu = shares.filter(({ device }) => device === 'cpu').length;
  if (onCpu <= cores) return undefined;
  return (
    `--workers ${shares.length}: this machine has ${cores} core${cores === 1 ? '' : 's'}, on which ` +
    'the workers take turns; fewer come to the same model'
  );
}

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
