/**
 * Computes a stretch of a run again, from its beginning or a checkpoint, and compares every step
 * with what was recorded of it: whether the model came of this data and these settings.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { readRun } from '../api/read-run.ts';
import { ConfigError } from '../base/errors.ts';
import { listCheckpoints } from '../checkpoint/read-checkpoints.ts';
import type { FlagValues } from '../config/parse-train-config.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { resumedConfig } from '../config/resumed-config.ts';
import { findResumedRun } from '../launch/resumed-run.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import { runTraining, type TrainingRunOptions } from '../launch/training-run.ts';
import { CHECKPOINTS_NAME } from '../runs/found-run.ts';
import { checkpointsOf, type ResumePoint } from '../runs/resume-point.ts';
import { Comparison, type Difference } from './comparison.ts';
import { RecordedCourse } from './recorded-course.ts';

/** Checkpoints are wanted of the steps alone of which the run has some. */
const NO_MORE = Number.MAX_SAFE_INTEGER;
/** So many stay where what was computed stays. */
const ALL = 1000;

/** Which stretch of which run, and who computes it. */
export interface ReplayOptions extends Pick<
  TrainingRunOptions,
  'places' | 'devices' | 'self' | 'startedMs' | 'sinks' | 'onPhase' | 'onNote' | 'signal'
> {
  /** The folder of the run, which is only read. */
  readonly folder: string;
  /** After so many steps at the latest, from the newest checkpoint; 0: from the beginning. */
  readonly from: number;
  /** Up to this step; the last that is recorded if absent. */
  readonly to?: number | undefined;
  /** Who computes: settings that do not change the model. */
  readonly flags: FlagValues;
  /**
   * A folder that the caller removes: what is computed stays in it as a run of the same name, with
   * a checkpoint of its last step.
   */
  readonly outDir?: string;
}

/** Who computes steps again, and is told of it. */
export type ReplayCrew = Pick<
  ReplayOptions,
  'places' | 'devices' | 'self' | 'startedMs' | 'sinks' | 'onPhase' | 'onNote' | 'signal' | 'flags'
>;

/** What came of it. */
export interface Verdict {
  /** The steps that were to be compared: the ones after `from`, up to `to`. */
  readonly from: number;
  readonly to: number;
  /** How many steps, evaluations and states were the same. */
  readonly counts: Comparison['counts'];
  readonly difference?: Difference;
  /** It was interrupted before the end. */
  readonly isInterrupted: boolean;
}

/**
 * Computes again and compares.
 *
 * Throws: ConfigError when there is no such stretch; CHECKPOINT_INVALID when the checkpoint is
 *         damaged, or settings or data are no longer those of the run; and what a run throws that
 *         cannot start or go on.
 */
export async function replayRun(options: ReplayOptions): Promise<Verdict> {
  const { folder, signal } = options;
  const course = await courseOf(folder);
  const { from, config, resume } = await beginningOf(options, course);
  const to = Math.min(options.to ?? course.lastStep, course.lastStep);
  if (from >= to || (options.outDir !== undefined && to !== options.to))
    throw notRecorded(options, from, course.lastStep);
  const ending = new AbortController();
  const stays = options.outDir !== undefined;
  const states = new Set([...course.stateSteps, ...(stays ? [to] : [])]);
  const end = { to, wantsState: states.has(to) };
  const comparison = new Comparison(course, end, () => ending.abort());
  const outDir = options.outDir ?? mkdtempSync(join(tmpdir(), 'lockstep-replay-'));
  const name = basename(folder);
  try {
    if (resume !== undefined) mkdirSync(join(outDir, name));
    await runTraining({
      ...options,
      ...{ config: configOf(config, outDir, stays ? ALL : 1), name, resume },
      keepAt: [...states].filter((step) => step > from && step <= to).toSorted((a, b) => a - b),
      onListening: () => {},
      sinks: [comparison, ...options.sinks.map(withoutEnd)],
      signal: AbortSignal.any([signal, ending.signal]),
    });
  } finally {
    if (!stays) rmSync(outDir, { recursive: true, force: true, maxRetries: 5 });
  }
  const { counts, difference } = comparison;
  const isInterrupted = difference === undefined && counts.step < to - from;
  return { from, to, counts, ...(difference && { difference }), isInterrupted };
}

/** Nobody goes on with what was computed to be compared. */
function withoutEnd(sink: EventSink): EventSink {
  return {
    onEvent: (event) => {
      if (event.kind !== 'run-unfinished') sink.onEvent(event);
    },
  };
}

async function courseOf(folder: string): Promise<RecordedCourse> {
  const course = new RecordedCourse();
  for await (const event of (await readRun(folder)).events()) course.add(event);
  for (const { step, manifest } of await listCheckpoints(checkpointsOf(folder)))
    if (manifest !== undefined) course.addCheckpoint(step, manifest.stateDigest);
  return course;
}

interface Beginning {
  readonly from: number;
  readonly config: TrainConfig;
  readonly resume?: ResumePoint;
}

function notRecorded({ folder, to }: ReplayOptions, from: number, lastStep: number): ConfigError {
  const expected =
    to !== undefined && to > lastStep
      ? `a step up to ${lastStep}, the last that is recorded, got ${to}`
      : `steps after ${from}, got ${to ?? lastStep}, and ${lastStep} are recorded`;
  return new ConfigError(`replaying ${folder}: expected ${expected}`);
}

/** The newest checkpoint up to the step that was asked for, or the beginning of the run. */
async function beginningOf(
  { folder, from, flags }: ReplayOptions,
  { originStep }: RecordedCourse,
): Promise<Beginning> {
  const given = { sources: [], flags, isForOthers: false };
  const listed = await listCheckpoints(checkpointsOf(folder));
  const latest = Math.max(from, originStep);
  const newest = latest > 0 ? listed.find(({ step }) => step <= latest) : undefined;
  if (newest === undefined && originStep > 0)
    throw new ConfigError(
      `replaying ${folder}: its record begins after step ${originStep}, and there is no ` +
        'checkpoint of that step to begin with',
    );
  if (newest === undefined) {
    const recorded: Readonly<Record<string, unknown>> = { ...(await readRun(folder)).config };
    const place = join(folder, 'config.yaml');
    return { from: 0, config: resumedConfig({ ...given, recorded, place }).config };
  }
  const place = join(folder, CHECKPOINTS_NAME, newest.name);
  const { config, resume } = await findResumedRun(place, given);
  return { from: newest.step, config, resume };
}

/** The same training, on this machine alone, and in a folder of its own. */
function configOf(config: TrainConfig, outDir: string, keep: number): TrainConfig {
  const none = { linkFile: undefined, name: undefined };
  const here = { host: '127.0.0.1', port: 0, lan: false, approve: false, insecure: false };
  return { ...config, ...here, ...none, outDir, keep, checkpointEvery: NO_MORE };
}
