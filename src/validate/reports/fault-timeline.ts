/** A fault report as one HTML file: what was injected when, who noticed, what the loss did. */
import { drawing, figure, linearScale, px } from '../../charts/chart-frame.ts';
import { lineChart } from '../../charts/charts.ts';
import {
  badge,
  type Card,
  cards,
  formatNumber,
  type Html,
  type HtmlValue,
  markup,
  section,
  table,
} from '../../charts/html.ts';
import { renderPage } from './html-page.ts';
import type { FaultReport, FaultResult } from '../results/result.ts';
import { cardIfKnown, countOf } from './run-view.ts';
import { shortened } from '../../charts/share-charts.ts';

const WIDTH = 1040;
const LEFT = 210;
const RIGHT = 170;
const ROW = 34;
const TOP = 10;

/** The page of a fault report. */
export function faultTimeline(report: FaultReport, title: string): string {
  const { results, num_faults, num_missed, control, summary } = report;
  const alarms = control?.false_alarms ?? [];
  return renderPage({
    title,
    facts: [summary],
    verdict: verdictBadge(num_faults, num_missed, alarms.length),
    body: [
      cards(cardsOf(report)),
      section('Timeline', timelineOf(results)),
      section('Faults', faultTable(results)),
      alarms.length > 0 &&
        section(
          'False alarms in the control run',
          markup`<div class="panel"><ul class="names">${alarms.map(itemOf)}</ul></div>`,
        ),
      lossSection(report),
    ],
  });
}

function itemOf(line: string): Html {
  return markup`<li>${line}</li>`;
}

function verdictBadge(faults: number, missed: number, alarms: number): Html {
  if (missed > 0) return badge('bad', `✗ ${missed} of ${countOf(faults, 'fault')} missed`);
  if (alarms > 0) return badge('bad', `✗ ${countOf(alarms, 'false alarm')}`);
  return badge('good', `✓ ${countOf(faults, 'fault')}, all detected`);
}

function cardsOf({ num_faults, num_detected, num_missed, results, control }: FaultReport): Card[] {
  const latencies = results.flatMap(({ detection_latency_steps: steps }) =>
    typeof steps === 'number' ? [steps] : [],
  );
  return [
    {
      name: 'Detected',
      value: `${num_detected} of ${num_faults}`,
      note: num_missed === 0 ? 'none missed' : `${num_missed} missed`,
      tone: num_missed === 0 ? 'good' : 'bad',
    },
    ...cardIfKnown(latencies.length === 0 ? undefined : Math.max(...latencies), (steps) => ({
      name: 'Longest latency',
      value: countOf(steps, 'step'),
      note: 'from injection to detection',
    })),
    ...cardIfKnown(shareText(results.map(({ recovered }) => recovered)), (value) => ({
      name: 'Recovered',
      value,
      note: 'trained on to the last step',
    })),
    ...cardIfKnown(shareText(results.map(({ digest_equal }) => digest_equal)), (value) => ({
      name: 'Same model',
      value,
      note: 'the digest of the clean run',
    })),
    ...cardIfKnown(control?.false_alarms.length, (alarms) => ({
      name: 'False alarms',
      value: String(alarms),
      note: 'in the clean run',
      tone: alarms === 0 ? 'good' : 'bad',
    })),
  ];
}

/** How many of those that are told are so; undefined when none is told. */
function shareText(answers: readonly (boolean | null | undefined)[]): string | undefined {
  const told = answers.filter((answer) => typeof answer === 'boolean');
  return told.length === 0 ? undefined : `${told.filter(Boolean).length} of ${told.length}`;
}

/** Where on the axis of steps a fault's row reaches to. */
function lastStepOf({ injection_step, detected_step, loss_curve }: FaultResult): number {
  return Math.max(injection_step ?? 0, detected_step ?? 0, loss_curve?.length ?? 0);
}

function timelineOf(results: readonly FaultResult[]): Html {
  const last = Math.max(1, ...results.map(lastStepOf));
  const x = linearScale(0, last, LEFT, WIDTH - RIGHT, true, 10);
  const bottom = TOP + results.length * ROW;
  const ticks = x.ticks
    .filter(Number.isInteger)
    .map((tick) => tickOf(px(x.at(tick)), bottom, formatNumber(tick)));
  const rows = results.map((result, i) =>
    rowOf(result, TOP + (i + 0.5) * ROW, (step) => x.at(step)),
  );
  const text = {
    title: 'From injection to detection',
    caption:
      'A triangle is the step of the injection, a circle the step at which the detectors ' +
      'spoke. Steps are updates done.',
    summary: results.map((result) => `${result.fault_type} ${verdictOf(result)}`).join(', '),
  };
  const axis = captionAt((LEFT + WIDTH - RIGHT) / 2, bottom + 34, 'step');
  return figure(text, drawing(text, bottom + 40, [ticks, rows, axis], WIDTH));
}

