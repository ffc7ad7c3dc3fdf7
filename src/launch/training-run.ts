/** One training run, the coordinator's side: opens the door, starts local workers, plans, waits. */
import { join } from 'node:path';
import type { Approver } from '../access/approvals.ts';
import type { Token } from '../access/token.ts';
import { checkpointPace } from '../config/checkpoint-pace.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { initialSnapshot, type Snapshot } from '../coordinator/steps/trajectory.ts';
import { LockstepError } from '../base/errors.ts';
import type { DataPlaces } from '../data/dataset.ts';
import { localDataDir } from '../job/data-source.ts';
import type { PlannedRun } from '../job/make-plan.ts';
import { planRun } from '../job/plan-run.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import { compiledStepsOf } from '../plan/run-plan.ts';
import type { Hello } from '../protocol/messages.ts';
import { checkDiskSpace } from '../runs/disk-space.ts';
import { modelFileBytes } from '../runs/model-files.ts';
import { drawInitialState } from '../state/initial-state.ts';
import { type ForkPoint, forkedBeginning } from '../runs/fork-point.ts';
import type { Parent, RunHistory } from '../checkpoint/manifest.ts';
import { RecordedRun, stepDigestOf } from '../runs/recorded-run.ts';
import { readJournal } from '../runs/journal/journal-file.ts';
import type { JournalContent } from '../runs/journal/journal-lines.ts';
import { isAlive } from '../runs/journal/other-process.ts';
import { type ResumePoint, snapshotAt } from '../runs/resume-point.ts';
import { RunFiles } from '../runs/run-files.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import type { Device } from '../runtime/device.ts';
import { checkOnnxRuntime } from '../runtime/onnx-runtime.ts';
import { isLoopback } from '../transport/loopback.ts';
import type { Address } from '../transport/tcp.ts';
import { type CoordinatorDoor, openCoordinatorDoor } from './coordinator-door.ts';
import { checkLocalMemory, noteOnProcesses } from './local-memory.ts';
import { LocalCrew } from './local-crew.ts';
import type { LocalWorkers, SelfCommand } from './local-workers.ts';
import { type MachineShare, shareMachine } from './share-machine.ts';
import { VERSION } from './software.ts';

/** How a run is started, and who is told of it. */
export interface TrainingRunOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly places: DataPlaces;
  /** Of the local workers, who take them in turn; at least one when there are local workers. */
  readonly devices: readonly Device[];
  /** Starts `config.workers` local workers this way; without it all workers join by themselves. */
  readonly self: SelfCommand | undefined;
  /** How this process takes part in a group of a launcher, which starts the other workers. */
  readonly group?: GroupPart | undefined;
  /** Starts a local worker otherwise, or has it join by another address: for fault tests. */
  readonly placeWorker?: (rank: number, usual: WorkerPlace) => Promise<WorkerPlace>;
  /** Where the run goes on; `config` and `name` are those of its run. */
  readonly resume?: ResumePoint | undefined;
  /** What it begins with, as a variation of another run; not with `resume`. */
  readonly fork?: ForkPoint | undefined;
  /** The states after these steps are written down besides, in their order. */
  readonly keepAt?: readonly number[];
  /** When the command was given, on the clock of `systemClock`. */
  readonly startedMs: number;
  readonly onListening: (place: RunPlace) => void;
  /** Where tokens and credentials are kept; the user's if absent. */
  readonly accessFolder?: string;
  /** Lets newcomers in where the settings ask for a person; undefined: there is none. */
  readonly approver?: Approver | undefined;
  /** Told everything that happens, after the run's own files. */
  readonly sinks: readonly EventSink[];
  /** Told what is begun, in words, when that may take long. */
  readonly onPhase?: (phase: string) => void;
  /** What the user should know and need not act on. */
  readonly onNote: (note: string) => void;
  /** Interrupts the run: what was committed is reported, nothing is left running. */
  readonly signal: AbortSignal;
  /** Is given a function that has a checkpoint written as soon as can be. */
  readonly onLed?: (writeCheckpoint: () => void) => void;
}

