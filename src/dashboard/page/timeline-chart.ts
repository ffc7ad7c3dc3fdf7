/** Who computed how much when: a row for every worker, a bar for every step. */
import { linearScale } from '../../charts/chart-frame.ts';
import type { RunView } from '../view/run-view.ts';
import type { TimelineMark, TimelineStep } from '../view/timeline.ts';
import { Canvas, type Drawing } from './canvas.ts';
import { element, type Pane, panel } from './dom.ts';
import { timeSpanText } from './format.ts';
import { legendItem } from './step-chart.ts';
import { TIME_PARTS } from './worker-card.ts';

const ROW = 30;
const EDGES = { left: 62, right: 10, top: 22, bottom: 26 };
/** Rows that fit; of more workers, those with the lowest ranks are shown. */
const MAX_ROWS = 24;
/** What happened last is said in words, too. */
const MAX_TOLD_MARKS = 6;
const ZOOMS = [5, 10, 20, 50, 100, 200, 400];

/** The last steps; buttons and the keys + and - show fewer or more of them. */
export function timelineChart(view: () => RunView, isFrozen: () => boolean = () => false): Pane {
  let canvas = new Canvas(EDGES.top + EDGES.bottom + ROW, true);
  let rows = 0;
  let zoom = 2;
  let shown: RunView['timeline'] | undefined;
  const place = element('div', {}, canvas.root);
  const count = element('span', { class: 'faint', role: 'status' });
  const told = element('p', { class: 'faint told' });
  const events = element('ul', { class: 'marks' });
  const change = (by: number): void => {
    zoom = Math.min(ZOOMS.length - 1, Math.max(0, zoom + by));
    draw();
  };
  const onKey = (event: Event): void => {
    const { key } = event as KeyboardEvent;
    if (key === '+' || key === '=') change(-1);
    if (key === '-') change(1);
  };
  const root = panel(
    'Who computed when',
    element(
      'div',
      { class: 'tools' },
      element('button', { onclick: () => change(-1), 'aria-label': 'show fewer steps' }, '+'),
      element('button', { onclick: () => change(1), 'aria-label': 'show more steps' }, '−'),
      count,
    ),
    element(
      'ul',
      { class: 'legend' },
      TIME_PARTS.map((part) => legendItem(part)),
    ),
    place,
    told,
    events,
    element(
      'p',
      { class: 'faint' },
      'Lengths are measured; in which order a worker computed and waited within a step is not. ' +
        'Numbers are micro-batches.',
    ),
  );
  root.addEventListener('keydown', onKey);
  const draw = (): void => {
    const now = view();
    if (!isFrozen() || shown === undefined) shown = now.timeline;
    const steps = shown.steps.slice(-(ZOOMS[zoom] ?? 20));
    const ranks = now.workers.map(({ rank }) => rank).slice(0, MAX_ROWS);
    if (ranks.length !== rows) {
      rows = ranks.length;
      canvas = new Canvas(EDGES.top + EDGES.bottom + ROW * Math.max(1, rows), true);
      canvas.root.addEventListener('pointermove', ({ offsetX }) => tell(offsetX));
      place.replaceChildren(canvas.root);
    }
    const [first, last] = [steps[0], steps.at(-1)];
    const text =
      first === undefined || last === undefined
        ? 'no step yet'
        : `steps ${first.step} to ${last.step}`;
    if (count.textContent !== text) count.textContent = text;
    tellMarks(events, shown.marks);
    const drawing = canvas.begin(`Bars of ${rows} workers over ${text}`);
    if (drawing !== undefined) drawTimeline(drawing, steps, shown.marks, ranks);
  };
  const tell = (offsetX: number): void => {
    const steps = (shown?.steps ?? []).slice(-(ZOOMS[zoom] ?? 20));
    const width = canvas.root.clientWidth;
    const step = stepAt(steps, (offsetX - EDGES.left) / (width - EDGES.left - EDGES.right));
    if (step === undefined) return;
    const bars = step.bars.map(
      ({ rank, microBatches, computeMs, communicateMs, waitMs }) =>
        `rank ${rank}: ${microBatches} micro-batches in ${timeSpanText(computeMs)}, sums ` +
        `${timeSpanText(communicateMs)}, waits ${timeSpanText(waitMs)}`,
    );
    told.textContent = `step ${step.step}, ${timeSpanText(step.stepMs)}. ${bars.join('; ')}`;
  };
  return { root, draw };
}

/** The last of what happened, in words. */
function tellMarks(list: HTMLElement, marks: readonly TimelineMark[]): void {
  const texts = marks
    .slice(-MAX_TOLD_MARKS)
    .map(({ rank, what }) => (rank === null ? what : `rank ${rank}: ${what}`));
  const key = texts.join('\n');
  if (list.dataset['shown'] === key) return;
  list.dataset['shown'] = key;
  list.replaceChildren(...texts.map((text) => element('li', {}, text)));
}

