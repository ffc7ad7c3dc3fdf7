/** A run as a terminal shows it: three answers, figures, and a row for each worker. */
import {
  doingVerdict,
  learningVerdict,
  remainingMs,
  samplesPerSecond,
  shareOf,
  slownessOf,
  slowVerdict,
  type Verdict,
} from '../../dashboard/view/verdicts.ts';
import { isOver, type RunView } from '../../dashboard/view/run-view.ts';
import { isThere, type WorkerView } from '../../dashboard/view/worker-view.ts';
import { type Colours, duration, grouped, rate } from '../shell/terminal.ts';

const HEADINGS = ['rank', 'host', 'device', 'state', 'work', 'samples/s', 'computes', 'sends'];
/** Workers that have a row; more do not fit on a screen. */
const MAX_ROWS = 24;
const STATES: Readonly<Record<WorkerView['state'], string>> = {
  starting: 'starting',
  training: 'training',
  stalled: 'no sign of life',
  'standing-by': 'stands by',
  ended: 'done',
  lost: 'lost',
  banned: 'put out',
};

/** All that is worth knowing at `nowMs`, in lines. */
export function watchLines(view: RunView, nowMs: number, colours: Colours): string[] {
  const { bold, dim } = colours;
  const answers: readonly (readonly [string, Verdict])[] = [
    ['doing', doingVerdict(view, nowMs)],
    ['slow', slowVerdict(view)],
    ['learning', learningVerdict(view)],
  ];
  return [
    bold(view.name),
    ...answers.map(
      ([name, { tone, text }]) => `${dim(name.padEnd(9))}${toned(tone, text, colours)}`,
    ),
    `${dim('figures'.padEnd(9))}${figuresText(view)}`,
    '',
    ...workerTable(view, colours),
  ];
}

/** Where a run is, in one line. */
export function figuresText(view: RunView): string {
  const { step, sizes, loss, accuracy, evaluation } = view;
  const speed = samplesPerSecond(view);
  const leftMs = remainingMs(view);
  const unit = sizes?.rounds === undefined ? 'step' : 'round';
  return [
    `${unit} ${grouped(step)}${sizes === null ? '' : `/${grouped(sizes.steps)}`}`,
    loss !== null && `loss ${loss.toPrecision(4)}`,
    accuracy !== null && `acc ${(accuracy * 100).toFixed(1)} %`,
    evaluation !== null &&
      evaluation.accuracy !== null &&
      `${evaluation.split} acc ${(evaluation.accuracy * 100).toFixed(2)} %`,
    speed !== null && `${rate(speed)} samples/s`,
    leftMs !== null && leftMs > 0 && !isOver(view) && `ETA ${duration(leftMs)}`,
  ]
    .filter(Boolean)
    .join('  ');
}

function workerTable(view: RunView, colours: Colours): string[] {
  const rows = view.workers.slice(0, MAX_ROWS).map((worker) => cellsOf(worker, view));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  const more = view.workers.length - rows.length;
  return [
    colours.dim(line(HEADINGS)),
    ...rows.map((cells, i) => toned(toneOf(view.workers[i], view), line(cells), colours)),
    ...(more > 0 ? [colours.dim(`and ${more} more`)] : []),
  ];
}

function cellsOf(worker: WorkerView, view: RunView): string[] {
  const { rank, host, device, state, mean } = worker;
  const about = [String(rank), host, device, STATES[state]];
  if (!isThere(worker) || mean.steps === 0) return [...about, '–', '–', '–', '–'];
  const speed = view.stepMs === null ? 0 : (mean.samples / view.stepMs) * 1000;
  const share = `${Math.round(100 * shareOf(worker, view))} %`;
  return [...about, share, rate(speed), duration(mean.computeMs), duration(mean.communicateMs)];
}

function toneOf(worker: WorkerView | undefined, view: RunView): Verdict['tone'] {
  if (worker === undefined || worker.state === 'standing-by') return 'plain';
  if (!isThere(worker) || worker.state === 'stalled') return 'bad';
  return slownessOf(worker, view) === undefined ? 'plain' : 'warn';
}

function toned(tone: Verdict['tone'], text: string, { green, yellow, red }: Colours): string {
  const paints = { good: green, warn: yellow, bad: red, plain: String };
  return paints[tone](text);
}