/** The part of rank 0 in a group: besides the coordinator it has one worker. */
export interface GroupPart {
  readonly lanes: number;
  /** All processes are told to end at once: this worker goes on for so long, for its state. */
  readonly graceSeconds: number;
  /** By which all ranks come in, if they share no folder in which one could be written. */
  readonly token: Token | undefined;
}

/** Where a run can be joined, and its files. */
export interface RunPlace {
  readonly address: Address;
  readonly folder: string;
  /** What workers of other machines join by; undefined: nobody can, or without a key. */
  readonly link: string | undefined;
}

/** What a local worker is started with, and where it joins. */
export interface WorkerPlace {
  readonly self: SelfCommand;
  readonly address: Address;
}

/**
 * Trains and resolves with the summary, also when interrupted.
 *
 * Throws: LockstepError when the run cannot start or go on; its files say so too.
 */
export async function runTraining(options: TrainingRunOptions): Promise<RunSummary> {
  const { config, name, startedMs, signal, onPhase = () => {} } = options;
  const crew = new LocalCrew(join(config.outDir, name, 'logs'), !isLoopback(config.host));
  const { workers } = crew;
  if (options.self !== undefined) checkOnnxRuntime();
  const killWorkers = (): void => workers.killNow();
  const left = leftBehind(options);
  const door = await openDoorAgain(options, left);
  process.once('exit', killWorkers);
  try {
    const files = new RunFiles(config.outDir, name, { resumes: options.resume !== undefined });
    const shares = options.self === undefined ? [] : sharesOf(options);
    const { address } = door;
    const premises = { address, files, shares, workers, left };
    const { planned, snapshot, history, parent } = await prepare(options, premises);
    options.onListening({ address, folder: files.folder, link: door.link });
    const sinks = [...options.sinks, crew];
    const onReady = (worker: Hello): void => crew.settle(worker);
    const isForked = options.fork !== undefined;
    const about = { history, parent, isForked, left, port: address.port };
    const run = new RecordedRun(
      {
        ...{ config, name, planned, files, sinks, onPhase, startedMs, signal, onReady },
        ...{ ...about, software: VERSION },
      },
      snapshot,
    );
    crew.join(run);
    door.lead(run.coordinator, (event) => run.observe(event));
    options.onLed?.(() => run.writeCheckpoint());
    const summary = await run.finished();
    await crew.stop();
    return summary;
  } finally {
    await door.close();
    await crew.stop();
    process.removeListener('exit', killWorkers);
  }
}

/**
 * What the coordinator of the run has left, if it has died: what its workers have counts then. Not
 * where steps were undone, of which somebody may have a state, nor of another program.
 */
function leftBehind({ resume, config, name }: TrainingRunOptions): JournalContent | undefined {
  if (resume === undefined || resume.isChosen === true) return undefined;
  const left = readJournal(join(config.outDir, name));
  const { software, stepDigest } = resume.manifest;
  const isOurs = left?.head.software === software && left.head.stepDigest === stepDigest;
  return isOurs && !left.wasUndone ? left : undefined;
}

/** Workers look for their coordinator where it was. */
async function openDoorAgain(
  options: TrainingRunOptions,
  left: JournalContent | undefined,
): Promise<CoordinatorDoor> {
  const { config, group, onNote } = options;
  const door = { ...options, token: group?.token };
  const port = left?.head.port ?? 0;
  if (config.port !== 0 || port === 0) return openCoordinatorDoor(door);
  try {
    return await openCoordinatorDoor({ ...door, config: { ...config, port } });
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    onNote(`workers look for their coordinator at port ${port}, which is taken: ${error.message}`);
    return openCoordinatorDoor(door);
  }
}

function sharesOf({ config, devices, group }: TrainingRunOptions): readonly MachineShare[] {
  if (group === undefined) return shareMachine(config, devices);
  return shareMachine({ ...config, workers: 1, lanes: group.lanes }, devices);
}

/** What local workers are started with and watched by. */
interface Premises {
  readonly address: Address;
  readonly files: RunFiles;
  readonly shares: readonly MachineShare[];
  readonly workers: LocalWorkers;
  readonly left: JournalContent | undefined;
}

