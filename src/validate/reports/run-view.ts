/** What a report shows of one run: names, times and workers, from whatever its file has. */
import { basename, extname } from 'node:path';
import type { Card, Tone } from '../../charts/html.ts';
import { formatNumber, formatValue } from '../../charts/html.ts';
import { percentile } from '../results/percentile.ts';
import type { RunFile } from '../results/read-result.ts';
import type { ResultStep } from '../results/result.ts';

/** A run as reports show it. */
export interface RunView {
  /** Tells runs of one report apart. */
  readonly name: string;
  readonly file: RunFile;
  readonly steps: readonly ResultStep[];
  readonly communicationPercent: number | undefined;
  readonly p99AllReduceMs: number | undefined;
  readonly scalingPercent: number | undefined;
}

/** The runs, named after their files; with the folder where that alone does not tell them apart. */
export function viewsOf(files: readonly RunFile[]): RunView[] {
  const short = files.map(({ path }) => basename(path, extname(path)));
  return files.map((file, i) => {
    const name = short[i] ?? file.path;
    const { payload, result } = file;
    return {
      name: short.filter((other) => other === name).length > 1 ? file.path : name,
      file,
      steps: payload.steps,
      communicationPercent: result?.metrics.communication_overhead_percent ?? communicationOf(file),
      p99AllReduceMs:
        payload.p99_allreduce_ms ??
        percentile(
          payload.steps.map((step) => step.allreduce_time_ms),
          99,
        ) ??
        undefined,
      scalingPercent:
        payload.scaling_efficiency_pct ?? result?.metrics.scaling_efficiency_pct ?? undefined,
    };
  });
}

function communicationOf({ payload }: RunFile): number | undefined {
  const allReduceMs = payload.total_allreduce_time_ms;
  const total = allReduceMs + payload.total_compute_time_ms;
  return total > 0 ? (allReduceMs / total) * 100 : undefined;
}

/** p99 of all-reduce times, milliseconds: up to the first good, up to the second to be watched. */
function allReduceTone(ms: number): Tone {
  return ms <= 5 ? 'good' : ms <= 15 ? 'warn' : 'bad';
}

/** Scaling efficiency in percent. */
function scalingTone(percent: number): Tone {
  return percent >= 90 ? 'good' : percent >= 75 ? 'warn' : 'bad';
}

/** What is read first. What was not measured is not there. */
export function cardsOf(view: RunView): Card[] {
  const { payload, result } = view.file;
  return [
    {
      name: 'Final loss',
      value: formatNumber(payload.final_loss),
      note: `mean ${formatNumber(payload.average_loss)}`,
    },
    {
      name: 'Throughput',
      value: formatNumber(payload.average_throughput_samples_per_sec),
      note: 'samples per second',
    },
    {
      name: 'Training time',
      value: `${formatNumber(payload.total_time_sec)} s`,
      note: `${payload.num_steps} steps`,
    },
    ...exchangeCards(view),
    ...cardIfKnown(result?.metrics.power_consumption_watts ?? undefined, (watts) => ({
      name: 'Power',
      value: `${formatNumber(watts)} W`,
      note: isEstimated(payload.power_metrics) ? 'estimated, not measured' : 'measured',
    })),
  ];
}

/** What working together costs. */
function exchangeCards({ p99AllReduceMs, communicationPercent, scalingPercent }: RunView): Card[] {
  return [
    ...cardIfKnown(p99AllReduceMs, (ms) => ({
      name: 'All-reduce, p99',
      value: `${formatNumber(ms)} ms`,
      note: 'good ≤ 5, watch ≤ 15',
      tone: allReduceTone(ms),
    })),
    ...cardIfKnown(communicationPercent, (percent) => ({
      name: 'Communication',
      value: `${formatNumber(percent)} %`,
      note: 'of all-reduce and compute',
    })),
    ...cardIfKnown(scalingPercent, (percent) => ({
      name: 'Scaling efficiency',
      value: `${formatNumber(percent)} %`,
      note: 'good ≥ 90, watch ≥ 75',
      tone: scalingTone(percent),
    })),
  ];
}

/** Gives one card for a value that is known, else none. */
export function cardIfKnown<T>(value: T | undefined, cardOf: (value: T) => Card): Card[] {
  return value === undefined ? [] : [cardOf(value)];
}

/** Whether a file's own words say that its power figures are no measurement. */
function isEstimated(power: unknown): boolean {
  return (
    typeof power === 'object' && power !== null && 'estimated' in power && power.estimated === true
  );
}

/** Under a title: what ran, on how many workers, when. */
export function subtitleOf({ file }: RunView): string[] {
  const { payload, result } = file;
  const workload = payload.workload_type ?? payload.config?.['workload'];
  return [
    ...(workload === undefined ? [] : [formatValue(workload)]),
    countOf(payload.num_workers, 'worker'),
    countOf(payload.num_steps, 'step'),
    ...(result === undefined ? [] : [`${result.tool_name} ${result.tool_version}`]),
    payload.start_timestamp,
  ];
}

/** 1 step, 2 steps. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A worker over a whole run: means of the steps that it had a part in. */
export interface WorkerView {
  readonly workerId: number;
  readonly status?: string;
  readonly step?: number;
  readonly loss?: number;
  readonly samples?: number;
  readonly throughput?: number;
  readonly computeMs?: number;
  readonly allReduceMs?: number;
  readonly waitMs?: number;
}

/** Gives all workers by id: times from the steps where they are told, the rest from snapshots. */
export function workersOf({ file: { payload } }: RunView): WorkerView[] {
  const views = new Map<number, WorkerView>();
  for (const snapshot of payload.worker_snapshots ?? []) {
    views.set(snapshot.worker_id, {
      workerId: snapshot.worker_id,
      status: snapshot.status,
      step: snapshot.step,
      ...(snapshot.loss !== null && { loss: snapshot.loss }),
      throughput: snapshot.throughput_samples_per_sec,
      computeMs: snapshot.compute_time_ms,
      allReduceMs: snapshot.allreduce_time_ms,
    });
  }
  for (const [workerId, parts] of partsByWorker(payload.steps)) {
    const mean = (of: (part: WorkerPart) => number): number =>
      parts.reduce((sum, part) => sum + of(part), 0) / parts.length;
    views.set(workerId, {
      ...views.get(workerId),
      workerId,
      samples: parts.reduce((sum, part) => sum + part.samples, 0),
      computeMs: mean((part) => part.compute_time_ms),
      allReduceMs: mean((part) => part.allreduce_time_ms),
      ...(parts.every((part) => part.wait_time_ms !== undefined) && {
        waitMs: mean((part) => part.wait_time_ms ?? 0),
      }),
    });
  }
  return [...views.values()].toSorted((a, b) => a.workerId - b.workerId);
}

/** One worker's part in one step. */
export type WorkerPart = NonNullable<ResultStep['workers']>[number];

/** Gives every worker's parts in the order of the steps; empty where no step tells of workers. */
export function partsByWorker(steps: readonly ResultStep[]): Map<number, WorkerPart[]> {
  const parts = new Map<number, WorkerPart[]>();
  for (const part of steps.flatMap(({ workers = [] }) => workers)) {
    const known = parts.get(part.worker_id);
    if (known === undefined) parts.set(part.worker_id, [part]);
    else known.push(part);
  }
  return parts;
}
