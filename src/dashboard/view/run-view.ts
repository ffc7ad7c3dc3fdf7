/**
 * All that a dashboard shows of a run, as plain data that follows from its events alone. The server
 * and the page keep the same one: who comes later gets the server's as it is, and from then on the
 * events.
 */
import type { Progressed, RunStarted, StepCommitted } from '../../metrics/events.ts';
import type { FeedEvent, FeedRecord } from './feed-record.ts';
import { addToHistory, cutHistory, type History, makeHistory } from './history.ts';
import { toneOf, type LogTone } from './log-tone.ts';
import { type Timeline, addMark, addStep, makeTimeline } from './timeline.ts';
import {
  addPart,
  forgetMeans,
  isThere,
  makeWorker,
  setState,
  type WorkerState,
  type WorkerView,
} from './worker-view.ts';

/** Lines of the log that are kept. */
const MAX_LOG = 400;
/** Workers that are kept: of those who are gone the oldest are forgotten. */
const MAX_WORKERS = 512;
/** Means go over about so many steps. */
const SMOOTHED_STEPS = 20;
/** Who has a part in a step is in none of these any more. */
const BEFORE_WORK: ReadonlySet<WorkerState> = new Set(['starting', 'stalled', 'standing-by']);
/** Steps whose mean loss is what the training began with. */
const FIRST_STEPS = 3;

/** Where a run is. */
type RunPhase =
  'starting' | 'training' | 'evaluating' | 'waiting' | 'finished' | 'interrupted' | 'failed';

/** A line of the log. */
interface LogLine {
  readonly id: number;
  readonly timeMs: number;
  readonly tone: LogTone;
  readonly text: string;
}

/** Plain data: it goes to the page as JSON. */
export interface RunView {
  name: string;
  /** The number of the last record in it. */
  lastId: number;
  /** When the first and the last event were told; 0 before. */
  startedMs: number;
  updatedMs: number;
  phase: RunPhase;
  /** Why it waits, or has ended otherwise than it should. */
  reason: string;
  sizes: Omit<RunStarted, 'kind'> | null;
  /** What it is busy with that takes long. */
  activity: Omit<Progressed, 'kind'> | null;
  step: number;
  /** When the last step, or the last evaluation, was told; 0 before. */
  steppedMs: number;
  epoch: number;
  learningRate: number | null;
  /** Running means. */
  loss: number | null;
  accuracy: number | null;
  stepMs: number | null;
  samplesPerStep: number | null;
  firstLoss: number | null;
  stepsSeen: number;
  isDiverged: boolean;
  evaluation: { step: number; split: string; loss: number; accuracy: number | null } | null;
  /** How sums travel, and how often that was chosen: the number of the group of workers. */
  collective: { kind: string; ranks: readonly number[]; generation: number } | null;
  readonly workers: WorkerView[];
  readonly counts: Record<string, number>;
  readonly history: History;
  readonly evaluations: History;
  readonly timeline: Timeline;
  readonly norms: { step: number; values: Readonly<Record<string, number>> };
  readonly log: LogLine[];
}

/** A run of which nothing is known yet. */
export function makeRunView(name: string): RunView {
  return {
    name,
    lastId: 0,
    startedMs: 0,
    updatedMs: 0,
    phase: 'starting',
    reason: '',
    sizes: null,
    activity: null,
    step: 0,
    steppedMs: 0,
    epoch: 0,
    learningRate: null,
    loss: null,
    accuracy: null,
    stepMs: null,
    samplesPerStep: null,
    firstLoss: null,
    stepsSeen: 0,
    isDiverged: false,
    evaluation: null,
    collective: null,
    workers: [],
    counts: {},
    history: makeHistory([
      ...['loss', 'accuracy', 'learningRate', 'samplesPerSecond'],
      ...['computeMs', 'communicateMs', 'waitMs', 'otherMs'],
    ]),
    evaluations: makeHistory(['loss', 'accuracy']),
    timeline: makeTimeline(),
    norms: { step: 0, values: {} },
    log: [],
  };
}

/** Brings a view up to date with the next record; one that it has already changes nothing. */
export function applyRecord(view: RunView, record: FeedRecord): void {
  if (record.id <= view.lastId) return;
  const { event, timeMs, text } = record;
  view.lastId = record.id;
  if (view.startedMs === 0) view.startedMs = timeMs;
  view.updatedMs = timeMs;
  if (event.kind !== 'step' && event.kind !== 'gradient-norms' && event.kind !== 'progress')
    view.counts[event.kind] = (view.counts[event.kind] ?? 0) + 1;
  applyEvent(view, event, timeMs);
  if (text === undefined) return;
  view.log.push({ id: record.id, timeMs, tone: toneOf(event), text });
  if (view.log.length > MAX_LOG) view.log.shift();
}

/** Whether the run has come to an end, whichever. */
export function isOver({ phase }: RunView): boolean {
  return phase === 'finished' || phase === 'interrupted' || phase === 'failed';
}

function workerOf(view: RunView, rank: number): WorkerView | undefined {
  return view.workers.find((worker) => worker.rank === rank);
}

