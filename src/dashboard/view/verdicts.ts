/** The three questions that somebody has who looks at a run, answered from what was measured. */
import { median } from '../../base/median.ts';
import { formatNumber } from '../../charts/html.ts';
import type { LogTone } from './log-tone.ts';
import type { Progressed } from '../../metrics/events.ts';
import { durationText } from './duration-text.ts';
import { isOver, type RunView } from './run-view.ts';
import { isThere, type WorkerState, type WorkerView } from './worker-view.ts';

/** Who takes so many times as long as the others' median is called slow. */
const SLOW_RATIO = 1.5;
/** Of a worker's first steps nothing is concluded. */
const LEAST_STEPS = 5;
/** Milliseconds that are not worth a word. */
const LEAST_MS = 1;
/** Before so many steps nobody knows whether it learns. */
const EARLY_STEPS = 10;
/** A loss that is so much lower than the first has fallen. */
const FALLEN = 0.97;

/** A run in which no step is done for so long, and so many times as long as usual, is stuck. */
const QUIET_MS = 5_000;
const QUIET_STEPS = 5;
/** Workers that an answer names. */
const MOST_NAMES = 3;

/** An answer: how good it is, and in words. */
export interface Verdict {
  readonly tone: LogTone;
  readonly text: string;
}

/** Why a worker is slow, if it is. */
export interface Slowness {
  readonly where: 'compute' | 'link';
  /** How many times as long as the others. */
  readonly ratio: number;
}

/** Samples per second, over the last steps; null before the first. */
export function samplesPerSecond({ samplesPerStep, stepMs }: RunView): number | null {
  return samplesPerStep === null || stepMs === null || stepMs <= 0
    ? null
    : (samplesPerStep / stepMs) * 1000;
}

/** Milliseconds until the last step, if steps go on as they do; null before the first. */
export function remainingMs({ sizes, step, stepMs }: RunView): number | null {
  return sizes === null || stepMs === null ? null : Math.max(0, sizes.steps - step) * stepMs;
}

/** Whether a worker is slower than the others, by what was measured of the last steps. */
export function slownessOf(worker: WorkerView, view: RunView): Slowness | undefined {
  const measured = view.workers.filter(
    (one) => isThere(one) && one.mean.steps >= LEAST_STEPS && one.mean.microBatchMs > 0,
  );
  const others = measured.filter((one) => one !== worker);
  if (others.length === 0 || !measured.includes(worker)) return undefined;
  const compare = (of: (one: WorkerView) => number): number => {
    const usual = median(others.map(of));
    return of(worker) - usual < LEAST_MS ? 0 : of(worker) / Math.max(usual, LEAST_MS / 10);
  };
  const compute = compare(({ mean }) => mean.microBatchMs);
  const link = compare(({ mean }) => mean.communicateMs);
  if (Math.max(compute, link) < SLOW_RATIO) return undefined;
  return compute >= link ? { where: 'compute', ratio: compute } : { where: 'link', ratio: link };
}

/** Whoever is missing, or slow and why. */
export function slowVerdict(view: RunView): Verdict {
  const missing = missingVerdict(view);
  if (missing !== undefined) return missing;
  const there = view.workers.filter(isThere);
  const slow = there.flatMap((worker) => {
    const slowness = slownessOf(worker, view);
    return slowness === undefined ? [] : [{ worker, slowness }];
  });
  const worst = slow.sort((a, b) => b.slowness.ratio - a.slowness.ratio)[0];
  if (worst !== undefined) {
    const { worker, slowness } = worst;
    const share = `${Math.round(shareOf(worker, view) * 100)} % of the work`;
    const text = `${nameOf(worker, view)} ${slownessText(slowness)}; it gets ${share}`;
    return { tone: 'warn', text };
  }
  if (there.length < 2) return { tone: 'plain', text: 'Nobody to compare with' };
  const isMeasured = there.some(({ mean }) => mean.steps >= LEAST_STEPS);
  return isMeasured
    ? { tone: 'good', text: 'Nobody: all are about as fast' }
    : { tone: 'plain', text: 'Too early to tell' };
}

/** Whoever gives no sign of life, or is gone and not back. */
function missingVerdict(view: RunView): Verdict | undefined {
  const inState = (...states: readonly WorkerState[]): WorkerView[] =>
    view.workers.filter(({ state }) => states.includes(state));
  const stalled = inState('stalled');
  if (stalled.length > 0)
    return { tone: 'bad', text: `${namesOf(stalled, view)}: no sign of life` };
  // What became of workers after the end is no news.
  const gone = inState('lost', 'banned');
  const [first] = gone;
  if (first === undefined || isOver(view)) return undefined;
  const why = gone.length === 1 ? first.reason : 'see below';
  return { tone: 'bad', text: `${namesOf(gone, view)}: lost, ${why}` };
}

