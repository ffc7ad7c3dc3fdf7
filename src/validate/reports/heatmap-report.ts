/** A heat map as one HTML file. */
import { drawing, figure, px } from '../../charts/chart-frame.ts';
import { extent } from '../../charts/charts.ts';
import type { Heatmap, HeatmapMetric } from './heatmap.ts';
import {
  badge,
  formatNumber,
  type Html,
  type HtmlValue,
  markup,
  section,
} from '../../charts/html.ts';
import { percentile } from '../results/percentile.ts';
import { renderPage } from './html-page.ts';
import { countOf } from './run-view.ts';
import { shortened } from '../../charts/share-charts.ts';

const DRAWING_WIDTH = 1040;
const CELL_HEIGHT = 34;
const HEADING_HEIGHT = 24;
const CHARACTER_WIDTH = 7.5;
const MAX_CELL_WIDTH = 130;
/** Narrower cells tell their value under the pointer only. */
const MIN_TEXT_WIDTH = 52;
/** Width of a heading, with some space. */
const HEADING_WIDTH = 70;
const MAX_NAMED = 50;
/** Percentiles between which the colours lie, from so many values on. */
const RANGE = [2, 97] as const;
const MIN_RANGED_VALUES = 50;
const MAX_FACTS = 12;

/** Words around the drawing; the summary is for those who do not see it. */
interface FigureText {
  readonly title: string;
  readonly caption: string;
  readonly summary: string;
}

/** The page of a heat map of `runs`. */
export function heatmapReport(
  map: Heatmap,
  metric: HeatmapMetric,
  runs: readonly string[],
): string {
  const found = namedStragglers(map);
  const text = wordsFor(map, metric, found.length);
  return renderPage({
    title: `Heat map: ${metric}`,
    facts: [
      countOf(runs.length, 'run'),
      ...runs.slice(0, MAX_FACTS),
      ...(runs.length > MAX_FACTS ? ['…'] : []),
    ],
    verdict:
      found.length === 0
        ? badge('good', '✓ No straggler')
        : badge('warn', `! ${countOf(found.length, 'straggler')}`),
    body: [
      section(
        map.rowKind === 'run' ? 'Runs and their workers' : 'Workers and steps',
        figure(text, drawingOf(map, text)),
      ),
      found.length > 0 && section('Stragglers', panelOf(found)),
    ],
  });
}

function wordsFor(map: Heatmap, metric: HeatmapMetric, stragglers: number): FigureText {
  const isThroughput = metric === 'throughput_samples_per_sec';
  const rule = isThroughput ? 'below the median divided by 1.5' : 'above 1.5 times the median';
  const scope =
    map.rowKind === 'run'
      ? 'run'
      : 'column. In single steps anybody is that at times; the first column tells of all steps';
  return {
    title: metric,
    caption:
      `Stronger colour is ${isThroughput ? 'more' : 'longer'}. A red frame marks a straggler: ` +
      `${rule} of the workers of the same ${scope}.`,
    summary:
      `${countOf(map.rows.length, 'row')}, ${countOf(map.columns.length, 'column')}, ` +
      countOf(stragglers, 'straggler'),
  };
}

function panelOf(found: readonly string[]): Html {
  const named = found.slice(0, MAX_NAMED).map(
    (line) => markup`<li>${line}</li>
`,
  );
  const left = found.length - named.length;
  const more = left > 0 && markup`<p>and ${left} more</p>`;
  return markup`<div class="panel"><ul class="names">${named}</ul>${more}</div>`;
}

/** Stragglers in words; of one run those over all its steps. */
function namedStragglers({ rowKind, rows, columns, values, isStraggler }: Heatmap): string[] {
  const judged = rowKind === 'run' ? columns : columns.slice(0, 1);
  return rows.flatMap((row, y) =>
    judged.flatMap((column, x) =>
      isStraggler[y]?.[x] === true
        ? [`${row}, ${column}: ${formatNumber(values[y]?.[x] ?? NaN)}`]
        : [],
    ),
  );
}

