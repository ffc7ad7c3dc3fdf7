/** What is in a folder in which a run is to be, in words for whoever wanted to put one there. */
import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { stepOfName } from '../checkpoint/checkpoint-names.ts';
import { JOURNAL_NAME } from './journal/journal-file.ts';
import { lockHolder } from './run-lock.ts';

/** The folder of checkpoints in that of a run. */
export const CHECKPOINTS_NAME = 'checkpoints';

/** What a folder holds, and how to go on with it. */
export function foundThere(folder: string): string {
  if (!existsSync(join(folder, 'config.yaml'))) return `${folder} exists already. ${ANOTHER}`;
  const holder = lockHolder(folder);
  if (holder !== undefined)
    return `${folder} exists already: a run is under way there, in ${holder}. ${ANOTHER}`;
  const step = newestStep(folder) ?? (existsSync(join(folder, JOURNAL_NAME)) ? 0 : undefined);
  if (step === 0)
    return (
      `${folder} exists already: a run that is not finished, and has no checkpoint yet. To go on ` +
      `from what its workers have: \`${resumeCommand(folder)}\`. Or choose another --name.`
    );
  if (step === undefined) return `${folder} exists already. ${ANOTHER}`;
  const status = statusOf(folder);
  const what =
    status === 'finished'
      ? `a run that is finished, after ${step} steps`
      : `a run that is not finished; its newest checkpoint is of step ${step}`;
  const how =
    status === 'finished'
      ? `To train it longer: \`${resumeCommand(folder)} --steps N\`.`
      : `To go on from there: \`${resumeCommand(folder)}\`.`;
  return `${folder} exists already: ${what}. ${how} Or choose another --name.`;
}

/** Whether the run in a folder has a checkpoint and is not finished. */
export function hasUnfinishedRun(folder: string): boolean {
  return newestStep(folder) !== undefined && statusOf(folder) !== 'finished';
}

/**
 * Gives the folder of a run that has nothing to go on from, and that nobody writes into, another
 * name, and gives that; undefined if there is none.
 */
export function setAside(folder: string): string | undefined {
  if (!existsSync(join(folder, 'config.yaml')) || newestStep(folder) !== undefined)
    return undefined;
  if (statusOf(folder) === 'finished' || lockHolder(folder) !== undefined) return undefined;
  for (let count = 1; ; count++) {
    const aside = `${folder}-aside-${count}`;
    if (existsSync(aside)) continue;
    renameSync(folder, aside);
    return aside;
  }
}

const ANOTHER = 'Choose another --name.';

/** The command that goes on with the run in a folder. */
export function resumeCommand(folder: string): string {
  return `lockstep train --resume ${placeIn(folder)}`;
}

/** The command that begins a variation of the run in a folder. */
export function forkCommand(folder: string): string {
  return `lockstep fork ${placeIn(folder)}`;
}

/** A folder of a run as commands take it. */
function placeIn(folder: string): string {
  const place = dirname(folder) === 'experiments' ? basename(folder) : folder;
  return /^[\w./-]+$/.test(place) ? place : `'${place}'`;
}

function newestStep(folder: string): number | undefined {
  try {
    const steps = readdirSync(join(folder, CHECKPOINTS_NAME)).flatMap(
      (name) => stepOfName(name) ?? [],
    );
    return steps.length === 0 ? undefined : Math.max(...steps);
  } catch {
    // Without that folder there is no checkpoint.
    return undefined;
  }
}

function statusOf(folder: string): unknown {
  try {
    const text = readFileSync(join(folder, 'summary.json'), 'utf8');
    return (JSON.parse(text) as { readonly status?: unknown }).status;
  } catch {
    // A run that was killed has none.
    return undefined;
  }
}
