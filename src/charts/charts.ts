/** Charts of numbers over steps, as SVG that any browser draws without a program. */
import {
  emptyFigure,
  fill,
  frame,
  linearScale,
  logScale,
  HALF,
  type Plot,
  WIDE,
  px,
  type Scale,
  stroke,
} from './chart-frame.ts';
import { formatNumber, type Html, markup } from './html.ts';

/** Values by x; those that are not finite leave a gap. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
}

/** The words around a chart. */
export interface ChartText {
  readonly title: string;
  readonly caption?: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

/** Longer series are drawn by the lowest and the highest value of each stretch. */
const MAX_STRETCHES = 280;
/** Places that tell their values under the pointer. */
const MAX_HITS = 120;
/** Above this ratio of highest to lowest, both above 0, an axis counts powers of ten. */
const LOG_RATIO = 60;

/** How lines are drawn; all off when absent. */
export interface LineOptions {
  /** Lets the y axis count powers of ten where values spread far. */
  readonly mayBeLog?: boolean;
  /** Gives the chart the width of the page. */
  readonly isWide?: boolean;
}

/** Lines over x. */
export function lineChart(
  text: ChartText,
  series: readonly Series[],
  { mayBeLog = false, isWide = false }: LineOptions = {},
): Html {
  const plot = isWide ? WIDE : HALF;
  const finite = series.map(({ name, points }) => ({
    name,
    points: points.filter(([, y]) => Number.isFinite(y)),
  }));
  const all = finite.flatMap(({ points }) => points);
  const [xs, ys] = [extent(all.map(([x]) => x)), extent(all.map(([, y]) => y))];
  if (xs === undefined || ys === undefined)
    return emptyFigure(text.title, 'There are no numbers to draw here.');
  const missing = sum(series.map(({ points }) => points.length)) - all.length;
  const isLog = mayBeLog && ys[0] > 0 && ys[1] / ys[0] > LOG_RATIO;
  const x = wholeTicks(linearScale(xs[0], xs[1], plot.left, plot.right, true));
  const y = isLog
    ? logScale(ys[0], ys[1], plot.bottom, plot.top)
    : linearScale(Math.min(0, ys[0]), ys[1], plot.bottom, plot.top);
  const lines = finite.map(({ points }, i) => {
    const width = widthOf(i, finite.length);
    return markup`<path ${stroke(i)} stroke-width="${width}" d="${pathOf(points, x, y)}"/>\n`;
  });
  return frame(
    {
      ...text,
      caption: captionOf(text.caption, missing),
      yLabel: isLog ? `${text.yLabel} (powers of ten)` : text.yLabel,
      summary: summaryOf(finite),
      legend: series.map(({ name }) => name),
      plot,
      x,
      y,
    },
    [...lines, hitsOf(finite, x, text.xLabel, plot)],
  );
}

/**
 * Parts of a whole, on top of each other, for every x; long runs are drawn by means of stretches.
 */
export function stackedChart(text: ChartText, series: readonly Series[]): Html {
  const stretches = series.map(({ points }) => meansOf(points, MAX_HITS));
  const first = stretches[0] ?? [];
  const tops = first.map((_, i) => sum(stretches.map((points) => points[i]?.[1] ?? 0)));
  const xs = extent(first.map(([x]) => x));
  if (xs === undefined) return emptyFigure(text.title, 'There are no numbers to draw here.');
  const half = first.length > 1 ? (xs[1] - xs[0]) / (first.length - 1) / 2 : 0.5;
  const x = wholeTicks(linearScale(xs[0] - half, xs[1] + half, HALF.left, HALF.right, true));
  const y = linearScale(0, Math.max(...tops), HALF.bottom, HALF.top);
  const columns = first.map(([at], i) => {
    const values = stretches.map((points) => points[i]?.[1] ?? 0);
    const texts = series.map(({ name }, part) => `${name} ${formatNumber(values[part] ?? 0)}`);
    const title = `${text.xLabel} ${formatNumber(at)}: ${texts.join(', ')}`;
    const parts = stackOf(values, x.at(at - half), x.at(at + half), y);
    return markup`<g><title>${title}</title>${parts}</g>\n`;
  });
  const means = series.map(
    ({ name, points }) =>
      `${name} ${formatNumber(sum(points.map(([, value]) => value)) / Math.max(1, points.length))}`,
  );
  return frame(
    {
      ...text,
      summary: `means: ${means.join(', ')}`,
      legend: series.map(({ name }) => name),
      legendKind: 'area',
      x,
      y,
    },
    columns,
  );
}

/** Values on top of each other between the places `left` and `right`. */
function stackOf(values: readonly number[], left: number, right: number, y: Scale): Html[] {
  const gap = right - left > 8 ? 1 : 0;
  let below = 0;
  return values.map((value, part) => {
    const [bottom, top] = [y.at(below), y.at(below + Math.max(0, value))];
    below += Math.max(0, value);
    const [width, height] = [px(right - left - gap), px(bottom - top)];
    const place = markup`x="${px(left)}" width="${width}" y="${px(top)}" height="${height}"`;
    return markup`<rect ${place} class="${fill(part)}"/>`;
  });
}

/**
 * How often values fall into each of some twenty classes; `mark` is drawn as a line with its name.
 */
export function histogram(
  text: ChartText,
  values: readonly number[],
  mark?: { readonly name: string; readonly value: number },
): Html {
  const finite = values.filter(Number.isFinite);
  const range = extent(finite);
  if (range === undefined) return emptyFigure(text.title, 'There are no numbers to draw here.');
  const x = linearScale(Math.min(0, range[0]), range[1], HALF.left, HALF.right);
  const [low = 0, high = 1] = [x.ticks[0], x.ticks.at(-1)];
  const classes = Math.max(8, Math.min(30, Math.ceil(Math.sqrt(finite.length) * 2)));
  const width = (high - low) / classes;
  const counts = Array.from({ length: classes }, () => 0);
  for (const value of finite) {
    const index = Math.min(classes - 1, Math.floor((value - low) / width));
    counts[index] = (counts[index] ?? 0) + 1;
  }
  const y = linearScale(0, Math.max(...counts), HALF.bottom, HALF.top);
  const bars = counts.map((count, i) => {
    const [from, to] = [low + i * width, low + (i + 1) * width];
    const top = y.at(count);
    const [left, height] = [px(x.at(from) + 0.5), px(HALF.bottom - top)];
    const wide = px(x.at(to) - x.at(from) - 1);
    const place = markup`x="${left}" width="${wide}" y="${px(top)}" height="${height}"`;
    const title = `${formatNumber(from)} to ${formatNumber(to)}: ${count}`;
    return markup`<rect class="f0" ${place}><title>${title}</title></rect>\n`;
  });
  const [least, most] = [formatNumber(range[0]), formatNumber(range[1])];
  const marked = mark === undefined ? '' : `, ${mark.name} ${formatNumber(mark.value)}`;
  const summary = `${finite.length} values from ${least} to ${most}${marked}`;
  return frame({ ...text, summary, x, y: { ...y, ticks: y.ticks.filter(Number.isInteger) } }, [
    bars,
    mark !== undefined && markOf(mark.name, mark.value, x.at(mark.value)),
  ]);
}

/** A line from top to bottom with its name and value. */
function markOf(name: string, value: number, at: number): Html {
  const { left, right, top, bottom } = HALF;
  const [anchor, x] = at > (left + right) / 2 ? ['end', at - 6] : ['start', at + 6];
  const place = markup`x="${px(x)}" y="${top + 10}" text-anchor="${anchor}"`;
  const ends = markup`x1="${px(at)}" x2="${px(at)}" y1="${top}" y2="${bottom}"`;
  const text = markup`<text class="mark-text" ${place}>${name} ${formatNumber(value)}</text>`;
  return markup`<line class="mark" ${ends}/>${text}`;
}

/** The caption with a word on what was left out; undefined when there is nothing to say. */
function captionOf(caption: string | undefined, missing: number): string | undefined {
  const note = missing > 0 ? `${missing} values are not finite and are left out.` : undefined;
  return [caption, note].filter((part) => part !== undefined).join(' ') || undefined;
}

/** The scale with whole numbers at its ticks only, as steps are. */
function wholeTicks(scale: Scale): Scale {
  return { ...scale, ticks: scale.ticks.filter(Number.isInteger) };
}

/** Earlier lines are wider: they are seen behind later ones that run over them. */
function widthOf(index: number, count: number): number {
  return Math.min(8, 2 + 2 * (count - 1 - index));
}

function pathOf(points: readonly (readonly [number, number])[], x: Scale, y: Scale): string {
  const drawn = points.length > 2 * MAX_STRETCHES ? extremesOf(points) : points;
  const [only] = drawn;
  // A line of one point would not be seen.
  if (drawn.length === 1 && only !== undefined)
    return `M${px(x.at(only[0]) - 3)} ${px(y.at(only[1]))}h6`;
  return drawn
    .map(([at, value], i) => `${i === 0 ? 'M' : 'L'}${px(x.at(at))} ${px(y.at(value))}`)
    .join('');
}

/** The lowest and the highest point of each stretch, in order. */
function extremesOf(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const length = points.length / MAX_STRETCHES;
  return Array.from({ length: MAX_STRETCHES }, (_, i) => {
    const stretch = points.slice(Math.floor(i * length), Math.floor((i + 1) * length));
    const byValue = stretch.toSorted((a, b) => a[1] - b[1]);
    const ends = [byValue[0], byValue.at(-1)].flatMap((point) =>
      point === undefined ? [] : [point],
    );
    return ends.toSorted((a, b) => a[0] - b[0]);
  }).flat();
}

/** Means of at most `count` stretches of equal length, at their middles. */
export function meansOf(
  points: readonly (readonly [number, number])[],
  count: number,
): (readonly [number, number])[] {
  const stretches = Math.min(count, points.length);
  const length = points.length / Math.max(1, stretches);
  return Array.from({ length: stretches }, (_, i) => {
    const stretch = points.slice(Math.floor(i * length), Math.floor((i + 1) * length));
    const meanOf = (part: 0 | 1): number =>
      sum(stretch.map((point) => point[part])) / stretch.length;
    return [meanOf(0), meanOf(1)] as const;
  });
}

/** Strips over the chart that tell the values there under the pointer. */
function hitsOf(series: readonly Series[], x: Scale, xLabel: string, plot: Plot): Html[] {
  const places = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort(
    (a, b) => a - b,
  );
  const every = Math.max(1, Math.ceil(places.length / MAX_HITS));
  const chosen = places.filter((_, i) => i % every === 0);
  const values = series.map(({ points }) => new Map(points));
  const half = (plot.right - plot.left) / Math.max(1, chosen.length) / 2;
  return chosen.map((at) => {
    const texts = series.flatMap(({ name }, i) => {
      const value = values[i]?.get(at);
      return value === undefined ? [] : [`${name} ${formatNumber(value)}`];
    });
    const left = Math.max(plot.left, x.at(at) - half);
    const right = Math.min(plot.right, x.at(at) + half);
    const [width, height] = [px(right - left), plot.bottom - plot.top];
    const place = markup`x="${px(left)}" width="${width}" y="${plot.top}" height="${height}"`;
    const title = `${xLabel} ${formatNumber(at)}: ${texts.join(', ')}`;
    return markup`<rect class="hit" ${place}><title>${title}</title></rect>\n`;
  });
}

function summaryOf(series: readonly Series[]): string {
  const texts = series.flatMap(({ name, points }) => {
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) return [];
    return [
      `${name} from ${formatNumber(first[1])} to ${formatNumber(last[1])} over ` +
        `${points.length} points`,
    ];
  });
  return texts.join('; ');
}

/** The least and the greatest; undefined for no values. Not by spreading, which has a limit. */
export function extent(values: readonly number[]): readonly [number, number] | undefined {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