function drawingOf(map: Heatmap, text: FigureText): Html {
  const { rows, columns, values, isStraggler } = map;
  const [low, high] = colourRange(values.flat().filter((value) => value !== undefined));
  const left = Math.max(...rows.map((row) => shortened(row).length)) * CHARACTER_WIDTH + 12;
  const width = Math.min(MAX_CELL_WIDTH, (DRAWING_WIDTH - left) / Math.max(1, columns.length));
  const every = Math.ceil(HEADING_WIDTH / width);
  const headings = columns.flatMap((column, x) =>
    x % every === 0 ? [headingAt(px(left + (x + 0.5) * width), column)] : [],
  );
  const lines = rows.map((row, y) => {
    const top = HEADING_HEIGHT + y * CELL_HEIGHT;
    const cells = columns.flatMap((column, x) => {
      const value = values[y]?.[x];
      if (value === undefined) return [];
      const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
      const name = `${row}, ${column}: ${formatNumber(value)}`;
      return [
        cellOf(name, value, share, isStraggler[y]?.[x] === true, {
          at: left + x * width,
          top,
          width,
        }),
      ];
    });
    const middle = markup`y="${top + CELL_HEIGHT / 2 - 2}" dy="0.35em"`;
    const place = markup`x="${px(left - 10)}" ${middle} text-anchor="end"`;
    return markup`<text class="strong" ${place}>${shortened(row)}</text>
${cells}`;
  });
  return drawing(
    text,
    HEADING_HEIGHT + rows.length * CELL_HEIGHT + 4,
    [headings, lines],
    DRAWING_WIDTH,
  );
}

/** Few values far from the others, as those of a first step, must not take the colours of all. */
function colourRange(values: readonly number[]): readonly [number, number] {
  const [least = 0, most = 0] = extent(values) ?? [];
  return values.length < MIN_RANGED_VALUES
    ? [least, most]
    : [percentile(values, RANGE[0]) ?? least, percentile(values, RANGE[1]) ?? most];
}

interface Place {
  readonly at: number;
  readonly top: number;
  readonly width: number;
}

/** `share`: 0 for the lowest value of the map, 1 for the highest. */
function cellOf(
  name: string,
  value: number,
  share: number,
  isMarked: boolean,
  { at, top, width }: Place,
): Html {
  const percent = Math.round(share * 100);
  const hasText = width >= MIN_TEXT_WIDTH;
  const gap = width > 8 ? 3 : 1;
  const title = markup`<title>${name}${isMarked && ', straggler'}</title>`;
  const fill = `color-mix(in oklab, var(--heat-high) ${percent}%, var(--heat-low))`;
  const size = markup`width="${px(width - gap)}" height="${CELL_HEIGHT - 4}"`;
  const place = markup`x="${px(at)}" y="${top}" ${size}`;
  const cell = markup`<rect ${place} rx="2" style="fill: ${fill}"/>`;
  const inner = markup`width="${px(Math.max(1, width - gap - 2))}" height="${CELL_HEIGHT - 6}"`;
  const frame = markup`<rect class="straggler" x="${px(at + 1)}" y="${top + 1}" ${inner} rx="2"/>`;
  const colour = share > 0.5 ? 'on-high' : 'strong';
  const middle = markup`x="${px(at + (width - gap) / 2)}" y="${top + CELL_HEIGHT / 2 - 2}"`;
  const style = markup`${middle} dy="0.35em" text-anchor="middle"`;
  const text = markup`<text class="${colour}" ${style}>${formatNumber(value)}</text>`;
  return markup`<g>${title}${cell}${isMarked && frame}${hasText && text}</g>
`;
}

function headingAt(x: HtmlValue, column: string): Html {
  return markup`<text x="${x}" y="15" text-anchor="middle">${headingOf(column)}</text>
`;
}

/** A column's name without its noun where that stands above every column: of steps, the first. */
function headingOf(column: string): string {
  return column.replace(/^steps (\d+) to \d+$/, 'step $1');
}
