/** One worker: who it is, how it is, and what its time goes into. */
import type { RunView } from '../view/run-view.ts';
import { shareOf, slownessOf, slownessText } from '../view/verdicts.ts';
import { isThere, type WorkerView } from '../view/worker-view.ts';
import { element, type Pane } from './dom.ts';
import { numberText, percentText, timeSpanText, timeText } from './format.ts';

const WORDS = {
  starting: 'starting',
  training: 'training',
  stalled: 'no sign of life',
  'standing-by': 'stands by',
  ended: 'done',
  lost: 'lost',
  banned: 'put out',
} as const;

/** Parts of the time of a step, with the names of their colours. */
export const TIME_PARTS = [
  { name: 'computing', colour: 'c0', style: 'compute' },
  { name: 'sending sums', colour: 'c1', style: 'communicate' },
  { name: 'waiting', colour: 'c7', style: 'wait' },
] as const;

/** How often numbers change at most. */
const NUMBERS_MS = 400;

/** Cards of all workers, in a list; `isDetailed`: with what computing consists of. */
export function workerCards(view: () => RunView, isDetailed: boolean): Pane {
  const root = element('ul', { class: 'workers' });
  let shownStates = '';
  let shownId = -1;
  let drawnMs = -Infinity;
  return {
    root,
    draw: () => {
      const now = view();
      const states = now.workers.map(({ rank, state, host }) => `${rank} ${state} ${host}`).join();
      // States are news at once; of numbers nobody reads more.
      const isDue = performance.now() - drawnMs >= NUMBERS_MS && now.lastId !== shownId;
      if (states === shownStates && !isDue) return;
      [shownStates, shownId, drawnMs] = [states, now.lastId, performance.now()];
      root.replaceChildren(...now.workers.map((worker) => cardOf(worker, now, isDetailed)));
    },
  };
}

function cardOf(worker: WorkerView, view: RunView, isDetailed: boolean): HTMLElement {
  const { rank, host, device, lanes, processId, state, sinceMs, reason, mean, parts } = worker;
  const slowness = isThere(worker) ? slownessOf(worker, view) : undefined;
  const where = [
    host,
    device,
    lanes > 1 && `${lanes} lanes`,
    processId > 0 && `process ${processId}`,
  ];
  const share = shareOf(worker, view);
  const speed = view.stepMs === null ? null : (mean.samples / view.stepMs) * 1000;
  return element(
    'li',
    { class: `worker ${toneOf(worker, slowness !== undefined)}` },
    element(
      'h3',
      {},
      `Rank ${rank}`,
      element('span', { class: `badge ${badgeTone(worker)}` }, WORDS[state]),
    ),
    element('p', {}, where.filter(Boolean).join(', ') || 'not seen yet'),
    toneOf(worker, false) === 'plain' || state === 'training'
      ? reason !== '' && element('p', {}, reason)
      : element('p', {}, [`since ${timeText(sinceMs)}`, reason].filter(Boolean).join(': ')),
    slowness !== undefined &&
      element('span', { class: 'badge warn' }, `slow: ${slownessText(slowness)}`),
    isThere(worker) &&
      mean.steps > 0 && [
        element(
          'div',
          { class: 'row' },
          element('span', {}, `${percentText(share, 0)} of the work`),
          element('span', {}, `${numberText(speed && Number(speed.toPrecision(3)))} samples/s`),
        ),
        splitOf(worker),
        element(
          'div',
          { class: 'row' },
          element('span', {}, `${timeSpanText(mean.microBatchMs)} a micro-batch`),
          element('span', {}, `waits ${timeSpanText(mean.waitMs)}`),
        ),
        isDetailed && parts !== null && element('p', {}, partsText(parts)),
      ],
  );
}

/** What the time computing of the last step went into. */
function partsText(parts: NonNullable<WorkerView['parts']>): string {
  const { dataMs, graphMs, quantiseMs, updateMs } = parts;
  return (
    `forward and backward ${timeSpanText(graphMs)}, rounding ${timeSpanText(quantiseMs)}, ` +
    `update ${timeSpanText(updateMs)}, data ${timeSpanText(dataMs)}`
  );
}

function splitOf({ mean }: WorkerView): HTMLElement {
  const parts = [mean.computeMs, mean.communicateMs, mean.waitMs];
  const total = parts.reduce((sum, ms) => sum + ms, 0);
  const texts = TIME_PARTS.map(({ name }, i) => `${name} ${timeSpanText(parts[i])}`);
  const bar = element('div', {
    class: 'split',
    role: 'img',
    'aria-label': texts.join(', '),
    title: texts.join(', '),
  });
  for (const [i, { style }] of TIME_PARTS.entries()) {
    const part = element('i', { class: style });
    part.style.width = `${total === 0 ? 0 : (100 * (parts[i] ?? 0)) / total}%`;
    bar.append(part);
  }
  return bar;
}

function toneOf({ state }: WorkerView, isSlow: boolean): string {
  if (state === 'lost' || state === 'banned') return 'bad';
  if (state === 'stalled' || isSlow) return 'warn';
  return state === 'training' ? 'good' : 'plain';
}

function badgeTone({ state }: WorkerView): string {
  return toneOf({ state } as WorkerView, false);
}
