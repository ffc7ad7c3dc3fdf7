/** The report of one run as one HTML file. */
import { histogram, lineChart, stackedChart } from '../../charts/charts.ts';
import {
  badge,
  cards,
  definitions,
  formatNumber,
  formatValue,
  type Html,
  type HtmlValue,
  markup,
  section,
  table,
} from '../../charts/html.ts';
import { renderPage } from './html-page.ts';
import type { FigureFile } from '../results/read-result.ts';
import type { ResultStep, Result } from '../results/result.ts';
import {
  cardsOf,
  countOf,
  subtitleOf,
  type RunView,
  workersOf,
  type WorkerView,
} from './run-view.ts';

/** More rows nobody reads: then every so many steps. */
const MAX_TABLE_ROWS = 500;

const TITLES = {
  loss: 'Loss',
  throughput: 'Throughput',
  times: 'Where the time of a step goes',
  allReduce: 'All-reduce times',
} as const;

/** The page of one run. */
export function singleReport(view: RunView, title: string): string {
  const { payload, result } = view.file;
  return renderPage({
    title,
    facts: subtitleOf(view),
    verdict: result === undefined ? undefined : regressionBadge(result.regression),
    body: [
      cards(cardsOf(view)),
      section('Training', markup`<div class="pair">${chartsOf(view)}</div>`),
      workerSection(view),
      section(
        'Details',
        markup`<div class="pair">${[
          result !== undefined && panel('Metrics', metricsOf(result)),
          panel('Configuration', textsOf(payload.config ?? {})),
        ]}</div>
${panel('About this run', metadataOf(view))}`,
      ),
      howToRead(),
      stepTable(view.steps),
    ],
  });
}

/** The page of a result that tells of no steps: its figures. */
export function figuresReport({ path, result }: FigureFile, title: string): string {
  const { workload } = result;
  const payload = Object.entries(result.tool_payload ?? {});
  return renderPage({
    title,
    facts: [
      `${workload.name}, ${workload.workload_type}`,
      countOf(workload.steps, 'step'),
      `${result.tool_name} ${result.tool_version}`,
      result.timestamp,
    ],
    verdict: regressionBadge(result.regression),
    body: [
      section(
        'Details',
        markup`<div class="pair">${[
          panel('Metrics', metricsOf(result)),
          payload.length > 0 && panel('Told by the program', textsOf(Object.fromEntries(payload))),
        ]}</div>
${panel('About this run', factsOf(path, result))}`,
      ),
    ],
  });
}

/** What a comparison with a baseline said, if there was one. */
function regressionBadge({
  baseline_id,
  status,
  delta_percent,
  failed_metrics,
}: Result['regression']): Html {
  if (baseline_id === null) return badge('neutral', 'Not compared with a baseline');
  const delta = `${formatNumber(delta_percent)} %`;
  if (status === 'pass') return badge('good', `✓ No regression against ${baseline_id} (${delta})`);
  const what = failed_metrics.length === 0 ? '' : `: ${failed_metrics.join(', ')}`;
  return badge('bad', `✗ Regression against ${baseline_id} (${delta})${what}`);
}

/** A value of every step, against the step. */
type Points = readonly (readonly [step: number, value: number])[];

function pointsOf(steps: readonly ResultStep[], of: (step: ResultStep) => number): Points {
  return steps.map((step) => [step.step, of(step)]);
}

function chartsOf({ steps, p99AllReduceMs }: RunView): Html[] {
  return [
    lineChart(
      {
        title: TITLES.loss,
        caption: 'Mean over the samples of each step, before its update.',
        xLabel: 'step',
        yLabel: 'loss',
      },
      [{ name: 'loss', points: pointsOf(steps, (step) => step.loss) }],
      { mayBeLog: true },
    ),
    lineChart(
      {
        title: TITLES.throughput,
        caption: 'Samples of each step by its time.',
        xLabel: 'step',
        yLabel: 'samples/s',
      },
      [{ name: 'samples/s', points: pointsOf(steps, (step) => step.throughput_samples_per_sec) }],
    ),
    timesChart(steps),
    histogram(
      {
        title: TITLES.allReduce,
        caption: 'How many steps took how long; the line has 99 % to its left.',
        xLabel: 'ms',
        yLabel: 'steps',
      },
      steps.map((step) => step.allreduce_time_ms),
      p99AllReduceMs === undefined ? undefined : { name: 'p99', value: p99AllReduceMs },
    ),
  ];
}

function timesChart(steps: readonly ResultStep[]): Html {
  const hasRest = steps.every(
    (step) => step.wait_time_ms !== undefined && step.other_time_ms !== undefined,
  );
  const rest = [
    { name: 'wait', points: pointsOf(steps, (step) => step.wait_time_ms ?? 0) },
    { name: 'other', points: pointsOf(steps, (step) => step.other_time_ms ?? 0) },
  ];
  return stackedChart(
    {
      title: TITLES.times,
      caption: 'Means over the workers of a step, on top of each other.',
      xLabel: 'step',
      yLabel: 'ms',
    },
    [
      { name: 'compute', points: pointsOf(steps, (step) => step.compute_time_ms) },
      { name: 'all-reduce', points: pointsOf(steps, (step) => step.allreduce_time_ms) },
      ...(hasRest ? rest : []),
    ],
  );
}

