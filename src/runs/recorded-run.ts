/** One run as its coordinator leads it: told to every sink, and summed up however it ends. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { type ErrorCode, invariant, LockstepError, RuntimeError } from '../base/errors.ts';
import { isEveryAddress } from '../transport/loopback.ts';
import { KEY_BYTES } from '../transport/tls.ts';
import type { Parent, RunHistory } from '../checkpoint/manifest.ts';
import { wantsKey } from '../config/cluster-settings.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { Coordinator } from '../coordinator/coordinator.ts';
import type { Returned, RunResult } from '../coordinator/coordinator-options.ts';
import { restoredStep } from '../coordinator/restored-step.ts';
import type { Snapshot } from '../coordinator/steps/trajectory.ts';
import { DEFAULT_TIMING } from '../membership/timing.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import { DataStock } from '../data/parcels/stock.ts';
import type { PlannedRun } from '../job/make-plan.ts';
import { EventRate } from '../metrics/event-rate.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import { parameterCountOf, stateElementCountOf } from '../models/model.ts';
import { compiledStepsOf } from '../plan/run-plan.ts';
import type { Hello, Reach } from '../protocol/messages.ts';
import { digestsOf, type StateDigests } from '../state/digest.ts';
import { CheckpointDisk } from './checkpoint-disk.ts';
import { CheckpointKeeper } from './checkpoint-keeper.ts';
import { EventTally } from './event-tally.ts';
import { CHECKPOINTS_NAME, resumeCommand } from './found-run.ts';
import { Journal } from './journal/journal-file.ts';
import type { CrewMember, JournalContent, JournalHead } from './journal/journal-lines.ts';
import { recollectionOf } from './journal/recollection.ts';
import type { ModelDescription } from './model-description.ts';
import { modelFiles } from './model-files.ts';
import type { RunFiles } from './run-files.ts';
import { type RunSummary, summariseWorkers } from './run-summary.ts';

/** A run, where it is recorded, and who else is told of it. */
export interface RecordedRunOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly planned: PlannedRun;
  readonly files: RunFiles;
  readonly sinks: readonly EventSink[];
  /** Told what is begun that may take long and leaves no time for anything else. */
  readonly onPhase: (phase: string) => void;
  /** Version of this program, which checkpoints name. */
  readonly software: string;
  /** What was told of the steps before, when the run goes on. */
  readonly history?: RunHistory | undefined;
  /** What it began from, if it is a variation. */
  readonly parent?: Parent | undefined;
  /** Whether it begins so now. */
  readonly isForked?: boolean;
  /** What the coordinator has left that has died. Then its records are still as it left them. */
  readonly left?: JournalContent | undefined;
  /** Where workers look for the coordinator. */
  readonly port?: number;
  /** When the command was given, on the clock of `systemClock`. */
  readonly startedMs: number;
  /** Interrupts the run: what was committed is reported. */
  readonly signal: AbortSignal;
  /** Told of every worker that is ready for work, before it has any. */
  readonly onReady?: (worker: Hello) => void;
}

/**
 * A run whose events go to the tally and, at a bounded rate, to the files and to the given sinks, in
 * this order.
 */
export class RecordedRun {
  readonly coordinator: Coordinator;
  readonly #options: RecordedRunOptions;
  /** How the model is used, once it is written. */
  #description: ModelDescription | undefined;
  #tally: EventTally;
  /** Absent once the run is over. */
  readonly #journal: Journal;
  readonly #checkpoints: CheckpointKeeper;
  /** What was told up to the state that a worker was asked for, and up to the snapshot. */
  #asked: { readonly step: number; readonly history: RunHistory } | undefined;
  #kept: { readonly step: number; readonly history: RunHistory } | undefined;
  readonly #rate = new EventRate(systemClock);
  readonly #sinks: readonly EventSink[];
  readonly #untold: RunEvent[] = [];
  /** Also while the records of a run that goes on are not ready. */
  #isTelling: boolean;
  #resumedAt: number;
  readonly #beginning: Snapshot;
  /** It is not known yet where the run goes on whose coordinator has died. */
  #isReturning: boolean;
  /** Of the last checkpoint that was told of. */
  #toldStep = 0;
  /** What was saved before the last evaluation. */
  #saved: { readonly bytes: Uint8Array; readonly digests: StateDigests } | undefined;
  readonly #outcome: Promise<RunSummary>;
  /** Ends what listens to the given signal, which may live longer, and holds the run's state. */
  readonly #over = new AbortController();
  #settle: { resolve: (summary: RunSummary) => void; reject: (error: unknown) => void } | undefined;