function applyEvent(view: RunView, event: FeedEvent, timeMs: number): void {
  const mark = (kind: LogTone, what: string, rank?: number): void =>
    addMark(view.timeline, { kind, what, rank: rank ?? null });
  const put = (rank: number, state: WorkerState, reason?: string): void =>
    setState(ensureWorker(view, rank, timeMs), state, timeMs, reason);
  switch (event.kind) {
    case 'step':
      return applyStep(view, event, timeMs);
    case 'progress':
      return applyProgress(view, event);
    case 'run-started':
      view.sizes = event;
      return undefined;
    case 'worker-joined': {
      const worker = ensureWorker(view, event.rank, timeMs);
      const { workerId, host, processId, device, lanes } = event;
      Object.assign(worker, { workerId, host, processId, device, lanes });
      forgetMeans(worker);
      setState(worker, 'training', timeMs);
      return mark('good', 'joined', event.rank);
    }
    case 'worker-lost':
      put(event.rank, 'lost', event.reason);
      return mark('bad', 'lost', event.rank);
    case 'worker-stalled':
      put(event.rank, 'stalled', event.reason);
      return mark('warn', 'stalled', event.rank);
    case 'worker-distrusted':
      put(event.rank, 'banned', event.reason);
      return mark('bad', 'banned', event.rank);
    case 'worker-restarting':
      return put(event.rank, 'lost', `it is started again: ${event.reason}`);
    case 'worker-given-up':
      return put(event.rank, 'lost', `it is not started again: ${event.reason}`);
    case 'workers-left-out':
      for (const rank of event.ranks)
        put(rank, 'standing-by', 'with it a step takes longer than without');
      return undefined;
    case 'workers-taken-back':
      for (const rank of event.ranks) put(rank, 'training');
      return undefined;
    case 'worker-overtaken':
      put(event.rank, 'standing-by', 'the others go on faster than the state comes to it');
      return mark('warn', 'overtaken', event.rank);
    case 'micro-batches-reissued':
      return mark('warn', givenAwayText(event.microBatches.length), event.fromRank);
    case 'step-redone':
      return event.reason === 'calibration' ? undefined : mark('warn', 'computed again');
    case 'rolled-back':
      view.step = event.toStep;
      cutHistory(view.history, event.toStep);
      cutHistory(view.evaluations, event.toStep);
      return mark('bad', `back to step ${event.toStep}`);
    case 'collective-chosen': {
      const generation = (view.collective?.generation ?? 0) + 1 + (event.leftOut ?? 0);
      view.collective = { kind: event.collective, ranks: event.ranks, generation };
      return undefined;
    }
    case 'diverged':
      view.isDiverged = true;
      return undefined;
    case 'evaluation': {
      const { step, split, lossMean: loss, accuracy } = event;
      view.steppedMs = timeMs;
      view.evaluation = { step, split, loss, accuracy: accuracy ?? null };
      addToHistory(view.evaluations, step, { loss, accuracy });
      view.activity = null;
      return undefined;
    }
    case 'gradient-norms':
      view.norms.step = event.step;
      view.norms.values = event.norms;
      return undefined;
    case 'run-waiting':
      [view.phase, view.reason] = ['waiting', event.reason];
      return undefined;
    case 'run-ended':
      [view.phase, view.reason, view.activity] = [event.status, event.reason ?? '', null];
      for (const worker of view.workers.filter(isThere)) setState(worker, 'ended', timeMs);
      return undefined;
    default:
      return undefined;
  }
}

function applyProgress(view: RunView, event: Progressed): void {
  view.activity = event;
  if (event.activity === 'evaluating') view.phase = 'evaluating';
  else if (event.activity === 'training') view.phase = 'training';
}

function applyStep(view: RunView, event: StepCommitted, timeMs: number): void {
  [view.phase, view.reason, view.activity] = ['training', '', null];
  [view.step, view.epoch, view.learningRate] = [event.step, event.epoch, event.learningRate];
  view.steppedMs = timeMs;
  view.stepsSeen++;
  const weight = 1 / Math.min(view.stepsSeen, SMOOTHED_STEPS);
  const toward = (before: number | null, value: number): number =>
    before === null ? value : before + weight * (value - before);
  view.loss = toward(view.loss, event.lossMean);
  if (event.accuracy !== undefined) view.accuracy = toward(view.accuracy, event.accuracy);
  view.stepMs = toward(view.stepMs, event.stepMs);
  view.samplesPerStep = toward(view.samplesPerStep, event.sampleCount);
  if (view.stepsSeen <= FIRST_STEPS) {
    const before = view.firstLoss ?? 0;
    view.firstLoss = before + (event.lossMean - before) / view.stepsSeen;
  }
  addToHistory(view.history, event.step, {
    loss: event.lossMean,
    accuracy: event.accuracy,
    learningRate: event.learningRate,
    samplesPerSecond: event.stepMs > 0 ? (event.sampleCount / event.stepMs) * 1000 : undefined,
    computeMs: event.computeMs,
    communicateMs: event.communicateMs,
    waitMs: event.waitMs,
    otherMs: event.otherMs,
  });
  addStep(view.timeline, event);
  for (const part of event.ranks) {
    const worker = ensureWorker(view, part.rank, timeMs);
    addPart(worker, event.step, part);
    if (BEFORE_WORK.has(worker.state)) setState(worker, 'training', timeMs);
  }
}

function ensureWorker(view: RunView, rank: number, timeMs: number): WorkerView {
  const known = workerOf(view, rank);
  if (known !== undefined) return known;
  const { workers } = view;
  if (workers.length >= MAX_WORKERS) {
    const gone = workers.findIndex(({ state }) => state === 'lost' || state === 'banned');
    workers.splice(Math.max(0, gone), 1);
  }
  const made = makeWorker(rank, timeMs);
  workers.push(made);
  workers.sort((a, b) => a.rank - b.rank);
  return made;
}

function givenAwayText(count: number): string {
  return count === 1 ? '1 micro-batch to others' : `${count} micro-batches to others`;
}
