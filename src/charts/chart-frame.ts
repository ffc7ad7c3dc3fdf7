/** What all charts have: a frame with ticks, a caption, a legend. Sizes are in units of the SVG. */
import { formatNumber, type Html, type HtmlValue, markup } from './html.ts';

/** The sides of the part of a drawing that data are drawn in, and the drawing's size. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly width: number;
  readonly height: number;
}

/** Width of a chart that stands beside another, in units of the drawing. */
export const WIDTH = 560;
/** The plot of a chart that stands beside another. */
export const HALF: Plot = plotOf(WIDTH, 250);
/** The plot of a chart that has the page to itself. */
export const WIDE: Plot = plotOf(1130, 320);

function plotOf(width: number, height: number): Plot {
  return { left: 70, right: width - 14, top: 12, bottom: height - 40, width, height };
}

/** As many colours as the style has; series beyond them repeat colours with dashes. */
const COLOURS = 8;
const DASHES = ['', '7 4', '2 4'];

/** Places of values along one axis. */
export interface Scale {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

/**
 * A scale from `low` to `high` that begins and ends at ticks, or, with `isExact`, at these values.
 */
export function linearScale(
  low: number,
  high: number,
  from: number,
  to: number,
  isExact = false,
  tickCount = 5,
): Scale {
  const span = high > low ? high - low : Math.abs(high) || 1;
  const [least, most] = high > low ? [low, high] : [low - span / 2, high + span / 2];
  const step = niceStep(span / tickCount);
  const first = isExact ? Math.ceil(least / step) : Math.floor(least / step);
  const last = isExact ? Math.floor(most / step) : Math.ceil(most / step);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) =>
    roundTo((first + i) * step, step),
  );
  const [start, end] = isExact ? [least, most] : [ticks[0] ?? least, ticks.at(-1) ?? most];
  return { ticks, at: (value) => from + ((value - start) / (end - start)) * (to - from) };
}

/** A scale of powers of ten, for values above 0. */
export function logScale(low: number, high: number, from: number, to: number): Scale {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.max(1, Math.ceil((last - first) / 6));
  const ticks = [];
  for (let power = first; power <= last; power += every) ticks.push(10 ** power);
  return {
    ticks,
    at: (value) => from + ((Math.log10(value) - first) / Math.max(1, last - first)) * (to - from),
  };
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = rough / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

function roundTo(value: number, step: number): number {
  return Number(value.toFixed(Math.max(0, Math.min(20, 2 - Math.floor(Math.log10(step))))));
}

/** A coordinate with as many digits as anybody can see. */
export function px(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** The words, axes and size of a chart. */
export interface FrameOptions {
  readonly title: string;
  /** What is to be seen, under the title. */
  readonly caption?: HtmlValue;
  /** What somebody is told who does not see the chart. */
  readonly summary: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly legend?: readonly string[];
  readonly legendKind?: 'line' | 'area';
  readonly x: Scale;
  readonly y: Scale;
  readonly plot?: Plot;
  /** Texts at the ticks of x, in place of their numbers. */
  readonly xTexts?: readonly string[];
}

/** A figure with axes around `content`. */
export function frame(options: FrameOptions, content: HtmlValue): Html {
  const { legend = [], legendKind = 'line', plot = HALF } = options;
  const chart = drawing(
    options,
    plot.height,
    markup`${axesOf(options, plot)}${content}`,
    plot.width,
  );
  return figure(options, markup`${legend.length > 1 && legendOf(legend, legendKind)}${chart}`);
}

/** A line and a number for every tick of y, a text for every tick of x, and what they count. */
function axesOf({ x, y, xLabel, yLabel, xTexts }: FrameOptions, plot: Plot): Html {
  const { left, right, top, bottom } = plot;
  const rows = y.ticks.map((tick) => {
    const at = px(y.at(tick));
    const number = formatNumber(tick);
    return [
      markup`<line class="grid" x1="${left}" x2="${right}" y1="${at}" y2="${at}"/>`,
      markup`<text x="${left - 8}" y="${at}" dy="0.35em" text-anchor="end">${number}</text>`,
    ];
  });
  const columns = x.ticks.map((tick, i) => {
    const text = xTexts?.[i] ?? formatNumber(tick);
    const at = px(x.at(tick));
    return markup`<text x="${at}" y="${bottom + 16}" text-anchor="middle">${text}</text>`;
  });
  const centre = (left + right) / 2;
  const middle = (top + bottom) / 2;
  return markup`${rows}${columns}
<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>
<text x="${centre}" y="${plot.height - 5}" text-anchor="middle">${xLabel}</text>
<text transform="translate(9 ${middle}) rotate(-90)" text-anchor="middle">${yLabel}</text>`;
}

/** A figure with a heading; `content` below it. */
export function figure(
  { title, caption }: { readonly title: string; readonly caption?: HtmlValue },
  content: HtmlValue,
): Html {
  return markup`<figure><h3>${title}</h3>
${caption !== undefined && markup`<figcaption>${caption}</figcaption>`}${content}</figure>
`;
}

/** The SVG itself, with a text for those who do not see it. */
export function drawing(
  { title, summary }: { readonly title: string; readonly summary: string },
  height: number,
  content: HtmlValue,
  width: number = WIDTH,
): Html {
  const label = `${title}: ${summary}`;
  return markup`<svg viewBox="0 0 ${width} ${px(height)}" role="img" aria-label="${label}">
${content}
</svg>`;
}

/** What a chart says when there is nothing to draw. */
export function emptyFigure(title: string, reason: string): Html {
  return figure({ title, caption: reason }, undefined);
}

/** Colour and dashes of a series, as attributes for a stroke. */
export function stroke(series: number): Html {
  const dashes = DASHES[Math.floor(series / COLOURS) % DASHES.length] ?? '';
  const dashed = dashes !== '' && markup` stroke-dasharray="${dashes}"`;
  return markup`class="line s${series % COLOURS}"${dashed}`;
}

/** The class that fills an area with a series' colour. */
export function fill(series: number): string {
  return `f${series % COLOURS}`;
}

/** Names of series with a piece of each. */
export function legendOf(names: readonly string[], kind: 'line' | 'area'): Html {
  const sample = (series: number): Html =>
    kind === 'line'
      ? markup`<line x1="0" x2="22" y1="5" y2="5" stroke-width="3" ${stroke(series)}/>`
      : markup`<rect x="4" y="0" width="14" height="10" rx="2" class="${fill(series)}"/>`;
  const items = names.map((name, series) => {
    const picture = markup`<svg viewBox="0 0 22 10" aria-hidden="true">${sample(series)}</svg>`;
    return markup`<li>${picture}${name}</li>`;
  });
  return markup`<ul class="legend">${items}</ul>`;
}
