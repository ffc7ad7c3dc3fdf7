/** The state of a run as one HTML file. */
import {
  badge,
  type Card,
  cards,
  formatNumber,
  formatValue,
  type Html,
  markup,
  section,
  table,
  type Tone,
} from '../../charts/html.ts';
import { renderPage } from './html-page.ts';
import type { WorkerSnapshot } from '../results/result.ts';
import type { Anomaly } from '../watch/anomalies.ts';
import type { HealthReport, HealthStatus } from '../watch/health-report.ts';
import { statusBadge } from './html-single.ts';
import { countOf } from './run-view.ts';

const TONES: { readonly [Status in HealthStatus]: Tone } = {
  HEALTHY: 'good',
  DEGRADED: 'warn',
  CRITICAL: 'bad',
};

/** The page of a health report. */
export function monitorReport(report: HealthReport): string {
  const { status, run_id, timestamp, anomalies, worker_statuses } = report;
  return renderPage({
    title: 'Health of a run',
    facts: [run_id, countOf(worker_statuses.length, 'worker'), `written ${timestamp}`],
    verdict: badge(TONES[status], status),
    body: [
      cards(cardsOf(report)),
      section('Workers', workerTable(worker_statuses)),
      anomalies.length > 0 &&
        section('Anomalies', anomalyTable(anomalies), adviceOf(report.recommendations)),
    ],
  });
}

function cardsOf(report: HealthReport): Card[] {
  const { status, completed_steps, total_steps, is_complete, anomalies, worker_statuses } = report;
  const critical = report.anomaly_counts.by_severity.critical ?? 0;
  const healthy = worker_statuses.filter((worker) => worker.status === 'healthy').length;
  return [
    {
      name: 'Steps',
      value: `${completed_steps} of ${total_steps}`,
      note: is_complete ? 'complete' : 'not complete',
    },
    {
      name: 'Workers',
      value: `${healthy} of ${worker_statuses.length}`,
      note: 'healthy',
      tone: healthy === worker_statuses.length ? 'good' : 'warn',
    },
    {
      name: 'Anomalies',
      value: String(anomalies.length),
      note: `${critical} critical`,
      tone: TONES[status],
    },
  ];
}

function workerTable(workers: readonly WorkerSnapshot[]): Html {
  return table({
    columns: [
      'worker',
      'status',
      'step',
      'loss',
      'samples/s',
      'all-reduce (ms)',
      'compute (ms)',
      'last heard of',
    ],
    rows: workers.map((worker) => [
      `rank ${worker.worker_id}`,
      statusBadge(worker.status),
      String(worker.step),
      formatValue(worker.loss),
      formatNumber(worker.throughput_samples_per_sec),
      formatNumber(worker.allreduce_time_ms),
      formatNumber(worker.compute_time_ms),
      worker.timestamp,
    ]),
    numeric: [2, 3, 4, 5, 6],
  });
}

function anomalyTable(anomalies: readonly Anomaly[]): Html {
  return table({
    columns: ['kind', 'severity', 'what'],
    rows: anomalies.map(({ type, severity, message }) => [
      type,
      badge(severity === 'critical' ? 'bad' : 'warn', severity),
      message,
    ]),
  });
}

function adviceOf(recommendations: readonly string[]): Html {
  const items = recommendations.map(
    (line) => markup`<li>${line}</li>
`,
  );
  return markup`<div class="panel"><h3>What to do</h3><ul class="advice">${items}</ul></div>`;
}