function stepAt(steps: readonly TimelineStep[], part: number): TimelineStep | undefined {
  const [first, last] = [steps[0], steps.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const atMs = first.startMs + part * (last.startMs + last.stepMs - first.startMs);
  return steps.find(({ startMs, stepMs }) => atMs >= startMs && atMs < startMs + stepMs);
}

function drawTimeline(
  { pen, width, height, colour }: Drawing,
  steps: readonly TimelineStep[],
  marks: readonly TimelineMark[],
  ranks: readonly number[],
): void {
  const [first, last] = [steps[0], steps.at(-1)];
  if (first === undefined || last === undefined) return;
  const startMs = first.startMs;
  const endMs = last.startMs + last.stepMs;
  const x = linearScale(
    0,
    endMs - startMs,
    EDGES.left,
    width - EDGES.right,
    true,
    width < 480 ? 3 : 8,
  );
  const at = (ms: number): number => x.at(ms - startMs);
  const rowOf = new Map(ranks.map((rank, row) => [rank, EDGES.top + row * ROW]));
  pen.textBaseline = 'middle';
  pen.fillStyle = colour('faint');
  for (const [rank, y] of rowOf) {
    pen.textAlign = 'left';
    pen.fillText(`rank ${rank}`, 2, y + ROW / 2);
  }
  drawAbsences({ pen, width, height, colour }, marks, at, rowOf);
  for (const { startMs: stepStart, bars, step } of steps) {
    pen.fillStyle = colour('grid');
    pen.fillRect(at(stepStart), EDGES.top, 1, height - EDGES.top - EDGES.bottom);
    for (const bar of bars) {
      const y = rowOf.get(bar.rank);
      if (y === undefined) continue;
      let fromMs = stepStart;
      const parts = [bar.computeMs, bar.communicateMs, bar.waitMs];
      for (const [i, { colour: name }] of TIME_PARTS.entries()) {
        const ms = parts[i] ?? 0;
        const [left, right] = [at(fromMs), Math.min(at(fromMs + ms), at(endMs))];
        pen.fillStyle = colour(name);
        if (right > left)
          pen.fillRect(left + 0.5, y + 5, Math.max(0.5, right - left - 0.5), ROW - 10);
        fromMs += ms;
      }
      const room = at(stepStart + bar.computeMs) - at(stepStart);
      if (room > 18) {
        pen.fillStyle = colour('panel');
        pen.textAlign = 'center';
        pen.fillText(String(bar.microBatches), at(stepStart) + room / 2, y + ROW / 2 + 1);
      }
    }
    if (steps.length <= 20 && at(stepStart + 1) >= 0) {
      pen.fillStyle = colour('faint');
      pen.textAlign = 'left';
      const next = steps.find((one) => one.step === step + 1);
      if (next === undefined || at(next.startMs) - at(stepStart) > 34)
        pen.fillText(String(step), at(stepStart) + 3, 9);
    }
  }
  drawMarks({ pen, width, height, colour }, marks, at, rowOf);
  pen.fillStyle = colour('faint');
  pen.textAlign = 'center';
  for (const tick of x.ticks)
    pen.fillText(timeSpanText(tick), Math.max(x.at(tick), EDGES.left + 10), height - 12);
}

/** A row is shaded for as long as its worker was gone. */
function drawAbsences(
  { pen, width, colour }: Drawing,
  marks: readonly TimelineMark[],
  at: (ms: number) => number,
  rowOf: ReadonlyMap<number, number>,
): void {
  pen.fillStyle = colour('bad-ground');
  for (const [rank, y] of rowOf) {
    let goneMs: number | undefined;
    const shade = (toX: number): void => {
      const left = Math.max(EDGES.left, at(goneMs ?? 0));
      if (goneMs !== undefined && toX > left) pen.fillRect(left, y + 1, toX - left, ROW - 2);
    };
    for (const { atMs, kind } of marks.filter((mark) => mark.rank === rank)) {
      if (kind === 'bad') goneMs ??= atMs;
      if (kind !== 'good') continue;
      shade(at(atMs));
      goneMs = undefined;
    }
    shade(width - EDGES.right);
  }
}

/** What happened, at the worker that it happened to; in words where these hide nothing. */
function drawMarks(
  { pen, height, colour, width }: Drawing,
  marks: readonly TimelineMark[],
  at: (ms: number) => number,
  rowOf: ReadonlyMap<number, number>,
): void {
  pen.font = 'bold 11px system-ui, "DejaVu Sans", sans-serif';
  pen.textAlign = 'left';
  for (const [i, { atMs, kind, what, rank }] of marks.entries()) {
    const left = Math.min(at(atMs), width - EDGES.right - 3);
    if (left < EDGES.left) continue;
    pen.fillStyle = colour(kind === 'plain' ? 'faint' : kind);
    const y = rank === null ? undefined : rowOf.get(rank);
    if (y === undefined) pen.fillRect(left, EDGES.top, 2, height - EDGES.top - EDGES.bottom);
    else pen.fillRect(left, y + 1, 3, ROW - 2);
    if (y === undefined || kind !== 'bad') continue;
    const next = marks.slice(i + 1).find((mark) => mark.rank === rank && mark.atMs > atMs);
    const room = (next === undefined ? width - EDGES.right : at(next.atMs)) - left - 10;
    const given = marks.find(
      (mark) => mark.rank === rank && mark.atMs === atMs && mark !== marks[i],
    );
    const texts = given === undefined ? [what] : [`${what}, ${given.what}`, what];
    const text = texts.find((one) => pen.measureText(one).width <= room);
    if (text !== undefined) pen.fillText(text, left + 8, y + ROW / 2);
  }
  pen.font = '12px system-ui, "DejaVu Sans", sans-serif';
}