function workerSection(view: RunView): Html | undefined {
  const workers = workersOf(view);
  if (workers.length === 0) return undefined;
  const columns: readonly (readonly [string, (worker: WorkerView) => number | undefined])[] = [
    ['last step', (worker) => worker.step],
    ['samples', (worker) => worker.samples],
    ['samples/s', (worker) => worker.throughput],
    ['compute (ms)', (worker) => worker.computeMs],
    ['all-reduce (ms)', (worker) => worker.allReduceMs],
    ['wait (ms)', (worker) => worker.waitMs],
    ['loss', (worker) => worker.loss],
  ];
  // Columns that the file says nothing about are left out.
  const present = columns.filter(([, of]) => workers.some((worker) => of(worker) !== undefined));
  return section(
    'Workers',
    table({
      caption: 'Times are means over the steps that a worker had a part in.',
      columns: ['worker', 'status', ...present.map(([name]) => name)],
      rows: workers.map((worker) => [
        `rank ${worker.workerId}`,
        statusBadge(worker.status),
        ...present.map(([, of]) => {
          const value = of(worker);
          return value === undefined ? '–' : formatNumber(value);
        }),
      ]),
      numeric: present.map((_, i) => i + 2),
    }),
  );
}

/** A worker's status in its colour. */
export function statusBadge(status: string | undefined): Html | string {
  if (status === undefined) return '–';
  return badge(status === 'healthy' ? 'good' : status === 'slow' ? 'warn' : 'bad', status);
}

function panel(title: string, pairs: readonly (readonly [string, HtmlValue])[]): Html {
  return markup`<div class="panel"><h3>${title}</h3>${definitions(pairs)}</div>
`;
}

function metricsOf({ metrics, kv_cache }: Result): (readonly [string, string])[] {
  const cache = typeof kv_cache === 'object' && kv_cache !== null ? Object.entries(kv_cache) : [];
  return [
    ...Object.entries(metrics).map(
      ([name, value]) => [name, value === null ? 'not measured' : formatValue(value)] as const,
    ),
    ...textsOf(Object.fromEntries(cache.map(([name, value]) => [`kv_cache.${name}`, value]))),
  ];
}

function metadataOf({
  file: { path, result, payload },
}: RunView): (readonly [string, string | Html])[] {
  const code = (text: string | undefined): Html | undefined =>
    text === undefined ? undefined : markup`<code>${text}</code>`;
  const { ledger } = payload;
  const pairs: readonly (readonly [string, string | Html | undefined])[] = [
    ['All-reduce', payload.collective_backend],
    ['Start', payload.start_timestamp],
    ['End', payload.end_timestamp],
    ['Weights, SHA-256', code(payload.weights_digest)],
    ['State, SHA-256', code(payload.state_digest)],
    [
      'Samples',
      ledger === undefined
        ? undefined
        : `${ledger.counted} of ${ledger.expected} counted, ${ledger.dropped} dropped, ` +
          `${ledger.duplicated} twice`,
    ],
  ];
  return [
    ...(result === undefined ? [['File', path] as const] : factsOf(path, result)),
    ...pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  ];
}

/** Where a result came from. */
function factsOf(
  path: string,
  { tool_name, tool_version, platform, schema_version }: Result,
): (readonly [string, string])[] {
  return [
    ['File', path],
    ['Program', `${tool_name} ${tool_version}`],
    ['Hardware', platform.hardware_name],
    ['System', platform.os],
    ['Framework', `${platform.framework} ${platform.framework_version}`],
    ...(schema_version === undefined ? [] : [['Schema', schema_version] as const]),
  ];
}

function textsOf(record: Readonly<Record<string, unknown>>): (readonly [string, string])[] {
  return Object.entries(record).map(([name, value]) => [name, formatValue(value)]);
}

function howToRead(): Html {
  return section(
    'How to read this',
    markup`<div class="panel prose"><p><b>Loss</b> should fall and stay finite. Runs of the same \
settings and seed on other numbers of workers should have the same losses: <code>lockstep \
validate</code> compares them.</p>
<p><b>Compute</b> is forward and backward pass and the update. <b>All-reduce</b> is the time that \
gradient sums and totals are on their way and being added. <b>Wait</b> is waiting for slower \
workers. <b>Other</b> is the coordinator's own work. With all four, the columns are as high as the \
steps are long. Much all-reduce means: larger batches, or fewer workers. Much wait: one worker is \
slower, see the table of workers.</p>
<p><b>p99 of the all-reduce</b> is what 99 of 100 steps keep within; its distance from the bulk \
shows jitter of network or machine. <b>Scaling efficiency</b> is throughput divided by workers \
times the throughput of one.</p></div>
`,
  );
}

function stepTable(steps: readonly ResultStep[]): Html {
  const every = Math.ceil(steps.length / MAX_TABLE_ROWS);
  const shown =
    every > 1 ? steps.filter((_, i) => i % every === 0 || i === steps.length - 1) : steps;
  const what = every > 1 ? `Every ${every}th step and the last` : `All ${steps.length} steps`;
  const columns = [
    'step',
    'loss',
    'samples/s',
    'compute (ms)',
    'all-reduce (ms)',
    'wait (ms)',
    'other (ms)',
  ];
  const rows = shown.map((step) =>
    [
      step.step,
      step.loss,
      step.throughput_samples_per_sec,
      step.compute_time_ms,
      step.allreduce_time_ms,
      step.wait_time_ms,
      step.other_time_ms,
    ].map((value, i) =>
      value === undefined ? '–' : i === 0 ? String(value) : formatNumber(value),
    ),
  );
  const numbers = table({ columns, rows, numeric: columns.map((_, i) => i) });
  return markup`<details><summary>${what} in numbers</summary>${numbers}</details>
`;
}