/** What a run is led by, and where it begins. */
interface Prepared extends Beginning {
  readonly planned: PlannedRun;
}

/** The state that a run begins with, what was told of the steps before, and whose they are. */
interface Beginning {
  readonly snapshot: Snapshot;
  readonly history?: RunHistory;
  readonly parent?: Parent | undefined;
}

/**
 * Starts the workers and, while they load theirs, plans the run. One that goes on is planned first:
 * nothing of it is changed before it is known to be the same. Leaves no trace if it throws.
 */
async function prepare(options: TrainingRunOptions, premises: Premises): Promise<Prepared> {
  const { config, name, places, onNote, resume } = options;
  const { files, shares, workers } = premises;
  const begin = async (): Promise<void> => {
    files.writeConfig({ ...config, name });
    await startWorkers(options, premises);
  };
  try {
    const note = noteOnProcesses(shares);
    if (note !== undefined) onNote(note);
    if (resume === undefined) await begin();
    const isOnCpu = shares.every(({ device }) => device === 'cpu');
    const { onPhase = () => {} } = options;
    const request = { config, name, places, isOnCpu, onNote, onPhase };
    const { planned: usual, tokens } = await planRun(request);
    const planned = keepingAt(usual, options.keepAt);
    const { plan, bytes } = planned;
    checkLocalMemory(plan, shares);
    const step = compiledStepsOf(plan, bytes).train;
    const checkpointBytes = checkpointPace(config) === undefined ? 0 : plan.stateBytes;
    checkDiskSpace(files.folder, modelFileBytes(planned.model, step.length) + checkpointBytes);
    const beginning = await beginningOf(options, planned);
    if (resume !== undefined) {
      // Else it is not known yet where the run goes on.
      if (premises.left === undefined) await files.goOn(beginning.snapshot);
      await begin();
    }
    if (tokens !== undefined) files.writeTokens(tokens);
    files.writeStepModel(step);
    return { planned, ...beginning };
  } catch (error) {
    workers.killNow();
    files.discard();
    throw error;
  }
}

function keepingAt(planned: PlannedRun, steps: readonly number[] | undefined): PlannedRun {
  if (steps === undefined) return planned;
  const { plan } = planned;
  return { ...planned, plan: { ...plan, checkpoints: { ...plan.checkpoints, steps } } };
}

/** The state that the run begins with, which is kept nowhere else. */
async function beginningOf(
  { resume, fork, onPhase = () => {} }: TrainingRunOptions,
  planned: PlannedRun,
): Promise<Beginning> {
  const { plan, bytes } = planned;
  if (fork !== undefined) return { ...forkedBeginning(fork, plan), parent: fork.parent };
  if (resume !== undefined) {
    onPhase('reading the checkpoint');
    const { history, parent } = resume.manifest;
    const program = { software: VERSION, stepDigest: stepDigestOf(planned) };
    const drawn = async (): Promise<Uint8Array> => drawInitialState(plan, bytes.given);
    return { snapshot: await snapshotAt(resume, plan, program, drawn), history, parent };
  }
  onPhase('drawing the initial weights');
  return { snapshot: initialSnapshot(await drawInitialState(plan, bytes.given)) };
}

async function startWorkers(
  { config, self, group, placeWorker }: TrainingRunOptions,
  { address, files, shares, workers, left }: Premises,
): Promise<void> {
  if (self === undefined) return;
  const living = (left?.crew ?? []).filter(isAlive);
  // More than are wanted now.
  for (const { rank, processId } of living)
    if (rank >= shares.length) process.kill(processId, 'SIGTERM');
  const dataDir = localDataDir(config);
  const usual: WorkerPlace = { self, address };
  for (const [rank, share] of shares.entries()) {
    const place = (await placeWorker?.(rank, usual)) ?? usual;
    const grace = group && { graceSeconds: group.graceSeconds };
    const worker = { rank, ...share, dataDir, ...grace, logPath: files.logPath(rank) };
    const known = living.find((member) => member.rank === rank);
    if (known !== undefined) workers.adopt(place.self, place.address, worker, known);
    else workers.start(place.self, place.address, worker);
  }
}
