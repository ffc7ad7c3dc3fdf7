/** Lines, or parts on top of each other, over the steps of a run. */
import { linearScale, type Scale } from '../../charts/chart-frame.ts';
import { formatNumber } from '../../charts/html.ts';
import { Canvas, type Drawing } from './canvas.ts';
import { element, type Pane, panel } from './dom.ts';

/** One line or part. */
export interface Series {
  readonly name: string;
  /** Name of its colour on the page. */
  readonly colour: string;
  readonly steps: readonly number[];
  readonly values: readonly (number | null)[];
}

/** What a chart shows, asked for whenever it is drawn. */
export interface StepChartOptions {
  readonly title: string;
  readonly unit: string;
  readonly isStacked?: boolean;
  readonly series: () => readonly Series[];
}

const HEIGHT = 230;
const EDGES = { left: 58, right: 10, top: 8, bottom: 34 };

/** A chart in a panel; the pointer tells the values of a step. */
export function stepChart(options: StepChartOptions): Pane {
  const canvas = new Canvas(HEIGHT);
  const told = element('p', { class: 'faint told' });
  const legend = element('ul', { class: 'legend' });
  const root = panel(options.title, legend, canvas.root, told);
  let pointer: number | undefined;
  let names = '';
  const draw = (): void => {
    const series = options.series().filter(({ values }) => values.some((one) => one !== null));
    const wanted = series.map(({ name }) => name).join();
    if (wanted !== names) {
      names = wanted;
      legend.replaceChildren(...series.map(legendItem));
    }
    const drawing = canvas.begin(`${options.title}: ${summaryOf(series)}`);
    if (drawing === undefined) return;
    const step = drawSeries(drawing, options, series, pointer);
    const text =
      step === undefined
        ? ''
        : `step ${formatNumber(step)}: ${valuesAt(series, step)} ${options.unit}`;
    if (told.textContent !== text) told.textContent = text;
  };
  canvas.root.addEventListener('pointermove', (event) => {
    pointer = event.offsetX;
    draw();
  });
  canvas.root.addEventListener('pointerleave', () => {
    pointer = undefined;
    draw();
  });
  return { root, draw };
}

/** A name with its colour. */
export function legendItem({ name, colour }: Pick<Series, 'name' | 'colour'>): HTMLElement {
  const sample = element('i');
  sample.style.background = `var(--${colour})`;
  return element('li', {}, sample, name);
}

function summaryOf(series: readonly Series[]): string {
  const texts = series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    const [first = 0, last = 0] = [known[0], known.at(-1)];
    return `${name} from ${formatNumber(first)} to ${formatNumber(last)}`;
  });
  return texts.length === 0 ? 'no numbers yet' : texts.join(', ');
}

function valuesAt(series: readonly Series[], step: number): string {
  const texts = series.map(({ name, steps, values }) => {
    const value = values[nearest(steps, step)] ?? null;
    return value === null ? `${name} –` : `${name} ${formatNumber(value)}`;
  });
  return texts.join(', ');
}

function nearest(steps: readonly number[], step: number): number {
  let best = 0;
  for (const [i, one] of steps.entries())
    if (Math.abs(one - step) < Math.abs((steps[best] ?? 0) - step)) best = i;
  return best;
}

