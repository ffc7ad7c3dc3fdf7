/**
 * The last steps as bars: how long each worker computed, sent sums and waited. Lengths are
 * measured; where in a step a worker waited is not, so it is drawn at the end.
 */
import type { StepCommitted } from '../../metrics/events.ts';
import type { LogTone } from './log-tone.ts';

/** Bars of single workers that are kept, over all steps. */
const MAX_BARS = 3_000;
/** Steps that are kept, however few workers there are. */
const MAX_STEPS = 400;
const MAX_MARKS = 100;

/** One worker in one step. */
interface Bar {
  readonly rank: number;
  readonly microBatches: number;
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
}

/** One step; time counts what steps took, without what was between them. */
export interface TimelineStep {
  readonly step: number;
  readonly startMs: number;
  readonly stepMs: number;
  readonly bars: readonly Bar[];
}

/** Something that happened while the step that begins at `atMs` was under way. */
export interface TimelineMark {
  readonly atMs: number;
  readonly kind: LogTone;
  readonly what: string;
  readonly rank: number | null;
}

/** The last steps as plain data. */
export interface Timeline {
  endMs: number;
  barCount: number;
  readonly steps: TimelineStep[];
  readonly marks: TimelineMark[];
}

/** A timeline without a step yet. */
export function makeTimeline(): Timeline {
  return { endMs: 0, barCount: 0, steps: [], marks: [] };
}

/** Adds a step at its end, and forgets what is too old. */
export function addStep(timeline: Timeline, { step, stepMs, ranks }: StepCommitted): void {
  const bars = ranks.map(({ rank, microBatches, computeMs, communicateMs, waitMs }) => ({
    ...{ rank, microBatches },
    ...{ computeMs, communicateMs, waitMs },
  }));
  const { steps, marks, endMs: startMs } = timeline;
  steps.push({ step, startMs, stepMs, bars });
  timeline.endMs += stepMs;
  timeline.barCount += bars.length;
  while (steps.length > 1 && (steps.length > MAX_STEPS || timeline.barCount > MAX_BARS))
    timeline.barCount -= steps.shift()?.bars.length ?? 0;
  const firstMs = steps[0]?.startMs ?? 0;
  while ((marks[0]?.atMs ?? Infinity) < firstMs) marks.shift();
}

/** Adds what has just happened. */
export function addMark(timeline: Timeline, mark: Omit<TimelineMark, 'atMs'>): void {
  timeline.marks.push({ ...mark, atMs: timeline.endMs });
  if (timeline.marks.length > MAX_MARKS) timeline.marks.shift();
}
