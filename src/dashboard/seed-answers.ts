/**
 * Answers with the paths and fields of the heterogeneous trainer's monitor, for programs that were
 * written for it. What nobody measures here is null.
 */
import { arch, cpus, freemem, hostname, loadavg, platform, totalmem } from 'node:os';
import { join } from 'node:path';
import type { RunEntry } from './run-library.ts';
import type { RunView } from './view/run-view.ts';
import { samplesPerSecond, shareOf } from './view/verdicts.ts';
import { isThere, type WorkerView } from './view/worker-view.ts';

/** `/api/system`: the machine that the dashboard runs on. */
export function system(): object {
  const [total, free] = [totalmem(), freemem()];
  return {
    hostname: hostname(),
    platform: platform(),
    architecture: arch(),
    cpu_count: cpus().length,
    load_average: loadavg(),
    memory_total: total,
    memory_available: free,
    memory_percent: (100 * (total - free)) / total,
  };
}

/** `/api/nodes`: the workers. */
export function nodes(view: RunView): object {
  return {
    nodes: view.workers.map((worker) => ({
      rank: worker.rank,
      node_id: worker.workerId,
      hostname: worker.host,
      device: worker.device,
      lanes: worker.lanes,
      status: worker.state,
      reason: worker.reason,
      share: shareOf(worker, view),
      throughput: throughputOf(worker, view),
      compute_ms: worker.mean.computeMs,
      communicate_ms: worker.mean.communicateMs,
      wait_ms: worker.mean.waitMs,
    })),
  };
}

/** `/api/cluster/status`. */
export function clusterStatus(view: RunView): object {
  return {
    total_nodes: view.workers.length,
    active_nodes: view.workers.filter(isThere).length,
    total_gpus: view.workers.filter((worker) => isThere(worker) && isGpu(worker)).length,
    avg_gpu_utilization: null,
    avg_memory_usage: null,
    total_throughput: samplesPerSecond(view),
  };
}

/** `/api/metrics/latest`: the last step, rank by rank. */
export function latestMetrics(view: RunView): object {
  const ranks = view.workers.filter(({ lastStep }) => lastStep > 0);
  return Object.fromEntries(
    ranks.map((worker) => [
      `rank_${worker.rank}`,
      {
        epoch: view.epoch,
        iteration: worker.lastStep,
        loss: view.loss,
        throughput: throughputOf(worker, view),
        iteration_time: view.stepMs === null ? null : view.stepMs / 1000,
        gpu_utilization: null,
        gpu_memory_percent: null,
      },
    ]),
  );
}

/** `/api/metrics/history/<run>`: the last stretches of steps. */
export function history({ history: { steps, columns }, name }: RunView, limit: number): object {
  const last = (column: readonly (number | null)[] = []): readonly (number | null)[] =>
    column.slice(-limit);
  return {
    experiment: name,
    iteration: steps.slice(-limit),
    loss: last(columns['loss']),
    throughput: last(columns['samplesPerSecond']),
    compute_time: last(columns['computeMs']),
    communicate_time: last(columns['communicateMs']),
    wait_time: last(columns['waitMs']),
  };
}

/** A row of `/api/jobs`; `live` is the run that is under way here. */
export function job({ name, status, createdMs, summary }: RunEntry, live?: RunView): object {
  const view = live?.name === name ? live : undefined;
  const { sizes } = view ?? {};
  const words = { finished: 'completed', running: 'running' } as const;
  return {
    id: name,
    name,
    model: summary?.model ?? null,
    dataset: summary?.dataset ?? null,
    status: status in words ? words[status as keyof typeof words] : 'failed',
    start_time: new Date(createdMs).toISOString(),
    epochs_completed: summary?.epochs ?? view?.epoch ?? null,
    total_epochs: sizes ? Math.ceil(sizes.steps / sizes.stepsPerEpoch) : (summary?.epochs ?? null),
    current_loss: summary?.trainLoss ?? view?.loss ?? null,
    throughput: summary?.samplesPerSecond ?? (view ? samplesPerSecond(view) : null),
    nodes: summary?.workers?.length ?? view?.workers.filter(isThere).length ?? null,
  };
}

/** A row of `/api/experiments`. */
export function experiment({ name, createdMs, summary }: RunEntry, folder: string): object {
  return {
    name,
    path: join(folder, name),
    ranks: summary?.workers?.map(({ rank }) => rank) ?? null,
    created: new Date(createdMs).toISOString(),
  };
}

function throughputOf({ mean }: WorkerView, { stepMs }: RunView): number | null {
  return stepMs === null || stepMs <= 0 ? null : (mean.samples / stepMs) * 1000;
}

function isGpu({ device }: WorkerView): boolean {
  return device !== '' && device !== 'cpu';
}
