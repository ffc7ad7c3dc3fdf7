/** The state of a run as one HTML file. */
import {
  badge,
  cards,
  formatNumber,
  formatValue,
  markup,
  section,
  table,
  type Tone,
} from '../../charts/html.ts';
import { renderPage } from './html-page.ts';
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
  const {
    status,
    run_id,
    completed_steps,
    total_steps,
    is_complete,
    timestamp,
    anomalies,
    worker_statuses,
  } = report;
  const critical = report.anomaly_counts.by_severity.critical ?? 0;
  const healthy = worker_statuses.filter((worker) => worker.status === 'healthy').length;
  const columns = [
    'worker',
    'status',
    'step',
    'loss',
    'samples/s',
    'all-reduce (ms)',
    'compute (ms)',
    'last heard of',
  ];
  return renderPage({
    title: 'Health of a run',
    facts: [run_id, countOf(worker_statuses.length, 'worker'), `written ${timestamp}`],
    verdict: badge(TONES[status], status),
    body: [
      cards([
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
      ]),
      section(
        'Workers',
        table({
          columns,
          rows: worker_statuses.map((worker) => [
            `rank ${worker.worker_id}`,
            statusBadge(worker.status),
            String(worker.step),
            formatValue(worker.loss),
            ...[
              worker.throughput_samples_per_sec,
              worker.allreduce_time_ms,
              worker.compute_time_ms,
            ].map(formatNumber),
            worker.timestamp,
          ]),
          numeric: [2, 3, 4, 5, 6],
        }),
      ),
      anomalies.length > 0 &&
        section(
          'Anomalies',
          table({
            columns: ['kind', 'severity', 'what'],
            rows: anomalies.map(({ type, severity, message }) => [
              type,
              badge(severity === 'critical' ? 'bad' : 'warn', severity),
              message,
            ]),
          }),
          markup`<div class="panel"><h3>What to do</h3><ul class="advice">${report.recommendations.map(
            (line) => markup`<li>${line}</li>
`,
          )}</ul></div>`,
        ),
    ],
  });
}
