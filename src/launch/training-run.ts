/**
 * One training run, the coordinator's side: opens the door, plans, coordinates, writes the files,
 * sums up.
 */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { type ErrorCode, LockstepError, RendezvousError, RuntimeError } from '../base/errors.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { Coordinator } from '../coordinator/coordinator.ts';
import type { RunResult } from '../coordinator/run-ending.ts';
import { DEFAULT_TIMING } from '../membership/timing.ts';
import type { DataPlaces } from '../data/dataset.ts';
import { tokenTableOf } from '../data/token-table.ts';
import type { RoundSizes, RunEvent } from '../metrics/events.ts';
import { parameterCountOf, stateElementCountOf } from '../models/model.ts';
import type { Device } from '../runtime/device.ts';
import type { Connection } from '../transport/connection.ts';
import { type Address, listen } from '../transport/tcp.ts';
import { datasetSpecOf, loadRunData } from '../job/data-source.ts';
import { LocalWorkers, type SelfCommand } from './local-workers.ts';
import { chooseConvForms } from '../job/form-cache.ts';
import { makeRunPlan, type PlannedRun } from '../job/make-run-plan.ts';
import { chooseModel } from '../job/model-source.ts';
import { checkMemory, coordinatorBytes, workerBytes } from '../runtime/memory-need.ts';
import { type MachineShare, shareMachine } from './share-machine.ts';
import { RunFiles } from '../runs/run-files.ts';
import { digestsOf, EventTally, type RunSummary, summariseWorkers } from '../runs/run-summary.ts';

export interface TrainingRunOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly places: DataPlaces;
  /** Of the local workers, who take them in turn; at least one when there are local workers. */
  readonly devices: readonly Device[];
  /** Starts `config.workers` local workers this way; without it all workers join by themselves. */
  readonly self: SelfCommand | undefined;
  /**
   * Starts a local worker in another way than usual, or has it join by way of another address: for
   * fault tests.
   */
  readonly placeWorker?: (rank: number, usual: WorkerPlace) => Promise<WorkerPlace>;
  /** When the command was given, on the clock of `systemClock`. */
  readonly startedMs: number;
  readonly onListening: (address: Address, folder: string) => void;
  readonly onEvent: (event: RunEvent) => void;
  /** What the user should know and need not act on. */
  readonly onNote: (note: string) => void;
  /** Interrupts the run: what was committed is reported, nothing is left running. */
  readonly signal: AbortSignal;
}

/** What a local worker is started with, and where it joins. */
export interface WorkerPlace {
  readonly self: SelfCommand;
  readonly address: Address;
}

/**
 * Trains and resolves with the summary, also when interrupted.
 * Throws: LockstepError when the run cannot start or go on; its files say so too.
 */
export async function runTraining(options: TrainingRunOptions): Promise<RunSummary> {
  const { config, name, self } = options;
  const waiting: Connection[] = [];
  let coordinator: Coordinator | undefined;
  const listener = await listen(
    { host: config.host, port: config.port },
    (connection) => {
      if (coordinator === undefined) waiting.push(connection);
      else coordinator.accept(connection);
    },
    (error) => options.onNote(`a connection was not accepted: ${error.message}`),
  );
  let run: ObservedRun | undefined;
  const loseWorkers = (): void =>
    run?.loseLocalWorkers(workers.count, () => allWorkersGone(options, workers));
  const workers: LocalWorkers = new LocalWorkers(loseWorkers);
  const killWorkers = (): void => workers.killNow();
  process.once('exit', killWorkers);
  try {
    const files = new RunFiles(config.outDir, name);
    const shares = self === undefined ? [] : shareMachine(config, options.devices);
    let planned: PlannedRun;
    try {
      files.writeConfig({ ...config, name });
      if (self !== undefined) {
        const { dataDir } = config;
        const usual: WorkerPlace = { self, address: listener.address };
        for (const [rank, share] of shares.entries()) {
          const place = (await options.placeWorker?.(rank, usual)) ?? usual;
          const worker = { rank, ...share, dataDir, logPath: files.logPath(rank) };
          workers.start(place.self, place.address, worker);
        }
      }
      // While the workers load theirs.
      planned = await planRun(options, shares, files);
    } catch (error) {
      workers.killNow();
      files.discard();
      throw error;
    }
    options.onListening(listener.address, files.folder);
    run = new ObservedRun(options, planned, files);
    if (workers.count < shares.length) loseWorkers();
    coordinator = run.coordinator;
    for (const connection of waiting.splice(0)) coordinator.accept(connection);
    const summary = await run.finished();
    await workers.stop();
    return summary;
  } finally {
    await listener.close();
    await workers.stop();
    process.removeListener('exit', killWorkers);
  }
}

/**
 * Loads the data, chooses and compiles the model, and writes down what the run is made of. Throws
 * LockstepError.
 */
