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

export interface LineOptions {
  /** The y axis counts powers of ten where values spread far. */
  readonly mayBeLog?: boolean;
  /** It has the page to itself. */
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
  const lines = finite.map(
    (
      { points },
      i,
    ) => markup`<path ${stroke(i)} stroke-width="${widthOf(i, finite.length)}" d="${pathOf(points, x, y)}"/>
`,
  );
  const caption = [
    text.caption,
    missing > 0 ? `${missing} values are not finite and are left out.` : undefined,
  ];
  return frame(
    {
      ...text,
      caption: caption.filter((part) => part !== undefined).join(' ') || undefined,
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
    let below = 0;
    const [left, right] = [x.at(at - half), x.at(at + half)];
    const gap = right - left > 8 ? 1 : 0;
    const parts = stretches.map((points, part) => {
      const value = Math.max(0, points[i]?.[1] ?? 0);
      const [bottom, top] = [y.at(below), y.at(below + value)];
      below += value;
      return markup`<rect x="${px(left)}" width="${px(right - left - gap)}" y="${px(top)}" height="${px(bottom - top)}" class="${fill(part)}"/>`;
    });
    const values = series.map(
      ({ name }, part) => `${name} ${formatNumber(stretches[part]?.[i]?.[1] ?? 0)}`,
    );
    return markup`<g><title>${text.xLabel} ${formatNumber(at)}: ${values.join(', ')}</title>${parts}</g>
`;
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
    return markup`<rect class="f0" x="${px(x.at(from) + 0.5)}" width="${px(x.at(to) - x.at(from) - 1)}" y="${px(top)}" height="${px(HALF.bottom - top)}"><title>${formatNumber(from)} to ${formatNumber(to)}: ${count}</title></rect>
`;
  });
  const summary =
    `${finite.length} values from ${formatNumber(range[0])} to ` +
    `${formatNumber(range[1])}${mark === undefined ? '' : `, ${mark.name} ${formatNumber(mark.value)}`}`;
  return frame({ ...text, summary, x, y: { ...y, ticks: y.ticks.filter(Number.isInteger) } }, [
    bars,
    mark !== undefined && markOf(mark.name, mark.value, x.at(mark.value)),
  ]);
}

/** A line from top to bottom with its name and value. */
function markOf(name: string, value: number, at: number): Html {
  const isRight = at > (HALF.left + HALF.right) / 2;
  return markup`<line class="mark" x1="${px(at)}" x2="${px(at)}" y1="${HALF.top}" y2="${HALF.bottom}"/><text class="mark-text" x="${px(at + (isRight ? -6 : 6))}" y="${HALF.top + 10}" text-anchor="${isRight ? 'end' : 'start'}">${name} ${formatNumber(value)}</text>`;
}

/** Steps are whole numbers. */
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
    return markup`<rect class="hit" x="${px(left)}" width="${px(right - left)}" y="${plot.top}" height="${plot.bottom - plot.top}"><title>${xLabel} ${formatNumber(at)}: ${texts.join(', ')}</title></rect>
`;
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
