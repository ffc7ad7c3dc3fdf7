/** From what somebody asks for to go on with: where that is, and its settings. */
import { join } from 'node:path';
import { ConfigError } from '../base/errors.ts';
import { type ParsedTrainConfig, parseTrainConfig } from '../config/parse-train-config.ts';
import { resumedConfig, type ResumedRequest } from '../config/resumed-config.ts';
import { CHECKPOINTS_NAME } from '../runs/found-run.ts';
import { findResumePoint, type ResumePoint } from '../runs/resume-point.ts';

/** A run that goes on: its settings, with its name and folder, and where. */
export interface ResumedRun extends ParsedTrainConfig {
  readonly resume: ResumePoint;
}

/**
 * Finds the run that `what` names (see `findResumePoint`); if that is absent, the one whose name is
 * in the settings. Reads its settings with those that are given besides. Nothing is changed.
 *
 * Throws: ConfigError when there is none, or the settings make another model; CHECKPOINT_INVALID
 *         when it is damaged.
 */
export async function findResumedRun(
  what: string | undefined,
  given: Pick<ResumedRequest, 'sources' | 'flags' | 'isForOthers'>,
): Promise<ResumedRun> {
  const { sources, flags, isForOthers } = given;
  const { outDir, name: wanted } = parseTrainConfig(sources, flags, isForOthers).config;
  const resume = await findResumePoint(what ?? wanted ?? 'latest', outDir);
  const { manifest, checkpoint, name } = resume;
  if (wanted !== undefined && wanted !== name)
    throw new ConfigError(
      `--name: a run that goes on keeps its name: expected ${name}, got ${wanted}`,
    );
  const resumed = resumedConfig({
    ...given,
    recorded: manifest.config,
    place: join(resume.outDir, name, CHECKPOINTS_NAME, checkpoint),
  });
  return { ...resumed, config: { ...resumed.config, name, outDir: resume.outDir }, resume };
}
