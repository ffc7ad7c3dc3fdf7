/** One run as its coordinator leads it: told to every sink, and summed up however it ends. */
import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { type ErrorCode, LockstepError, RuntimeError } from '../base/errors.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { Coordinator } from '../coordinator/coordinator.ts';
import type { RunResult } from '../coordinator/run-result.ts';
import { DEFAULT_TIMING } from '../membership/timing.ts';
import { stepsPerEpoch } from '../data/batches.ts';
import type { PlannedRun } from '../job/make-plan.ts';
import { EventRate } from '../metrics/event-rate.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import { parameterCountOf, stateElementCountOf } from '../models/model.ts';
import { compiledStepsOf } from '../plan/run-plan.ts';
import { digestsOf, type StateDigests } from '../state/digest.ts';
import { EventTally } from './event-tally.ts';
import type { RunFiles } from './run-files.ts';
import { type RunSummary, summariseWorkers } from './run-summary.ts';

/** A run, where it is recorded, and who else is told of it. */
export interface RecordedRunOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly planned: PlannedRun;
  readonly files: RunFiles;
  readonly sinks: readonly EventSink[];
  /** When the command was given, on the clock of `systemClock`. */
  readonly startedMs: number;
  /** Interrupts the run: what was committed is reported. */
  readonly signal: AbortSignal;
}

/**
 * A run whose events go to the tally and, at a bounded rate, to the files and to the given sinks, in
 * this order.
 */
export class RecordedRun {
  readonly coordinator: Coordinator;
  readonly #options: RecordedRunOptions;
  readonly #tally = new EventTally(systemClock);
  readonly #rate = new EventRate(systemClock);
  readonly #sinks: readonly EventSink[];
  readonly #outcome: Promise<RunSummary>;
  /** Ends what listens to the given signal, which may live longer, and holds the run's state. */
  readonly #over = new AbortController();
  /** Set once no local worker lives: how the run ends when no other worker is in it either. */
  #desertion: LockstepError | undefined;
  #settle: { resolve: (summary: RunSummary) => void; reject: (error: unknown) => void } | undefined;

  constructor(options: RecordedRunOptions) {
    const { planned, files, sinks, signal } = options;
    this.#options = options;
    this.#sinks = [files, ...sinks];
    this.#outcome = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.coordinator = new Coordinator({
      plan: planned.plan,
      bytes: planned.bytes,
      clock: systemClock,
      timing: DEFAULT_TIMING,
      newSession: () => randomBytes(16).toString('hex'),
      onEvent: (event) => this.#observe(event),
      onFinished: (result) => this.#finish(result),
      onFailed: (error) => this.fail(error),
    });
    this.#observe(startOf(options));
    if (signal.aborted) this.#interrupt();
    signal.addEventListener('abort', () => this.#interrupt(), { signal: this.#over.signal });
  }

  /** Resolves with the summary of a run that finished or was interrupted, rejects if it failed. */
  async finished(): Promise<RunSummary> {
    try {
      return await this.#outcome;
    } finally {
      this.#over.abort();
    }
  }

  /** Ends the run with an error; the files tell what was committed. */
  fail(error: LockstepError): void {
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle === undefined) return;
    this.coordinator.stop(error.message);
    try {
      this.#options.files.finish(this.#summary('failed', {}, error));
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

  #observe(event: RunEvent): void {
    // The tally counts what the others need not be told.
    this.#tell(this.#tally, event);
    const told = this.#rate.admit(event);
    if (told !== undefined) for (const sink of this.#sinks) this.#tell(sink, told);
    // Not now: the coordinator is in the midst of what it does about it.
    const isGone = event.kind === 'worker-lost' || event.kind === 'worker-refused';
    if (isGone) queueMicrotask(() => this.#failIfDeserted());
  }

  #tell(sink: EventSink, event: RunEvent): void {
    try {
      sink.onEvent(event);
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
      this.#options.files.finish(summary);
      settle.resolve(summary);
    } catch (error) {
      settle.reject(error);
    }
  }

  #finish(result: RunResult): void {
    const { config, name, planned, files } = this.#options;
    const count = stateElementCountOf(planned.model);
    const digests = digestsOf(result.state, count);
    const odd = result.replicaDigests.find(
      ({ stateDigest }) => stateDigest !== digests.stateDigest,
    );
    if (odd !== undefined) return this.fail(oddReplica(odd, result.steps, digests));
    const facts = { model: config.model, dataset: config.dataset, run: name, ...digests };
    try {
      const weights = asFloat32(result.state.subarray(0, 4 * count));
      files.writeModel(planned.model, weights, facts);
      const summary = this.#summary('finished', digests);
      files.finish(summary);
      this.#settle?.resolve(summary);
      this.#settle = undefined;
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      this.fail(error);
    }
  }

  #summary(
    status: RunSummary['status'],
    digests: Partial<StateDigests>,
    cause?: { readonly message: string; readonly code?: ErrorCode },
  ): RunSummary {
    const { config, name, planned, files, startedMs } = this.#options;
    const { plan, bytes, model, modelSha256 } = planned;
    const { coordinator } = this;
    const { firstStepMs } = this.#tally;
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
      stepDigest: createHash('sha256').update(compiledStepsOf(plan, bytes).train).digest('hex'),
      ...digests,
      ledger: coordinator.ledger,
      ...(config.audit > 0 && { microBatchesAudited: coordinator.auditedCount }),
      bytesSent: coordinator.bytesSent,
      timeSplit: coordinator.timeSplit,
      folder: files.folder,
    };
  }
}

/** The first event of a run. */
function startOf({ name, planned: { plan, model } }: RecordedRunOptions): RunEvent {
  const { job, train, rounds, totalSteps } = plan;
  return {
    kind: 'run-started',
    runId: name,
    steps: totalSteps,
    stepsPerEpoch: stepsPerEpoch(train.sampleCount, train.globalBatch),
    parameterCount: parameterCountOf(model),
    microBatch: job.microBatch,
    globalBatch: job.globalBatch,
    ...(rounds !== undefined && { rounds }),
  };
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
