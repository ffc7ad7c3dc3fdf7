/** Where a run goes on: which checkpoint, and whether the plan of now is that of the run. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError, LockstepError, messageOf } from '../base/errors.ts';
import { MANIFEST_NAME, stepOfName } from '../checkpoint/checkpoint-names.ts';
import type { Manifest } from '../checkpoint/manifest.ts';
import {
  countPartial,
  type FoundCheckpoint,
  listCheckpoints,
  newestWhole,
  verifyCheckpoint,
} from '../checkpoint/read-checkpoints.ts';
import { initialSnapshot, type Snapshot } from '../coordinator/steps/trajectory.ts';
import { learningRateOf, type RunPlan } from '../plan/run-plan.ts';
import { CheckpointDisk } from './checkpoint-disk.ts';
import { stateOf } from './checkpoint-state.ts';
import { CHECKPOINTS_NAME, forkCommand } from './found-run.ts';
import { readJournal } from './journal/journal-file.ts';
import type { JournalHead } from './journal/journal-lines.ts';

/** A checkpoint that a run goes on from. */
export interface ResumePoint {
  /** The run's folder: the one above it and its name. */
  readonly outDir: string;
  readonly name: string;
  readonly checkpoint: string;
  /** It was named itself: the run goes on from there, whatever there is besides. */
  readonly isChosen?: true;
  /** There is no checkpoint: the plan of the run, which goes on from its beginning. */
  readonly plan?: RunPlan;
  readonly manifest: Manifest;
  /** What the user should know. */
  readonly notes: readonly string[];
}

/** The checkpoints of the run in a folder. */
export function checkpointsOf(folder: string): CheckpointDisk {
  return new CheckpointDisk(() => join(folder, CHECKPOINTS_NAME));
}

/**
 * Finds what `--resume` names: `latest`, the name of a run in `outDir`, a run's folder, or that of
 * a checkpoint.
 *
 * Throws: ConfigError when there is none; CHECKPOINT_INVALID when it is damaged, with an older one
 *         that is not.
 */
export async function findResumePoint(what: string, outDir: string): Promise<ResumePoint> {
  if (what === 'latest') return newestOfAll(outDir);
  const folder = placeOf(what, outDir);
  if (existsSync(join(folder, MANIFEST_NAME)))
    return { ...(await pointAt(folder)), isChosen: true };
  const store = checkpointsOf(folder);
  const [newest] = await listCheckpoints(store);
  const left = readJournal(folder);
  if (newest === undefined && left?.head.isInitial === true) return beginningOf(folder, left.head);
  if (newest === undefined)
    throw new ConfigError(
      `--resume ${what}: there is no checkpoint in ${join(folder, CHECKPOINTS_NAME)}. To begin a ` +
        'run, leave --resume out.',
    );
  return pointOf(folder, newest.name);
}

/** Where a run began whose coordinator has died before there was a checkpoint. */
function beginningOf(folder: string, head: JournalHead): ResumePoint {
  const { software, written, run, stepDigest, config, plan } = head;
  const { ledger, losses, evaluatedStep } = initialSnapshot(new Uint8Array(0));
  const { highSteps, isDiverged } = losses;
  const manifest: Manifest = {
    ...{ format: 1, software, written, run, step: 0, totalSteps: plan.totalSteps },
    standing: { evaluatedStep, ledger, losses: { highSteps, isDiverged } },
    history: { epoch: -1, epochLoss: 0, epochSteps: 0 },
    ...{ weightsDigest: '', stateDigest: '', stepDigest, config, files: [] },
  };
  const whole = basename(folder) === '..' || basename(folder) === '.' ? resolve(folder) : folder;
  return {
    outDir: dirname(whole),
    name: basename(whole),
    checkpoint: 'its beginning',
    plan,
    manifest,
    notes: [`going on with ${run}, of which there is no checkpoint yet`],
  };
}