  /** `beginning` is where the run begins, or goes on. */
  constructor(options: RecordedRunOptions, beginning: Snapshot) {
    const { config, name, planned, files, sinks, signal, onReady, history, software } = options;
    const { parent, isForked = false } = options;
    this.#options = options;
    this.#beginning = beginning;
    const { left } = options;
    const recollection = left && recollectionOf(left, beginning, files.recordedStep);
    this.#isReturning = this.#isTelling = left !== undefined;
    this.#tally = new EventTally(systemClock, history);
    this.#kept = history && { step: beginning.step, history };
    const { plan } = planned;
    const stepDigest = stepDigestOf(planned);
    const about = { config, name, plan, stepDigest, software, parent, clock: systemClock };
    const store = new CheckpointDisk(() => join(files.folder, CHECKPOINTS_NAME));
    const syncRecords = async (): Promise<void> => files.syncRecords();
    const onFailed = files.checkpointFailed.bind(files);
    const onSaved = (snapshot: Snapshot): void => this.#tellSaved(snapshot);
    this.#checkpoints = new CheckpointKeeper(
      { ...about, store, syncRecords, onFailed, onSaved },
      isForked ? 0 : beginning.step,
      history,
    );
    this.#sinks = [files, ...sinks];
    this.#journal = new Journal(
      files.folder,
      this.#journalHead(),
      {
        clock: systemClock,
        flushRecords: () => files.flushRecords(),
        onFailed: (reason) => this.#observe(journalFailed(reason)),
      },
      recollection && left?.steps.values(),
    );
    files.reportTo((event) => this.#observe(event));
    this.#outcome = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.coordinator = new Coordinator(
      {
        plan: planned.plan,
        bytes: planned.bytes,
        clock: systemClock,
        timing: DEFAULT_TIMING,
        data: new DataStock(planned.data),
        reach: reachOf(options.config),
        newSession: () => randomBytes(16).toString('hex'),
        onEvent: (event) => this.#observe(event),
        ...(onReady !== undefined && { onReady }),
        ...(recollection && { recollection }),
        onReturned: (returned, begin) => void this.#goOn(returned, begin),
        onDecided: (decided) => this.#journal.add(decided),
        onAsked: (step) => (this.#asked = { step, history: this.#tally.history() }),
        onKept: (snapshot) => this.#keep(snapshot),
        onTrained: () => this.#save(),
        onFinished: (result) => void this.#finish(result),
        onFailed: (error) => this.fail(error),
      },
      beginning,
    );
    this.#resumedAt = beginning.step;
    if (recollection === undefined) this.#observe(startOf(options, beginning.step));
    if (isForked && history !== undefined) this.#checkpoints.begin(beginning, history);
    if (signal.aborted) this.#interrupt();
    signal.addEventListener('abort', () => this.#interrupt(), { signal: this.#over.signal });
  }

  /** The first line of the journal. */
  #journalHead(): JournalHead {
    const { config, name, planned, software, port = 0 } = this.#options;
    return {
      software,
      written: new Date().toISOString(),
      run: name,
      stepDigest: stepDigestOf(planned),
      config: JSON.parse(JSON.stringify(config)) as Record<string, unknown>,
      plan: planned.plan,
      port,
      isInitial: this.#beginning.step === 0,
    };
  }

  /**
   * It is known where the run goes on whose coordinator has died: makes its records those of the
   * steps so far, and begins.
   */
  async #goOn({ step, point }: Returned, begin: (evaluatedStep: number) => void): Promise<void> {
    const { files, planned, left } = this.#options;
    const tally = new EventTally(systemClock);
    const going = point === undefined ? this.#beginning : { step, evaluatedStep: step };
    let evaluatedStep = -1;
    const accounts = new Map([...(left?.steps ?? [])].map(([at, { account }]) => [at, account]));
    const told = point?.told ?? [];
    for (const [i, account] of told.entries()) accounts.set(step - told.length + i + 1, account);
    try {
      await files.goOn(going, {
        onKept: (event) => {
          tally.onEvent(event);
          if (event.kind === 'evaluation') evaluatedStep = event.step;
        },
        missing: (lastStep) =>
          Array.from({ length: Math.max(0, step - lastStep) }, (_, i) => {
            const account = accounts.get(lastStep + i + 1);
            invariant(account !== undefined, 'no run goes on at a step that nobody knows of');
            return restoredStep(planned.plan, lastStep + i + 1, account);
          }),
      });
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      return this.fail(error);
    }
    if (this.#settle === undefined) return;
    this.#tally = new EventTally(systemClock, tally.history());
    this.#resumedAt = step;
    this.#isReturning = false;
    this.#tellFrom(startOf(this.#options, step, point?.holders.length));
    begin(evaluatedStep);
  }

  /** What has waited is told now, after `first`. */
  #tellFrom(first?: RunEvent): void {
    if (first !== undefined) this.#untold.unshift(first);
    this.#isTelling = false;
    this.#tellUntold();
  }

  /** Resolves with the summary of a run that finished or was interrupted, rejects if it failed. */
  async finished(): Promise<RunSummary> {
    try {
      return await this.#outcome;
    } finally {
      this.#over.abort();
    }
  }

  /** Ends the run with an error; the files tell what was committed, and have the last model. */
  fail(error: LockstepError): void {
    this.#fail(error, () => this.#rescue());
  }

  #fail(error: LockstepError, rescue: () => Rescued): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle === undefined) return;
    if (this.#isReturning) this.#tellFrom();
    this.coordinator.stop(error.message);
    void this.#checkpoint().then(() => {
      const rescued = this.#tellRescued(rescue());
      this.#endRecords(this.#summary('failed', rescued, error));
      settle.reject(error);
    });
  }

  /** Writes the summary. What a coordinator has left stays until the run goes on from there. */
  #endRecords(summary: RunSummary): RunSummary {
    // Without records of the steps so far nothing new was told.
    if (this.#isReturning) this.#journal.leave();
    else this.#journal.close();
    return this.#options.files.finish(summary);
  }

  /** A state has come from a worker, which may be written down. */
  #keep(snapshot: Snapshot): void {
    if (this.#asked?.step !== snapshot.step) return;
    this.#kept = this.#asked;
    this.#checkpoints.offer(snapshot, this.#kept.history);
  }

  #tellSaved({ step, digests }: Snapshot): void {
    this.#options.files.checkpointSaved();
    if (digests === undefined || step === this.#toldStep) return;
    this.#toldStep = step;
    this.#observe({ kind: 'checkpoint-written', step, ...digests });
  }

  /** Writes down the last state that there is, with what was told of the steps up to it. */
  async #checkpoint(): Promise<void> {
    const { snapshot, committedSteps } = this.coordinator;
    const isNewest = snapshot.step === committedSteps;
    const history = isNewest ? this.#tally.history() : this.#kept?.history;
    if (history !== undefined) await this.#checkpoints.finish(snapshot, history);
  }

  /** Has the state of a coming step written down, as soon as can be, and goes on. */
  writeCheckpoint(): void {
    if (this.#settle !== undefined && this.#checkpoints.demand()) this.coordinator.renewSnapshot();
  }

  /** Tells everybody of something that has happened, unless the run is over. */
  observe(event: RunEvent): void {
    if (this.#settle !== undefined) this.#observe(event);
  }

  #observe(event: RunEvent): void {
    this.#untold.push(event);
    this.#tellUntold();
  }

  /** These are the workers that were started for the run, which outlive its coordinator. */
  noteCrew(members: readonly CrewMember[]): void {
    this.#journal.noteCrew(members);
  }

  #tellUntold(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    try {
      // What happens while an event is told, as that a file cannot be written, is told after it.
      for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift())
        this.#tell(next);
    } finally {
      this.#isTelling = false;
    }
  }

  /** The tally counts what the others need not be told. */
  #tell(event: RunEvent): void {
    this.#tally.onEvent(event);
    if (event.kind === 'rolled-back' && event.reason !== 'lost') {
      this.#journal.noteUndone();
      this.#checkpoints.forget(event.toStep);
    }
    const told = this.#rate.admit(event);
    if (told !== undefined) for (const sink of this.#sinks) sink.onEvent(told);
  }

  /** Ends the run as soon as the state of the last commit is here, and soon if it is not. */
  #interrupt(): void {
    this.coordinator.keepState(() => this.#endInterrupted());
  }

  #endInterrupted(): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle === undefined) return;
    if (this.#isReturning) this.#tellFrom();
    this.coordinator.stop('the run was interrupted');
    void this.#checkpoint().then(() => {
      const rescued = this.#tellRescued(this.#rescue());
      const summary = this.#summary('interrupted', rescued, { message: 'interrupted by the user' });
      settle.resolve(this.#endRecords(summary));
    });
  }

  /** Saves the model before its last evaluation; what cannot be saved now is tried at the end. */
  #save(): void {
    const { bytes } = this.coordinator.snapshot;
    if (this.#saved?.bytes === bytes) return;
    const { planned } = this.#options;
    const digests = digestsOf(bytes, stateElementCountOf(planned.model));
    this.#saved = undefined;
    try {
      this.#writeModel(bytes, { ...digests });
      this.#saved = { bytes, digests };
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
    }
  }

  async #finish(result: RunResult): Promise<void> {
    const { planned, files, onPhase } = this.#options;
    onPhase('comparing the final states');
    const saved = this.#saved?.bytes === result.state ? this.#saved : undefined;
    const digests = saved?.digests ?? digestsOf(result.state, stateElementCountOf(planned.model));
    const odd = result.replicaDigests.find(
      ({ stateDigest }) => stateDigest !== digests.stateDigest,
    );
    if (odd !== undefined) {
      if (saved !== undefined) files.removeModel();
      return this.#fail(oddReplica(odd, result.steps, digests), () => ({ noModel: IN_DOUBT }));
    }
    try {
      if (saved === undefined || !files.hasModel) this.#writeModel(result.state, { ...digests });
      const settle = this.#settle;
      this.#settle = undefined;
      await this.#checkpoint();
      const summary = this.#summary('finished', { ...digests, modelStep: result.steps });
      settle?.resolve(this.#endRecords(summary));
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      this.fail(error);
    }
  }

  #writeModel(state: Uint8Array, facts: Readonly<Record<string, string>>): void {
    const { config, name, planned, files } = this.#options;
    const weights = asFloat32(state.subarray(0, 4 * stateElementCountOf(planned.model)));
    this.#options.onPhase('saving the model');
    const { model, dataset, loss } = config;
    const { plan, form } = planned;
    const { dataDigest } = plan.job;
    const { files: written, description } = modelFiles({
      ...{ model: planned.model, weights, form, loss },
      facts: { model, dataset, run: name, dataDigest, ...facts },
    });
    files.writeModel(written);
    this.#description = description;
  }

  /** Writes the model that a run has which does not finish: that of its last snapshot. */
  #rescue(): Rescued {
    const { step, bytes } = this.coordinator.snapshot;
    if (step === 0) return { noModel: UNTRAINED };
    const digests = digestsOf(bytes, stateElementCountOf(this.#options.planned.model));
    try {
      this.#writeModel(bytes, { ...digests, step: String(step) });
      return { modelStep: step };
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      return { noModel: error.message };
    }
  }

  #tellRescued(rescued: Rescued): Rescued {
    const { coordinator } = this;
    const modelFile =
      rescued.modelStep === undefined ? {} : { modelFile: this.#options.files.modelFile };
    const step = coordinator.committedSteps;
    const { savedStep } = this.#checkpoints;
    const { folder } = this.#options.files;
    const goOn = savedStep > 0 && { checkpointStep: savedStep, resume: resumeCommand(folder) };
    this.#observe({ kind: 'run-unfinished', step, ...rescued, ...modelFile, ...goOn });
    return rescued;
  }

  #summary(
    status: RunSummary['status'],
    about: Partial<StateDigests> & Rescued,
    cause?: { readonly message: string; readonly code?: ErrorCode },
  ): RunSummary {
    const { config, name, planned, files, startedMs, parent } = this.#options;
    const { plan, model, modelSha256 } = planned;
    const { coordinator } = this;
    const { firstStepMs } = this.#tally;
    const { savedStep } = this.#checkpoints;
    const seconds = (ms: number): number => Math.round(ms) / 1000;
    return {
      status,
      ...(cause !== undefined && { reason: cause.message }),
      ...(cause?.code !== undefined && { code: cause.code }),
      name,
      model: config.model,
      ...(modelSha256 !== undefined && { modelSha256 }),
      dataset: config.dataset,
      task: plan.job.task,
      seed: config.seed,
      steps: coordinator.committedSteps,
      ...(plan.rounds !== undefined && { rounds: plan.rounds }),
      epochs: this.#tally.epochs,
      workers: summariseWorkers(coordinator.tallies()),
      ...this.#tally.summary(),
      wallSeconds: seconds(systemClock.now() - startedMs),
      ...(firstStepMs !== undefined && { firstStepSeconds: seconds(firstStepMs - startedMs) }),
      parameters: parameterCountOf(model),
      ...usageOf(this.#description),
      stepDigest: stepDigestOf(planned),
      ...about,
      ...(savedStep > 0 && { checkpointStep: savedStep }),
      ...(this.#resumedAt > 0 && { resumedAtStep: this.#resumedAt }),
      ...(parent && { forkedFrom: parent }),
      ledger: coordinator.ledger,
      ...(config.audit > 0 && { microBatchesAudited: coordinator.auditedCount }),
      ...(coordinator.late !== undefined && { late: coordinator.late }),
      bytesSent: coordinator.bytesSent,
      timeSplit: coordinator.timeSplit,
      folder: files.folder,
    };
  }
}

/** SHA-256 of the compiled step. */
export function stepDigestOf({ plan, bytes }: Pick<PlannedRun, 'plan' | 'bytes'>): string {
  return createHash('sha256').update(compiledStepsOf(plan, bytes).train).digest('hex');
}

/** How the model is used, in brief. */
function usageOf(
  description: ModelDescription | undefined,
): Pick<RunSummary, 'input' | 'classNames'> {
  if (description === undefined) return {};
  const { input, classNames } = description;
  const { name, type, shape, about, columnNames } = input;
  return {
    input: { name, type, shape, about, ...(columnNames && { columnNames }) },
    ...(classNames && { classNames }),
  };
}

/** What became of the model of a run that does not finish. */
type Rescued = Pick<RunSummary, 'modelStep' | 'noModel'>;

const UNTRAINED = 'no state later than the initial one was fetched from a worker yet';
const IN_DOUBT = 'replicas differ, and nobody knows which of them is right';

/** The first event of a run. */
function startOf(
  { name, parent, planned: { plan, model } }: RecordedRunOptions,
  step: number,
  holders?: number,
): RunEvent {
  const { job, train, rounds, totalSteps } = plan;
  return {
    kind: 'run-started',
    runId: name,
    steps: totalSteps,
    ...(step > 0 && { resumedAtStep: step }),
    ...(parent && { forkedFrom: parent }),
    ...(holders !== undefined && { workersWithState: holders }),
    stepsPerEpoch: stepsPerEpoch(train.sampleCount, train.globalBatch),
    parameterCount: parameterCountOf(model),
    microBatch: job.microBatch,
    globalBatch: job.globalBatch,
    ...(rounds !== undefined && { rounds }),
  };
}

function journalFailed(reason: string): RunEvent {
  const consequence = 'if the coordinator dies, the run goes on from its newest checkpoint';
  return { kind: 'file-failed', file: 'journal.jsonl', reason, consequence };
}

function oddReplica(
  { rank, stateDigest }: RunResult['replicaDigests'][number],
  steps: number,
  expected: StateDigests,
): RuntimeError {
  return new RuntimeError(
    `rank ${rank} ended with another state than the coordinator has of step ${steps}: ` +
      `${stateDigest} instead of ${expected.stateDigest}. The model was not written.`,
  );
}

/** The same bytes as float32; copied only if they do not lie at a multiple of four. */
function asFloat32(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(buffer, byteOffset, length / 4);
}

function reachOf(config: TrainConfig): Reach {
  const isKeyed = wantsKey(config) && !config.meshPlain;
  const key = isKeyed ? randomBytes(KEY_BYTES).toString('hex') : null;
  return { isOpen: isEveryAddress(config.host), key };
}