async function planRun(
  { config, name, places, onNote }: TrainingRunOptions,
  shares: readonly MachineShare[],
  files: RunFiles,
): Promise<PlannedRun> {
  const data = await loadRunData(datasetSpecOf(config), places);
  for (const note of data.splits.notes ?? []) onNote(note);
  const chosen = chooseModel(config, data.train);
  const isOnCpu = shares.every(({ device }) => device === 'cpu');
  const isMeasured = config.convForms === 'measured' && isOnCpu;
  if (config.convForms === 'measured' && !isOnCpu)
    onNote(
      'conv_forms: forms are measured for CPUs only; with a GPU in the run the default ones ' +
        'are used',
    );
  const { cacheDir } = places;
  const chooseForm = isMeasured
    ? await chooseConvForms(chosen.model, config.microBatch, { cacheDir, onNote })
    : undefined;
  const planned = makeRunPlan(config, data, name, config.workers, { chosen, chooseForm });
  for (const note of planned.notes) onNote(note);
  if (config.audit > 0 && config.workers < 3)
    onNote(
      'audit: it takes three workers to tell which of two that disagree is wrong; with fewer ' +
        'the run ends then',
    );
  checkLocalMemory(planned, shares);
  const tokens = tokenTableOf(data.train);
  if (tokens !== undefined) files.writeTokens(tokens);
  files.writeStepModel(planned.stepModel);
  return planned;
}

/** Throws RuntimeError when the run does not fit into this machine together with its workers. */
function checkLocalMemory(
  { plan: { job }, optimizer, sharedOptimizer }: PlannedRun,
  shares: readonly MachineShare[],
): void {
  const isAlone = shares.length <= 1;
  const needs = shares.map(({ lanes }) => workerBytes(job, optimizer, lanes, isAlone));
  const bytes = needs.reduce(
    (sum, need) => sum + need,
    coordinatorBytes(job, sharedOptimizer, shares.length),
  );
  const count = `${shares.length} worker${isAlone ? '' : 's'}`;
  checkMemory(
    shares.length === 0 ? 'the coordinator' : `this run with ${count} on this machine`,
    bytes,
  );
}

function allWorkersGone(
  { config, name }: TrainingRunOptions,
  { killedRanks }: LocalWorkers,
): LockstepError {
  const reason =
    killedRanks.length === 0
      ? `see the logs in ${config.outDir}/${name}/logs for why`
      : `killed with SIGKILL: rank ${killedRanks.join(', ')}. If memory ran out, lower ` +
        '--workers, --lanes or --micro-batch, or choose a smaller model';
  return new RendezvousError(
    `all ${config.workers} local workers have ended, and no other is in the run; ${reason}`,
    { workers: config.workers, killedRanks },
  );
}

/** A coordinator whose events go to the files, to the tally and to the caller. */
class ObservedRun {
  readonly coordinator: Coordinator;
  readonly #options: TrainingRunOptions;
  readonly #planned: PlannedRun;
  readonly #files: RunFiles;
  readonly #tally = new EventTally();
  readonly #outcome: Promise<RunSummary>;
  #firstStepMs: number | undefined;
  /** Set once no local worker lives: how the run ends when no other worker is in it either. */
  #desertion: LockstepError | undefined;
  #settle: { resolve: (summary: RunSummary) => void; reject: (error: unknown) => void } | undefined;