/** The folder that is meant: of a run in `outDir` by its name, or any. Throws ConfigError. */
export function placeOf(what: string, outDir: string): string {
  const named = join(outDir, what);
  if (!/[\\/]/.test(what) && isFolder(named)) return named;
  if (isFolder(what)) return what;
  throw new ConfigError(`${what}: there is no run of this name in ${outDir}, and no such folder`);
}

/** A checkpoint in its run. */
async function pointAt(folder: string): Promise<ResumePoint> {
  const path = resolve(folder);
  const above = dirname(path);
  if (basename(above) !== CHECKPOINTS_NAME || stepOfName(basename(path)) === undefined)
    throw new ConfigError(
      `--resume ${folder}: expected a checkpoint in the folder ${CHECKPOINTS_NAME} of its run`,
    );
  // As it was written: messages and files keep to relative paths.
  return pointOf(join(folder, '..', '..'), basename(path));
}

async function pointOf(folder: string, checkpoint: string): Promise<ResumePoint> {
  const store = checkpointsOf(folder);
  try {
    const manifest = await verifyCheckpoint(store, checkpoint);
    return madePoint(folder, { name: checkpoint, manifest, damaged: [] }, await notesOn(store));
  } catch (error) {
    const older = await newestWhole(store);
    const advice =
      older === undefined
        ? 'No other checkpoint of the run is whole.'
        : `An older one is whole: --resume ${join(folder, CHECKPOINTS_NAME, older.name)}`;
    const message = `${join(folder, CHECKPOINTS_NAME)}: ${messageOf(error)}. ${advice}`;
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      message,
      { folder, checkpoint },
      { cause: error },
    );
  }
}

/** Of the runs in a folder, the one whose newest whole checkpoint was written last. */
async function newestOfAll(outDir: string): Promise<ResumePoint> {
  const found: { folder: string; newest: FoundCheckpoint }[] = [];
  for (const name of isFolder(outDir) ? readdirSync(outDir) : []) {
    const folder = join(outDir, name);
    const newest = isFolder(folder) ? await newestWhole(checkpointsOf(folder)) : undefined;
    if (newest !== undefined) found.push({ folder, newest });
  }
  found.sort((a, b) => (a.newest.manifest.written < b.newest.manifest.written ? 1 : -1));
  const [last] = found;
  if (last === undefined)
    throw new ConfigError(`--resume latest: no run in ${outDir} has a checkpoint that is whole`);
  const { folder, newest } = last;
  const notes = newest.damaged.map(
    ({ name, problem }) => `${name} is not used: ${problem}; ${newest.name} is whole`,
  );
  return madePoint(folder, newest, [...notes, ...(await notesOn(checkpointsOf(folder)))]);
}

async function notesOn(store: CheckpointDisk): Promise<string[]> {
  const count = await countPartial(store);
  return count === 0 ? [] : [`${count} unfinished checkpoint${count === 1 ? '' : 's'} ignored`];
}

function madePoint(
  folder: string,
  { name: checkpoint, manifest }: FoundCheckpoint,
  notes: readonly string[],
): ResumePoint {
  const whole = basename(folder) === '..' || basename(folder) === '.' ? resolve(folder) : folder;
  const { run, step, totalSteps } = manifest;
  const what = `going on with ${run} from step ${step} of ${totalSteps}`;
  return {
    outDir: dirname(whole),
    name: basename(whole),
    checkpoint,
    manifest,
    notes: [what, ...notes],
  };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * Reads the state of a checkpoint, once it is known that `plan` leads to it.
 *
 * Throws: CHECKPOINT_INVALID, naming what differs, when another plan did; ConfigError when the run
 *         is finished.
 */
export async function snapshotAt(
  point: ResumePoint,
  plan: RunPlan,
  now: Pick<Manifest, 'software' | 'stepDigest'>,
  drawInitial: () => Promise<Uint8Array>,
): Promise<Snapshot> {
  const { outDir, name, checkpoint, manifest } = point;
  const folder = join(outDir, name);
  const { step, standing, weightsDigest, stateDigest } = manifest;
  refuseDone(folder, manifest, plan);
  const written = await planAt(point);
  const differing = [...ofProgram(manifest, now), ...differences(written, plan, step)];
  if (differing.length > 0)
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      [
        `going on from ${join(folder, CHECKPOINTS_NAME, checkpoint)}: this is not the run that it ` +
          `is of. To go on as a run of its own: \`${forkCommand(folder)} --at ${step}\`. What ` +
          'differs:',
        ...differing,
      ],
      { differing },
    );
  if (point.plan !== undefined) return initialSnapshot(await drawInitial());
  const bytes = await stateAt(point, plan);
  const { maxima, ledger, losses, evaluatedStep } = standing;
  return {
    step,
    maxima,
    ledger,
    losses: { ...losses, firstLoss: losses.firstLoss },
    evaluatedStep,
    bytes,
    digests: { weightsDigest, stateDigest },
  };
}