/** A worker by its rank, and by its machine where there are several. */
function nameOf({ rank, host }: WorkerView, view: RunView): string {
  const isOneOfMany = host !== '' && view.workers.some((one) => one.host !== host);
  return isOneOfMany ? `Rank ${rank} on ${host}` : `Rank ${rank}`;
}

function namesOf(workers: readonly WorkerView[], view: RunView): string {
  const shown = workers.slice(0, MOST_NAMES).map((worker) => nameOf(worker, view));
  const more = workers.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

/** Why somebody is slow, in words. */
export function slownessText({ where, ratio }: Slowness): string {
  const times = `${formatNumber(Number(ratio.toPrecision(2)))} times as long as the others`;
  return where === 'compute' ? `computes ${times}` : `sends ${times}`;
}

/** The part of the work of the last steps that a worker had, 0 to 1. */
export function shareOf(worker: WorkerView, view: RunView): number {
  const all = view.workers.filter(isThere);
  const total = all.reduce((sum, { mean }) => sum + mean.samples, 0);
  return total === 0 || !isThere(worker) ? 0 : worker.mean.samples / total;
}

/** Whether the loss falls. */
export function learningVerdict(view: RunView): Verdict {
  const { loss, firstLoss, stepsSeen, evaluation, isDiverged } = view;
  if (isDiverged) return { tone: 'bad', text: 'No: the training has diverged' };
  if (loss === null || firstLoss === null || stepsSeen < EARLY_STEPS)
    return { tone: 'plain', text: 'Too early to tell' };
  const from = `${formatNumber(firstLoss)} to ${formatNumber(loss)}`;
  const tested =
    evaluation === null || evaluation.accuracy === null
      ? ''
      : `; ${evaluation.split} accuracy ${(evaluation.accuracy * 100).toFixed(2)} %`;
  return loss < FALLEN * firstLoss
    ? { tone: 'good', text: `Yes: the loss fell from ${from}${tested}` }
    : { tone: 'warn', text: `Not yet: the loss went from ${from}${tested}` };
}

/** What the run is doing at `nowMs`, on the clock by which events were told. */
export function doingVerdict(view: RunView, nowMs: number): Verdict {
  const { phase, reason, activity, sizes, step, workers } = view;
  const unit = sizes?.rounds === undefined ? 'step' : 'round';
  const of = sizes === null ? '' : ` of ${formatNumber(sizes.steps)}`;
  const count = workers.filter(({ state }) => state === 'training').length;
  const crew = `${count} ${count === 1 ? 'worker' : 'workers'}`;
  const why = reason === '' ? '' : `: ${reason}`;
  const at = `${unit} ${formatNumber(step)}${of}`;
  switch (phase) {
    case 'starting':
      return {
        tone: 'plain',
        text: activity === null ? 'Starting' : `Starting: ${activityText(activity)}`,
      };
    case 'training': {
      const quietMs = nowMs - view.steppedMs;
      if (quietMs < Math.max(QUIET_MS, QUIET_STEPS * (view.stepMs ?? 0)))
        return { tone: 'good', text: `Training with ${crew}, ${at}` };
      const busy = activity === null ? '' : `; ${activityText(activity)}`;
      return { tone: 'bad', text: `No ${unit} for ${durationText(quietMs)}, at ${at}${busy}` };
    }
    case 'evaluating':
      return { tone: 'good', text: `Testing the model after ${at}` };
    case 'waiting':
      return { tone: 'bad', text: `Waiting at ${at}${why}` };
    case 'finished':
      return { tone: 'good', text: `Finished after ${at}` };
    case 'interrupted':
      return { tone: 'warn', text: `Ended at ${at}${why}` };
    case 'failed':
      return { tone: 'bad', text: `Failed at ${at}${why}` };
    default:
      return phase satisfies never;
  }
}

function activityText({ activity, done, of }: Omit<Progressed, 'kind'>): string {
  const count = `${formatNumber(done)} of ${formatNumber(of)}`;
  const texts = {
    loading: `workers load data and model: ${count} ready`,
    'handing-over': `workers get the weights: ${count} have them`,
    measuring: 'measuring how large gradients are',
    training: `${count} micro-batches of the next are done`,
    evaluating: `testing: ${count} samples`,
    collecting: 'collecting the last state',
  };
  return texts[activity];
}