/** Draws all, and gives the step under the pointer. */
function drawSeries(
  drawing: Drawing,
  { isStacked = false, unit }: StepChartOptions,
  series: readonly Series[],
  pointer: number | undefined,
): number | undefined {
  const { pen, width, height, colour } = drawing;
  const all = series.flatMap(({ steps }) => [steps[0] ?? 0, steps.at(-1) ?? 0]);
  if (all.length === 0) {
    pen.fillStyle = colour('faint');
    pen.fillText('no numbers yet', EDGES.left, height / 2);
    return undefined;
  }
  const tops = isStacked
    ? sumsOf(series)
    : series.flatMap(({ values }) => values.filter((value) => value !== null));
  const [left, right, top, bottom] = [
    EDGES.left,
    width - EDGES.right,
    EDGES.top,
    height - EDGES.bottom,
  ];
  const high = Math.max(...tops);
  const low = isStacked ? 0 : Math.min(...tops);
  const y = linearScale(low > 0 && low < high / 3 ? 0 : low, high, bottom, top);
  const x = linearScale(Math.min(...all), Math.max(...all), left, right, true, width < 480 ? 3 : 6);
  drawAxes(drawing, x, y, unit);
  if (isStacked) drawStack(drawing, series, x, y);
  else for (const one of series) drawLine(drawing, one, x, y);
  const steps = series[0]?.steps ?? [];
  if (pointer === undefined || steps.length === 0) return undefined;
  const at = pointer;
  const found = steps.reduce(
    (best, step) => (Math.abs(x.at(step) - at) < Math.abs(x.at(best) - at) ? step : best),
    steps[0] ?? 0,
  );
  pen.fillStyle = colour('faint');
  pen.fillRect(x.at(found), top, 1, bottom - top);
  return found;
}

function drawAxes({ pen, width, height, colour }: Drawing, x: Scale, y: Scale, unit: string): void {
  const bottom = height - EDGES.bottom;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  for (const tick of y.ticks) {
    const at = Math.round(y.at(tick)) + 0.5;
    pen.fillStyle = colour('grid');
    pen.fillRect(EDGES.left, at, width - EDGES.left - EDGES.right, 1);
    pen.fillStyle = colour('faint');
    pen.fillText(formatNumber(tick), EDGES.left - 8, at);
  }
  pen.textBaseline = 'top';
  pen.textAlign = 'center';
  for (const tick of x.ticks)
    if (Number.isInteger(tick)) pen.fillText(formatNumber(tick), x.at(tick), bottom + 5);
  pen.textAlign = 'right';
  pen.fillText(`step`, width - EDGES.right, bottom + 19);
  pen.textAlign = 'left';
  if (unit !== '') pen.fillText(unit, 2, bottom + 19);
}

function drawLine(
  { pen, colour }: Drawing,
  { steps, values, colour: name }: Series,
  x: Scale,
  y: Scale,
): void {
  pen.strokeStyle = colour(name);
  pen.lineWidth = 1.75;
  pen.lineJoin = 'round';
  pen.beginPath();
  let isDown = false;
  for (const [i, step] of steps.entries()) {
    const value = values[i] ?? null;
    if (value === null) continue;
    if (isDown) pen.lineTo(x.at(step), y.at(value));
    else pen.moveTo(x.at(step), y.at(value));
    isDown = true;
  }
  pen.stroke();
  const [last, step] = [values.at(-1), steps.at(-1)];
  if (last === null || last === undefined || step === undefined) return;
  pen.fillStyle = colour(name);
  pen.beginPath();
  pen.arc(x.at(step), y.at(last), 3, 0, 2 * Math.PI);
  pen.fill();
}

function drawStack({ pen, colour }: Drawing, series: readonly Series[], x: Scale, y: Scale): void {
  const below: number[] = [];
  for (const { steps, values, colour: name } of series) {
    pen.fillStyle = colour(name);
    pen.beginPath();
    for (const [i, step] of steps.entries())
      pen.lineTo(x.at(step), y.at((below[i] ?? 0) + (values[i] ?? 0)));
    for (let i = steps.length - 1; i >= 0; i--)
      pen.lineTo(x.at(steps[i] ?? 0), y.at(below[i] ?? 0));
    pen.fill();
    for (const [i, value] of values.entries()) below[i] = (below[i] ?? 0) + (value ?? 0);
  }
}

function sumsOf(series: readonly Series[]): number[] {
  const first = series[0]?.steps ?? [];
  return first.map((_, i) => series.reduce((sum, { values }) => sum + (values[i] ?? 0), 0));
}
