/** Workers of runs, or of the steps of one run, by colour: who is slow, and when. */
import { percentile } from '../results/percentile.ts';
import type { ResultStep } from '../results/result.ts';
import { partsByWorker, type RunView, type WorkerPart } from './run-view.ts';

/** Keys of a worker that can be drawn, as `--metric` takes them. */
export const HEATMAP_METRICS = [
  'allreduce_time_ms',
  'p99_allreduce_ms',
  'throughput_samples_per_sec',
  'compute_time_ms',
] as const;
/** One of these keys. */
export type HeatmapMetric = (typeof HEATMAP_METRICS)[number];

/** Values by row and column; undefined where there is none. */
export interface Heatmap {
  readonly rowKind: 'run' | 'worker';
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: readonly (readonly (number | undefined)[])[];
  readonly isStraggler: readonly (readonly boolean[])[];
}

/** A value this many times worse than the median of the workers beside it marks a straggler. */
const STRAGGLER_RATIO = 1.5;
/** Steps of a longer run share columns. */
const MAX_STEP_COLUMNS = 60;

/** One run: its workers by its steps, all steps first. Several: the runs by their workers. */
export function heatmapOf(views: readonly RunView[], metric: HeatmapMetric): Heatmap {
  const [only] = views;
  return views.length === 1 && only !== undefined
    ? workersBySteps(only, metric)
    : runsByWorkers(views, metric);
}

function runsByWorkers(views: readonly RunView[], metric: HeatmapMetric): Heatmap {
  const runs = views.map((view) => valuesOfRun(view, metric));
  const ids = [...new Set(runs.flatMap((values) => [...values.keys()]))].sort((a, b) => a - b);
  const values = runs.map((byWorker) => ids.map((id) => byWorker.get(id)));
  return {
    rowKind: 'run',
    rows: views.map(({ name }) => name),
    columns: ids.map((id) => `rank ${id}`),
    values,
    isStraggler: values.map((row) => stragglersOf(row, metric)),
  };
}

function workersBySteps({ steps }: RunView, metric: HeatmapMetric): Heatmap {
  const ids = [...partsByWorker(steps).keys()].sort((a, b) => a - b);
  const count = Math.min(MAX_STEP_COLUMNS, steps.length);
  const stretches = Array.from({ length: count }, (_, i) =>
    steps.slice(
      Math.floor((i * steps.length) / count),
      Math.floor(((i + 1) * steps.length) / count),
    ),
  );
  const byColumn = [steps, ...stretches].map((stretch) => {
    const parts = partsByWorker(stretch);
    return ids.map((id) => valueOf(parts.get(id) ?? [], stretch, metric));
  });
  const marks = byColumn.map((column) => stragglersOf(column, metric));
  return {
    rowKind: 'worker',
    rows: ids.map((id) => `rank ${id}`),
    columns: ['all steps', ...stretches.map(nameOfStretch)],
    values: ids.map((_, row) => byColumn.map((column) => column[row])),
    isStraggler: ids.map((_, row) => marks.map((column) => column[row] ?? false)),
  };
}

function nameOfStretch(stretch: readonly ResultStep[]): string {
  const [first, last] = [stretch[0]?.step ?? 0, stretch.at(-1)?.step ?? 0];
  return first === last ? `step ${first}` : `steps ${first} to ${last}`;
}

/** Each worker's value over a run: from its steps, or else from its last snapshot. */
function valuesOfRun(
  { steps, file }: RunView,
  metric: HeatmapMetric,
): Map<number, number | undefined> {
  const parts = partsByWorker(steps);
  if (parts.size > 0)
    return new Map([...parts].map(([id, own]) => [id, valueOf(own, steps, metric)]));
  const snapshots = file.payload.worker_snapshots ?? [];
  const key = metric === 'p99_allreduce_ms' ? 'allreduce_time_ms' : metric;
  return new Map(snapshots.map((snapshot) => [snapshot.worker_id, snapshot[key]]));
}

function valueOf(
  parts: readonly WorkerPart[],
  steps: readonly ResultStep[],
  metric: HeatmapMetric,
): number | undefined {
  if (parts.length === 0) return undefined;
  const sumOf = (of: (part: WorkerPart) => number): number =>
    parts.reduce((sum, part) => sum + of(part), 0);
  switch (metric) {
    case 'allreduce_time_ms':
      return sumOf((part) => part.allreduce_time_ms) / parts.length;
    case 'compute_time_ms':
      return sumOf((part) => part.compute_time_ms) / parts.length;
    case 'p99_allreduce_ms':
      return (
        percentile(
          parts.map((part) => part.allreduce_time_ms),
          99,
        ) ?? undefined
      );
    case 'throughput_samples_per_sec': {
      const totalMs = steps.reduce((sum, step) => sum + stepMsOf(step), 0);
      return totalMs > 0 ? (sumOf((part) => part.samples) / totalMs) * 1000 : undefined;
    }
    default:
      return metric satisfies never;
  }
}

/** Where a file does not tell the step's time, the sum of what it tells. */
function stepMsOf(step: ResultStep): number {
  const {
    step_time_ms,
    compute_time_ms,
    allreduce_time_ms,
    wait_time_ms = 0,
    other_time_ms = 0,
  } = step;
  return step_time_ms ?? compute_time_ms + allreduce_time_ms + wait_time_ms + other_time_ms;
}

/** Which of the workers are more than half again as slow as the median of all of them. */
export function stragglersOf(
  values: readonly (number | undefined)[],
  metric: HeatmapMetric,
): boolean[] {
  const present = values.filter((value) => value !== undefined);
  const median = percentile(present, 50);
  if (median === null || present.length < 2) return values.map(() => false);
  return values.map((value) => {
    if (value === undefined) return false;
    return metric === 'throughput_samples_per_sec'
      ? value * STRAGGLER_RATIO < median
      : value > median * STRAGGLER_RATIO;
  });
}
