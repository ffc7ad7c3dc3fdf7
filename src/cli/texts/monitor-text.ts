/** How `lockstep monitor` words the state of a run. */
import type { Anomaly } from '../../validate/watch/anomalies.ts';
import type { HealthReport } from '../../validate/watch/health-report.ts';
import type { Health, WorkerSnapshot } from '../../validate/results/result.ts';
import type { Colours } from '../shell/terminal.ts';
import { rate } from '../shell/terminal.ts';

/** One line for a checkpoint: how far, and how the workers are. */
export function healthLine({ completed_steps, total_steps, workers }: Health): string {
  const known = workers.find((worker) => worker.loss !== null)?.loss;
  const loss = typeof known === 'number' ? `  loss ${Number(known.toPrecision(4))}` : '';
  const each = workers.map(
    ({ worker_id, step, status }) => `rank ${worker_id} ${status} at ${step}`,
  );
  const tail = each.length === 0 ? '' : `  ${each.join(', ')}`;
  return `step ${completed_steps} of ${total_steps}${loss}${tail}`;
}

/** One line for what is wrong. */
export function anomalyText(
  { type, severity, message }: Anomaly,
  { red, yellow }: Colours,
): string {
  return `${severity === 'critical' ? red('✗') : yellow('!')} ${type}: ${message}`;
}

/** Workers, anomalies and advice, under each other. */
export function statusText(state: HealthReport, colours: Colours): string {
  const { completed_steps, total_steps, is_complete, run_id, anomalies, recommendations } = state;
  return [
    `${run_id}: step ${completed_steps} of ${total_steps}${is_complete ? ', complete' : ''}`,
    workerTable(state.worker_statuses, colours),
    ...anomalies.map((anomaly) => anomalyText(anomaly, colours)),
    ...recommendations.map((advice) => colours.dim(`  ${advice}`)),
  ].join('\n');
}

/** A line for each worker, with headings. */
export function workerTable(
  workers: readonly WorkerSnapshot[],
  { green, yellow, red }: Colours,
): string {
  const rows = workers.map((worker) => [
    `rank ${worker.worker_id}`,
    worker.status,
    String(worker.step),
    worker.loss === null ? '-' : String(Number(worker.loss.toPrecision(4))),
    rate(worker.throughput_samples_per_sec),
    worker.allreduce_time_ms.toFixed(2),
    worker.compute_time_ms.toFixed(2),
  ]);
  const all = [
    ['worker', 'status', 'step', 'loss', 'samples/s', 'all-reduce ms', 'compute ms'],
    ...rows,
  ];
  const widths = all.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(cell.length, widest[i] ?? 0)),
    [],
  );
  const colourOf = { healthy: green, slow: yellow, failed: red };
  return all
    .map((row, line) => {
      const status = workers[line - 1]?.status;
      const cells = row.map((cell, i) =>
        i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
      );
      return cells
        .map((cell, i) => (i === 1 && status !== undefined ? colourOf[status](cell) : cell))
        .join('  ');
    })
    .join('\n');
}