/** Throws ConfigError when a plan has no steps after those of a checkpoint. */
export function refuseDone(
  run: string,
  { step, standing }: Pick<Manifest, 'step' | 'standing'>,
  { totalSteps }: Pick<RunPlan, 'totalSteps'>,
): void {
  if (step < totalSteps || (step === totalSteps && standing.evaluatedStep < step)) return;
  throw new ConfigError(
    `going on with ${run}: it is at step ${step}, and ${totalSteps} were asked for: nothing is ` +
      'left to be done. To train longer, give more --steps, --epochs or --rounds.',
  );
}

/** The plan that a checkpoint was made by. */
export async function planAt({ outDir, name, checkpoint, plan }: ResumePoint): Promise<RunPlan> {
  if (plan !== undefined) return plan;
  const bytes = await checkpointsOf(join(outDir, name)).read(`${checkpoint}/plan.json`);
  return JSON.parse(Buffer.from(bytes).toString()) as RunPlan;
}

/** The state in a checkpoint of this plan. Throws CHECKPOINT_INVALID. */
export async function stateAt(
  { outDir, name, checkpoint }: ResumePoint,
  plan: RunPlan,
): Promise<Uint8Array> {
  const store = checkpointsOf(join(outDir, name));
  return stateOf(plan, async (file) => store.read(`${checkpoint}/${file}`));
}

/** What of a plan the steps so far follow from, by the names that a user knows. */
function groundsOf(plan: RunPlan): Readonly<Record<string, unknown>> {
  const { job, train, update, closing, packsSums, passesPerEpoch } = plan;
  const { runId: _run, tracksNorms: _norms, isAudited: _audit, isProfiled: _p, ...rest } = job;
  const { dataset, dataDigest, parameters, seed, strategy, ...others } = rest;
  return {
    seed,
    'data set': dataset,
    'digest of the data': dataDigest,
    parameters,
    optimizer: update.optimizer,
    strategy: { strategy, closing, packsSums },
    batches: { train, passesPerEpoch },
    sizes: others,
  };
}

function ofProgram(before: Manifest, now: Pick<Manifest, 'software' | 'stepDigest'>): string[] {
  if (before.software !== now.software)
    return [`version of Lockstep: ${before.software}, and now ${now.software}`];
  return before.stepDigest === now.stepDigest
    ? []
    : ['the compiled step, though the settings are the same: its file or --conv-forms measured'];
}

function differences(before: RunPlan, now: RunPlan, step: number): string[] {
  const [had, has] = [groundsOf(before), groundsOf(now)];
  const odd = Object.keys(has).filter(
    (key) => JSON.stringify(had[key]) !== JSON.stringify(has[key]),
  );
  const lines = odd.map((key) => `${key}: ${shortText(had[key])}, and now ${shortText(has[key])}`);
  for (let i = 0; i < step; i++) {
    const rates = [before, now].map((plan) => [
      learningRateOf(plan, i),
      learningRateOf({ ...plan, schedule: plan.update.schedule }, i),
    ]);
    if (String(rates[0]) === String(rates[1])) continue;
    lines.push(
      `learning rate of step ${i + 1}: ${rates[0]?.[0]}, and now ${rates[1]?.[0]}; its schedule ` +
        'depends on the number of steps',
    );
    break;
  }
  return lines;
}

function shortText(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none';
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
