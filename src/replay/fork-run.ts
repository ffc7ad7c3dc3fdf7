/** Finds where a variation of a run begins: at a checkpoint, or a step between, computed again. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { readRun } from '../api/read-run.ts';
import { ConfigError, LockstepError } from '../base/errors.ts';
import { checkpointName, MANIFEST_NAME } from '../checkpoint/checkpoint-names.ts';
import type { Parent } from '../checkpoint/manifest.ts';
import { listCheckpoints } from '../checkpoint/read-checkpoints.ts';
import { type ParsedTrainConfig, parseTrainConfig } from '../config/parse-train-config.ts';
import { forkedConfig, type ResumedRequest } from '../config/resumed-config.ts';
import { CHECKPOINTS_NAME } from '../runs/found-run.ts';
import { type ForkPoint, readForkPoint } from '../runs/fork-point.ts';
import { checkpointsOf, findResumePoint, placeOf, type ResumePoint } from '../runs/resume-point.ts';
import { placeOf as placeOfFact } from './comparison.ts';
import { type ReplayCrew, replayRun } from './replay-run.ts';

/** Which variation is asked for. */
export interface ForkRequest {
  /** A run by its name or folder, or a checkpoint by its folder. */
  readonly run: string;
  /** After so many steps; those of the newest checkpoint if absent. */
  readonly at: number | undefined;
  /** Settings that are given besides. */
  readonly given: Pick<ResumedRequest, 'sources' | 'flags' | 'isForOthers'>;
}

/** A variation that can begin: its settings, with its name and folder, and its state. */
export interface ForkedRun extends ParsedTrainConfig {
  readonly name: string;
  readonly fork: ForkPoint;
}

/**
 * Reads the settings and the state that a variation begins with. Steps after the checkpoint before
 * are computed again by `crew`, compared with what is recorded of them, and kept nowhere. Undefined
 * if that was interrupted.
 *
 * Throws: ConfigError when there is no such run or step, or settings cannot be used;
 *         CHECKPOINT_INVALID when a checkpoint is damaged, or what is computed is not as recorded.
 */
export async function findFork(
  request: ForkRequest,
  crew: ReplayCrew,
): Promise<ForkedRun | undefined> {
  const { sources, flags } = request.given;
  const { outDir } = parseTrainConfig(sources, flags).config;
  const origin = await originOf(request, outDir);
  const { folder, step, recorded, source } = origin;
  const forked = forkedConfig({ ...request.given, recorded, place: source });
  const run = basename(folder);
  // Beside its parent, unless another place was asked for.
  const isElsewhere =
    flags['outDir'] !== undefined || outDir !== parseTrainConfig([]).config.outDir;
  const place = isElsewhere ? outDir : dirname(folder);
  const name = forked.config.name ?? freeName(place, `${run}-at-${step}`);
  const fork =
    origin.point === undefined
      ? await computedPoint(origin, forked.changed, crew)
      : await readForkPoint(origin.point, run, forked.changed);
  const config = { ...forked.config, outDir: place, name };
  return fork && { config, notes: forked.notes, given: forked.given, name, fork };
}

/** Where a variation begins. */
interface Origin {
  /** Of the parent. */
  readonly folder: string;
  readonly step: number;
  /** The settings of the parent, and how messages call that. */
  readonly recorded: Readonly<Record<string, unknown>>;
  readonly source: string;
  /** Absent where there is no checkpoint of that step. */
  readonly point?: ResumePoint;
}

async function originOf({ run, at }: ForkRequest, outDir: string): Promise<Origin> {
  const place = placeOf(run, outDir);
  const point = await pointAt(place, at, outDir);
  if (point !== undefined) {
    const { manifest, checkpoint } = point;
    const folder = join(point.outDir, point.name);
    if (at !== undefined && at !== manifest.step)
      throw new ConfigError(`--at ${at}: expected step ${manifest.step}, that of ${place}`);
    const { step, config: recorded } = manifest;
    return { folder, step, recorded, source: join(folder, CHECKPOINTS_NAME, checkpoint), point };
  }
  const step = Number(at);
  const recorded: Readonly<Record<string, unknown>> = { ...(await readRun(place)).config };
  return { folder: place, step, recorded, source: join(place, 'config.yaml') };
}

/** The checkpoint that was asked for; undefined where the run has none of that step. */
async function pointAt(
  place: string,
  at: number | undefined,
  outDir: string,
): Promise<ResumePoint | undefined> {
  if (existsSync(join(place, MANIFEST_NAME))) return findResumePoint(place, outDir);
  const listed = await listCheckpoints(checkpointsOf(place));
  if (at === undefined && listed.length === 0)
    throw new ConfigError(
      `varying ${place}: there is no checkpoint in ${join(place, CHECKPOINTS_NAME)}. Steps of a ` +
        'run that is recorded are computed again: --at',
    );
  if (at === undefined) return findResumePoint(place, outDir);
  const exact = listed.find(({ step }) => step === at);
  return exact && findResumePoint(join(place, CHECKPOINTS_NAME, exact.name), outDir);
}

/** The state after a step, computed again from the checkpoint before it. */
async function computedPoint(
  { folder, step }: Origin,
  changed: Parent['changed'],
  crew: ReplayCrew,
): Promise<ForkPoint | undefined> {
  const outDir = mkdtempSync(join(tmpdir(), 'lockstep-fork-'));
  try {
    crew.onNote(`there is no checkpoint of step ${step}: computing it again from the one before`);
    const verdict = await replayRun({ ...crew, folder, from: step - 1, to: step, outDir });
    const { difference, isInterrupted } = verdict;
    if (difference !== undefined)
      throw new LockstepError(
        'CHECKPOINT_INVALID',
        `varying ${folder}: step ${step} cannot be computed again: ${placeOfFact(difference)} ` +
          `comes to ${difference.computed}, and ${difference.recorded ?? 'nothing'} is recorded. ` +
          'Its data or the program are others than they were; begin at a checkpoint: `lockstep checkpoint ' +
          'list`',
      );
    if (isInterrupted) return undefined;
    const computed = join(outDir, basename(folder), CHECKPOINTS_NAME, checkpointName(step));
    return await readForkPoint(await findResumePoint(computed, outDir), basename(folder), changed);
  } finally {
    rmSync(outDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A name that no run has yet: with a number behind it if need be. */
function freeName(outDir: string, name: string): string {
  let free = name;
  for (let count = 2; existsSync(join(outDir, free)); count++) free = `${name}-${count}`;
  return free;
}