function tickOf(x: HtmlValue, bottom: number, name: string): Html {
  const line = markup`<line class="grid" x1="${x}" x2="${x}" y1="${TOP}" y2="${bottom}"/>`;
  return markup`${line}${captionAt(x, bottom + 16, name)}
`;
}

function captionAt(x: HtmlValue, y: number, name: string): Html {
  return markup`<text x="${x}" y="${y}" text-anchor="middle">${name}</text>`;
}

function rowOf(result: FaultResult, y: number, at: (step: number) => number): Html {
  const { fault_type, affected_rank, was_detected, injection_step, detected_step, reason } = result;
  const colour = was_detected ? 'good' : 'bad';
  const who = shortened(`${fault_type} · ${rankText(affected_rank)}`, 28);
  const middle = markup`y="${y}" dy="0.35em"`;
  const end = markup`${middle} text-anchor="end"`;
  const name = markup`<text class="strong" x="${LEFT - 12}" ${end}>${who}</text>`;
  const right = WIDTH - RIGHT;
  const level = markup`y1="${y}" y2="${y}"`;
  const base = markup`<line class="axis" x1="${LEFT}" x2="${right}" ${level}/>`;
  const from = typeof injection_step === 'number' ? at(injection_step) : undefined;
  const to = typeof detected_step === 'number' ? at(detected_step) : undefined;
  const span =
    from !== undefined &&
    markup`<line class="span ${colour}" x1="${px(from)}" x2="${px(to ?? right)}" ${level}/>`;
  const start =
    from !== undefined && markup`<path class="start" d="M${px(from)} ${y - 7}l-5.5 -9h11z"/>`;
  const circle =
    to !== undefined && markup`<circle class="end ${colour}" cx="${px(to)}" cy="${y}" r="6"/>`;
  const verdict = verdictOf(result);
  const words = markup`<text class="${colour}" x="${right + 14}" ${middle}>${verdict}</text>`;
  const title = markup`<title>${fault_type}: ${reason}</title>`;
  return markup`<g>${title}${name}${base}${span}${start}${circle}${words}</g>
`;
}

/** A fault that is no worker's, as a full disk, has no rank. */
function rankText(rank: number): string {
  return rank < 0 ? 'the run' : `rank\u00a0${rank}`;
}

function verdictOf({ was_detected, detection_latency_steps: steps }: FaultResult): string {
  if (!was_detected) return '✗ missed';
  return typeof steps === 'number' ? `✓ after ${countOf(steps, 'step')}` : '✓ detected';
}

function faultTable(results: readonly FaultResult[]): Html {
  const text = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : formatNumber(value);
  const yesNo = (value: boolean | null | undefined): HtmlValue =>
    value === null || value === undefined ? '–' : value ? 'yes' : badge('warn', 'no');
  return table({
    columns: [
      'fault',
      'verdict',
      'worker',
      'named',
      'step',
      'seen',
      'after ms',
      'recovered',
      'same model',
    ],
    rows: results.map((result) => [
      markup`${result.fault_type}<span class="reason">${result.reason}</span>`,
      badge(result.was_detected ? 'good' : 'bad', result.was_detected ? 'detected' : 'missed'),
      rankText(result.affected_rank),
      typeof result.named_rank === 'number' ? rankText(result.named_rank) : '–',
      text(result.injection_step),
      text(result.detected_step),
      text(result.detection_latency_ms),
      yesNo(result.recovered),
      yesNo(result.digest_equal),
    ]),
    numeric: [4, 5, 6],
  });
}

function lossSection({ results, control }: FaultReport): Html | undefined {
  const drawn = results.filter(({ loss_curve }) => (loss_curve?.length ?? 0) > 0);
  if (drawn.length === 0) return undefined;
  const pointsOf = (curve: readonly number[]): (readonly [number, number])[] =>
    curve.map((loss, step) => [step, loss]);
  const clean =
    control === undefined || control.loss_curve.length === 0
      ? []
      : [{ name: 'control', points: pointsOf(control.loss_curve) }];
  const charts = drawn.map(({ fault_type, loss_curve = [] }) =>
    lineChart(
      {
        title: fault_type,
        caption: lossCaption(control?.loss_curve, loss_curve),
        xLabel: 'step',
        yLabel: 'loss',
      },
      [...clean, { name: 'with the fault', points: pointsOf(loss_curve) }],
      { mayBeLog: true },
    ),
  );
  return section('Loss with each fault', markup`<div class="pair">${charts}</div>`);
}

function lossCaption(clean: readonly number[] | undefined, faulty: readonly number[]): string {
  if (clean === undefined || clean.length === 0) return 'There is no clean run to compare with.';
  const differs = faulty.findIndex((loss, step) => loss !== clean[step]);
  if (differs !== -1) return `Differs from the clean run from step ${differs} on.`;
  return faulty.length < clean.length
    ? `Equal to the clean run until it ended at step ${faulty.length}.`
    : 'Equal to the clean run at every step.';
}
