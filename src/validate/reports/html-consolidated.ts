/** The report of several runs side by side as one HTML file. */
import { emptyFigure } from '../../charts/chart-frame.ts';
import { lineChart } from '../../charts/charts.ts';
import {
  badge,
  formatNumber,
  formatValue,
  type Html,
  type HtmlValue,
  markup,
  section,
  table,
} from '../../charts/html.ts';
import { renderPage } from './html-page.ts';
import { countOf, type RunView } from './run-view.ts';
import { barChart, ringChart } from '../../charts/share-charts.ts';

/** Several runs in one picture stop being readable somewhere here. */
export const MAX_RUNS = 24;

/** What runs are compared by, and which end of it is better. */
interface Contest {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly of: (view: RunView) => number | undefined;
}

const CONTESTS: readonly Contest[] = [
  {
    name: 'Throughput',
    unit: 'samples/s',
    better: 'higher',
    of: ({ file }) => file.payload.average_throughput_samples_per_sec,
  },
  { name: 'Final loss', unit: '', better: 'lower', of: ({ file }) => file.payload.final_loss },
  {
    name: 'Training time',
    unit: 's',
    better: 'lower',
    of: ({ file }) => file.payload.total_time_sec,
  },
  { name: 'All-reduce, p99', unit: 'ms', better: 'lower', of: (view) => view.p99AllReduceMs },
  { name: 'Communication', unit: '%', better: 'lower', of: (view) => view.communicationPercent },
  { name: 'Scaling efficiency', unit: '%', better: 'higher', of: (view) => view.scalingPercent },
  {
    name: 'Power',
    unit: 'W',
    better: 'lower',
    of: ({ file }) => file.result?.metrics.power_consumption_watts ?? undefined,
  },
];

/** The page of several runs. */
export function consolidatedReport(views: readonly RunView[], title: string): string {
  return renderPage({
    title,
    facts: [countOf(views.length, 'run'), ...views.map(({ name }) => name)],
    verdict: samenessBadge(views),
    body: [
      section('At a glance', winnersTable(views)),
      section(
        'Speed and result',
        markup`<div class="pair">${barsOf(views)}${shareOf(views)}</div>`,
      ),
      section('Loss', lossChart(views)),
      section('Configuration', configurationTable(views)),
    ],
  });
}

/** Says whether all runs that tell their digest came to the same model, bit for bit. */
function samenessBadge(views: readonly RunView[]): Html | undefined {
  const digests = views.map(({ file }) => file.payload.state_digest);
  const [first] = digests;
  if (first === undefined || digests.some((digest) => digest === undefined)) return undefined;
  return digests.every((digest) => digest === first)
    ? badge('good', `✓ All ${views.length} runs ended with the same bits`)
    : badge('neutral', 'The runs ended with different models');
}

/** Gives the best at something: one run, several equal ones, or none where some have no value. */
export function winnersOf(views: readonly RunView[], { better, of }: Contest): readonly RunView[] {
  const values = views.flatMap((view) => of(view) ?? []).filter(Number.isFinite);
  if (values.length < views.length) return [];
  const best = better === 'higher' ? Math.max(...values) : Math.min(...values);
  return views.filter((view) => of(view) === best);
}

function winnersTable(views: readonly RunView[]): Html {
  const contests = CONTESTS.filter(({ of }) => views.some((view) => of(view) !== undefined));
  return table({
    caption: 'The best of each row is marked, unless all are equal or a run has no value.',
    columns: ['', ...views.map(({ name }) => name)],
    rows: contests.map((contest) => {
      const winners = winnersOf(views, contest);
      return [
        `${contest.name}${contest.unit === '' ? '' : ` (${contest.unit})`}, ${contest.better} ` +
          'is better',
        ...views.map((view): HtmlValue => {
          const value = contest.of(view);
          if (value === undefined) return 'not measured';
          const isBest = winners.length < views.length && winners.includes(view);
          return isBest ? badge('good', `★ ${formatNumber(value)}`) : formatNumber(value);
        }),
      ];
    }),
    numeric: views.map((_, i) => i + 1),
  });
}

function barsOf(views: readonly RunView[]): Html[] {
  return CONTESTS.slice(0, 3).map((contest) =>
    barChart(
      { title: contest.name, caption: `${contest.better} is better`, unit: contest.unit },
      views.map((view) => ({ name: view.name, value: contest.of(view) ?? NaN })),
    ),
  );
}

/** The share of what runs are compared by that each of them wins; equal ones share theirs. */
function shareOf(views: readonly RunView[]): Html {
  const title = 'Who is best how often';
  const decided = CONTESTS.map((contest) => winnersOf(views, contest)).filter(
    ({ length }) => length > 0 && length < views.length,
  );
  if (decided.length === 0) return emptyFigure(title, 'Nothing tells these runs apart.');
  return ringChart(
    {
      title,
      caption:
        `Of ${countOf(decided.length, 'row')} above in which the runs differ; equal ones ` +
        'share.',
    },
    views.map((view) => ({
      name: view.name,
      value: decided.reduce(
        (sum, winners) => sum + (winners.includes(view) ? 1 / winners.length : 0),
        0,
      ),
    })),
  );
}

function lossChart(views: readonly RunView[]): Html {
  return lineChart(
    {
      title: 'Loss of all runs',
      caption: 'Lines that run over each other are equal there: earlier ones are wider.',
      xLabel: 'step',
      yLabel: 'loss',
    },
    views.map(({ name, steps }) => ({
      name,
      points: steps.map(({ step, loss }) => [step, loss] as const),
    })),
    { mayBeLog: true, isWide: true },
  );
}

function configurationTable(views: readonly RunView[]): Html {
  const facts = views.map((view) => new Map<string, unknown>(Object.entries(factsOf(view))));
  const names = [...new Set(facts.flatMap((one) => [...one.keys()]))];
  return table({
    caption: 'Marked where the runs differ.',
    columns: ['setting', ...views.map(({ name }) => name)],
    rows: names.map((name) => {
      const texts = facts.map((one) => formatValue(one.get(name)));
      const isSame = texts.every((text) => text === texts[0]);
      return [
        name,
        ...texts.map((text) => (isSame ? text : markup`<span class="differs">${text}</span>`)),
      ];
    }),
  });
}

function factsOf({ file: { payload, result } }: RunView): Record<string, unknown> {
  return {
    workers: payload.num_workers,
    steps: payload.num_steps,
    ...(payload.collective_backend !== undefined && {
      collective_backend: payload.collective_backend,
    }),
    ...payload.config,
    ...(result !== undefined && {
      program: `${result.tool_name} ${result.tool_version}`,
      hardware: result.platform.hardware_name,
      system: result.platform.os,
    }),
  };
}
