/** Charts that compare a few things with each other: bars, and shares of a ring. */
import { drawing, figure, fill, legendOf, px, WIDTH } from './chart-frame.ts';
import { formatNumber, type Html, markup } from './html.ts';

/** One thing and its value. */
export interface Bar {
  readonly name: string;
  readonly value: number;
}

const BAR_HEIGHT = 22;
const BAR_GAP = 10;
const VALUE_WIDTH = 125;
const CHARACTER_WIDTH = 7.5;
const MAX_NAME = 24;

/** Bars that lie, one under the other, each with its value; `unit` follows it. */
export function barChart(
  {
    title,
    caption,
    unit,
  }: { readonly title: string; readonly caption: string; readonly unit: string },
  bars: readonly Bar[],
): Html {
  const most = bars.reduce((top, { value }) => (value > top ? value : top), 0) || 1;
  const longest = Math.max(...bars.map(({ name }) => shortened(name).length));
  const left = Math.ceil(longest * CHARACTER_WIDTH) + 14;
  const space = WIDTH - left - VALUE_WIDTH;
  const rows = bars.map(({ name, value }, i) => {
    const top = i * (BAR_HEIGHT + BAR_GAP) + 4;
    const width = Number.isFinite(value) ? Math.max(0, (value / most) * space) : 0;
    const middle = top + BAR_HEIGHT / 2;
    const right = px(left + width + 8);
    const [label, number] = [shortened(name), `${formatNumber(value)} ${unit}`];
    return markup`<g><title>${name}: ${number}</title>
<text class="strong" x="${left - 10}" y="${middle}" dy="0.35em" text-anchor="end">${label}</text>
<rect class="${fill(i)}" x="${left}" y="${top}" width="${px(width)}" height="${BAR_HEIGHT}" rx="3"/>
<text class="strong" x="${right}" y="${middle}" dy="0.35em">${number}</text></g>
`;
  });
  const summary = bars
    .map(({ name, value }) => `${name} ${formatNumber(value)} ${unit}`)
    .join(', ');
  const height = bars.length * (BAR_HEIGHT + BAR_GAP) + 4;
  return figure({ title, caption }, drawing({ title, summary }, height, rows));
}

const RADIUS = 70;
const RING = 30;

/** Shares of a ring, in the order of `bars`, whose colours are those of the bars. */
export function ringChart(
  { title, caption }: { readonly title: string; readonly caption: string },
  bars: readonly Bar[],
): Html {
  const total = bars.reduce((sum, { value }) => sum + value, 0);
  const radius = RADIUS - RING / 2;
  const around = 2 * Math.PI * radius;
  const [x, y] = [WIDTH / 2, RADIUS + 6];
  let before = 0;
  const arcs = bars.map(({ name, value }, i) => {
    const share = total === 0 ? 0 : value / total;
    const dash = `${px(share * around)} ${px(around)}`;
    const turn = `rotate(${px(360 * before - 90)} ${x} ${y})`;
    before += share;
    const circle = markup`cx="${x}" cy="${y}" r="${radius}" fill="none" class="s${i % 8}"`;
    const arc = markup`stroke-width="${RING}" stroke-dasharray="${dash}" transform="${turn}"`;
    const text = `${name}: ${formatNumber(value)} of ${formatNumber(total)}`;
    return markup`<circle ${circle} ${arc}><title>${text}</title></circle>\n`;
  });
  const legend = bars.map(({ name, value }) => `${name}: ${formatNumber(value)}`);
  return figure({ title, caption }, [
    legendOf(legend, 'area'),
    drawing({ title, summary: legend.join(', ') }, 2 * RADIUS + 12, arcs),
  ]);
}

/** The beginning and the end of a long name: names that differ mostly differ there. */
export function shortened(name: string, most: number = MAX_NAME): string {
  if (name.length <= most) return name;
  const half = Math.floor((most - 1) / 2);
  return `${name.slice(0, half)}…${name.slice(-half)}`;
}