  constructor(options: TrainingRunOptions, planned: PlannedRun, files: RunFiles) {
    this.#options = options;
    this.#planned = planned;
    this.#files = files;
    this.#outcome = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.coordinator = new Coordinator({
      plan: planned.plan,
      clock: systemClock,
      timing: DEFAULT_TIMING,
      newSession: () => randomBytes(16).toString('hex'),
      onEvent: (event) => this.#observe(event),
      onFinished: (result) => this.#finish(result),
      onFailed: (error) => this.fail(error),
    });
    const { plan, model } = planned;
    this.#observe({
      kind: 'run-started',
      runId: options.name,
      steps: plan.totalSteps,
      stepsPerEpoch: planned.stepsPerEpoch,
      parameterCount: parameterCountOf(model),
      microBatch: plan.job.microBatch,
      globalBatch: plan.job.globalBatch,
      ...(planned.rounds !== undefined && { rounds: planned.rounds }),
    });
    if (options.signal.aborted) this.#interrupt();
    options.signal.addEventListener('abort', () => this.#interrupt(), { once: true });
  }

  async finished(): Promise<RunSummary> {
    return this.#outcome;
  }

  /** Ends the run with an error; the files tell what was committed. */
  fail(error: LockstepError): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle === undefined) return;
    this.coordinator.stop(error.message);
    try {
      this.#files.finish(this.#summary('failed', {}, error), systemClock.now());
    } catch {
      // A full disk may be what the run failed of: the first error is the one to tell.
    }
    settle.reject(error);
  }

  /**
   * Only `left` local workers live: no more are waited for. Without any, the run lasts as long as
   * others are in it.
   */
  loseLocalWorkers(left: number, desertion: () => LockstepError): void {
    this.coordinator.expectAtMost(Math.max(1, left));
    if (left === 0) this.#desertion = desertion();
    this.#failIfDeserted();
  }

  #failIfDeserted(): void {
    if (this.#desertion !== undefined && !this.coordinator.hasMembers) this.fail(this.#desertion);
  }

  #observe(happened: RunEvent): void {
    const event = withEpochsOf(this.#planned.rounds, happened);
    if (event.kind === 'step') this.#firstStepMs ??= systemClock.now();
    this.#tally.add(event);
    this.#record(event);
    this.#options.onEvent(event);
    // Not now: the coordinator is in the midst of what it does about it.
    const isGone = event.kind === 'worker-lost' || event.kind === 'worker-refused';
    if (isGone) queueMicrotask(() => this.#failIfDeserted());
  }

  /** Writes an event down; a run that cannot be recorded is not gone on with. */
  #record(event: RunEvent): void {
    try {
      this.#files.event(event, systemClock.now());
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      queueMicrotask(() => this.fail(error));
    }
  }

  #interrupt(): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle === undefined) return;
    const summary = this.#summary('interrupted', {}, { message: 'interrupted by the user' });
    this.coordinator.stop('the run was interrupted');
    try {
      this.#files.finish(summary, systemClock.now());
      settle.resolve(summary);
    } catch (error) {
      settle.reject(error);
    }
  }

  #finish(result: RunResult): void {
    const count = stateElementCountOf(this.#planned.model);
    const digests = digestsOf(result.state, count);
    const odd = result.replicaDigests.find(
      (replica) => replica.stateDigest !== digests.stateDigest,
    );
    if (odd !== undefined) {
      return this.fail(
        new RuntimeError(
          `rank ${odd.rank} ended with another state than the coordinator has of step ` +
            `${result.steps}: ${odd.stateDigest} instead of ${digests.stateDigest}. The model ` +
            'was not written.',
        ),
      );
    }
    const { config, name } = this.#options;
    const facts = { model: config.model, dataset: config.dataset, run: name, ...digests };
    try {
      this.#files.writeModel(
        this.#planned.model,
        asFloat32(result.state.subarray(0, 4 * count)),
        facts,
      );
      const summary = this.#summary('finished', digests);
      this.#files.finish(summary, systemClock.now());
      this.#settle?.resolve(summary);
      this.#settle = undefined;
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      this.fail(error);
    }
  }

  #summary(
    status: RunSummary['status'],
    digests: { weightsDigest?: string; stateDigest?: string },
    cause?: { readonly message: string; readonly code?: ErrorCode },
  ): RunSummary {
    const { config, name, startedMs } = this.#options;
    const { coordinator } = this;
    const seconds = (ms: number): number => Math.round(ms) / 1000;
    return {
      status,
      ...(cause !== undefined && { reason: cause.message }),
      ...(cause?.code !== undefined && { code: cause.code }),
      name,
      model: config.model,
      ...(this.#planned.modelSha256 !== undefined && { modelSha256: this.#planned.modelSha256 }),
      dataset: config.dataset,
      task: this.#planned.plan.job.task,
      seed: config.seed,
      steps: coordinator.committedSteps,
      ...(this.#planned.rounds !== undefined && { rounds: this.#planned.rounds }),
      epochs: this.#tally.epochs,
      workers: summariseWorkers(coordinator.tallies()),
      ...this.#tally.summary(),
      wallSeconds: seconds(systemClock.now() - startedMs),
      ...(this.#firstStepMs !== undefined && {
        firstStepSeconds: seconds(this.#firstStepMs - startedMs),
      }),
      parameters: parameterCountOf(this.#planned.model),
      stepDigest: createHash('sha256').update(this.#planned.stepModel).digest('hex'),
      ...digests,
      ledger: coordinator.ledger,
      ...(config.audit > 0 && { microBatchesAudited: coordinator.auditedCount }),
      bytesSent: coordinator.bytesSent,
      timeSplit: coordinator.timeSplit,
      folder: this.#files.folder,
    };
  }
}

/** To the coordinator a round is an epoch; it holds as many as it has local epochs. */
function withEpochsOf(rounds: RoundSizes | undefined, event: RunEvent): RunEvent {
  if (rounds === undefined || (event.kind !== 'step' && event.kind !== 'evaluation')) return event;
  return { ...event, epoch: (event.epoch + 1) * rounds.localEpochs - 1 };
}

/** The same bytes as float32; copied only if they do not lie at a multiple of four. */
function asFloat32(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(buffer, byteOffset, length / 4);
}
