/**
 * The checkpoints of a run: which states are written down, one at a time and beside the training,
 * and which stay. A checkpoint is the coordinator's snapshot on a disk.
 */
import type { Clock } from '../base/clock.ts';
import { LockstepError, messageOf } from '../base/errors.ts';
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts';
import type { Parent, RunHistory } from '../checkpoint/manifest.ts';
import { checkpointName } from '../checkpoint/checkpoint-names.ts';
import { listCheckpoints } from '../checkpoint/read-checkpoints.ts';
import {
  bestOf,
  compareEvaluations,
  evaluationOf,
  isOrigin,
  superfluous,
} from '../checkpoint/retention.ts';
import {
  type CheckpointContent,
  removeCheckpoint,
  removePartial,
  roomFor,
  writeCheckpoint,
} from '../checkpoint/write-checkpoint.ts';
import { checkpointPace } from '../config/checkpoint-pace.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { Snapshot } from '../coordinator/steps/trajectory.ts';
import { isWrittenSince, type RunPlan } from '../plan/run-plan.ts';
import { stateFiles } from './checkpoint-state.ts';
import { reasonOf } from './shelter.ts';

/** Where room is short, so many stay, and older ones go for the next. */
const LEAST_KEPT = 2;
/** Checkpoints of states that may be the best are made so often at most. */
const BEST_MS = 1_000;
/** The last one gets so long, and longer if it is large; a disk may answer no more. */
const LAST_MS = 60_000;
const BYTES_PER_MS = 20_000;

/** What a run's checkpoints are made of, and who is told. */
export interface CheckpointKeeperOptions {
  readonly config: TrainConfig;
  readonly name: string;
  readonly plan: RunPlan;
  readonly stepDigest: string;
  /** What it began from, if it is a variation. */
  readonly parent?: Parent | undefined;
  /** Version of this program. */
  readonly software: string;
  readonly store: CheckpointStore;
  readonly clock: Clock;
  /** Has everything that was recorded so far on the disk. */
  readonly syncRecords: () => Promise<void>;
  readonly onFailed: (reason: string, consequence: string) => void;
  /** One was written: what failed before is made good. */
  readonly onSaved: (snapshot: Snapshot) => void;
}

/** A state with what was told of the steps up to it. */
interface Kept {
  readonly snapshot: Snapshot;
  readonly history: RunHistory;
}

/** Writes checkpoints of one run. */
export class CheckpointKeeper {
  readonly #options: CheckpointKeeperOptions;
  readonly #pace: ReturnType<typeof checkpointPace>;
  /** What is to be written when the one under way is done: the newest. */
  #next: Kept | undefined;
  /** Before that: the newest of those whose step was asked for by itself. */
  #wanted: Kept | undefined;
  #underWay: Promise<void> | undefined;
  #savedStep: number;
  #takenStep: number;
  #takenMs: number;
  #best: RunHistory['evaluation'];
  #isClean = false;
  #isDemanded = false;

  /** `step`: of the checkpoint that the run goes on from; 0 when it begins. */
  constructor(options: CheckpointKeeperOptions, step: number, history?: RunHistory) {
    this.#options = options;
    this.#pace = checkpointPace(options.config);
    this.#savedStep = this.#takenStep = step;
    this.#takenMs = options.clock.now();
    this.#best = history && evaluationOf({ step, history });
  }

  /** The step of the newest checkpoint; 0 if there is none. */
  get savedStep(): number {
    return this.#savedStep;
  }

  /** Writes down the next state that is kept; false if this run has no checkpoints. */
  demand(): boolean {
    this.#isDemanded = this.#pace !== undefined;
    return this.#isDemanded;
  }

  /** A state of the run was kept: writes it down if it is time, or it is the best so far. */
  offer(snapshot: Snapshot, history: RunHistory): void {
    if (this.#pace === undefined || snapshot.step === 0 || !this.#isDue(snapshot, history)) return;
    this.#take({ snapshot, history });
  }

  /** Writes the state that a variation begins with. */
  begin(snapshot: Snapshot, history: RunHistory): void {
    if (this.#pace !== undefined) this.#take({ snapshot, history });
  }

  /** Writes the last state; resolves when it is written, or could not be. */
  async finish(snapshot: Snapshot, history: RunHistory): Promise<void> {
    if (this.#pace === undefined) return;
    if (snapshot.step > 0) this.#take({ snapshot, history });
    const { clock, plan, onFailed } = this.#options;
    let isDone = false;
    await new Promise<void>((resolve) => {
      const deadline = clock.after(LAST_MS + plan.stateBytes / BYTES_PER_MS, resolve);
      void this.#idle().then(() => {
        isDone = true;
        deadline.cancel();
        resolve();
      });
    });
    if (!isDone) onFailed('the disk does not answer', this.#consequence());
  }

  /** What was computed after `step` is void: no checkpoint of it stays. */
  forget(step: number): void {
    this.#next = this.#wanted = undefined;
    const before = this.#idle();
    this.#underWay = before.then(async () => this.#removeAfter(step)).finally(() => this.#goOn());
  }

  #isDue({ step }: Snapshot, history: RunHistory): boolean {
    const { everyMs = Infinity } = this.#pace ?? {};
    const { clock, plan } = this.#options;
    const sinceMs = clock.now() - this.#takenMs;
    if (this.#isDemanded || sinceMs >= everyMs || isWrittenSince(plan, this.#takenStep, step))
      return true;
    return sinceMs >= BEST_MS && isBetter(evaluationOf({ step, history }), this.#bestToBe());
  }

  #take(kept: Kept): void {
    this.#isDemanded = false;
    this.#takenStep = kept.snapshot.step;
    this.#takenMs = this.#options.clock.now();
    const { steps = [] } = this.#options.plan.checkpoints ?? {};
    if (steps.includes(this.#next?.snapshot.step ?? -1)) this.#wanted = this.#next;
    this.#next = kept;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#underWay !== undefined) return;
    const kept = this.#wanted ?? this.#next;
    if (kept === undefined) return;
    if (kept === this.#next) this.#next = undefined;
    this.#wanted = undefined;
    this.#underWay = this.#save(kept).finally(() => {
      this.#underWay = undefined;
      this.#goOn();
    });
  }

  /** The best evaluation there is once what waits is written. */
  #bestToBe(): RunHistory['evaluation'] {
    const waiting = this.#next && evaluationIn(this.#next);
    return isBetter(waiting, this.#best) ? waiting : this.#best;
  }

  async #idle(): Promise<void> {
    while (this.#underWay !== undefined) await this.#underWay;
  }

  async #save(kept: Kept): Promise<void> {
    const { store, config, syncRecords, onFailed, onSaved } = this.#options;
    const { snapshot, history } = kept;
    const [best, evaluation] = [this.#best, evaluationIn(kept)];
    if (isBetter(evaluation, best)) this.#best = evaluation;
    try {
      if (!this.#isClean) await removePartial(store);
      this.#isClean = true;
      // A checkpoint of a step has all records up to that step beside it.
      await syncRecords();
      const content = this.#contentOf(snapshot, history);
      await this.#makeRoom(roomFor(content));
      await writeCheckpoint(store, content);
      this.#savedStep = snapshot.step;
      onSaved(snapshot);
      const written = checkpointName(snapshot.step);
      const listed = await listCheckpoints(store);
      for (const name of superfluous(listed, config.keep))
        if (name !== written) await removeCheckpoint(store, name);
    } catch (error) {
      if (this.#savedStep !== snapshot.step) this.#best = best;
      onFailed(failureText(error), this.#consequence());
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    const { store } = this.#options;
    const isShort = (): boolean => (store.freeBytes() ?? Infinity) < bytes;
    if (!isShort()) return;
    const listed = await listCheckpoints(store);
    const whole = listed.filter((one) => one.manifest !== undefined && !isOrigin(one));
    for (const { name } of whole.slice(LEAST_KEPT).toReversed())
      if (isShort()) await removeCheckpoint(store, name);
  }

  #consequence(): string {
    const { savedStep } = this;
    const last = savedStep === 0 ? 'there is none' : `the newest is of step ${savedStep}`;
    return `a checkpoint is missing, ${last}`;
  }

  #contentOf(snapshot: Snapshot, history: RunHistory): CheckpointContent {
    const { config, name, plan, software, stepDigest, parent } = this.#options;
    const { step, evaluatedStep, maxima, ledger, losses, digests, bytes } = snapshot;
    const { highSteps, isDiverged, firstLoss } = losses;
    return {
      facts: {
        format: 1,
        software,
        written: new Date().toISOString(),
        run: name,
        step,
        totalSteps: plan.totalSteps,
        standing: {
          evaluatedStep,
          ...(maxima && { maxima: [...maxima] }),
          ledger: { ...ledger },
          losses: { ...(firstLoss !== undefined && { firstLoss }), highSteps, isDiverged },
        },
        history,
        ...(parent && { parent }),
        weightsDigest: digests?.weightsDigest ?? '',
        stateDigest: digests?.stateDigest ?? '',
        stepDigest,
        config: JSON.parse(JSON.stringify(config)) as Record<string, unknown>,
      },
      ...stateFiles(plan, bytes),
    };
  }

  async #removeAfter(step: number): Promise<void> {
    const { store, onFailed } = this.#options;
    try {
      for (const one of await listCheckpoints(store))
        if (one.step > step) await removeCheckpoint(store, one.name);
      const listed = await listCheckpoints(store);
      const best = bestOf(listed)?.manifest;
      this.#savedStep = this.#takenStep = listed[0]?.step ?? 0;
      this.#best = best && evaluationOf(best);
    } catch (error) {
      onFailed(
        failureText(error),
        `checkpoints of steps after ${step} may be wrong, and are there`,
      );
    } finally {
      this.#underWay = undefined;
    }
  }
}

function evaluationIn({ snapshot, history }: Kept): RunHistory['evaluation'] {
  return evaluationOf({ step: snapshot.step, history });
}

function isBetter(one: RunHistory['evaluation'], other: RunHistory['evaluation']): boolean {
  return one !== undefined && (other === undefined || compareEvaluations(one, other) < 0);
}

function failureText(error: unknown): string {
  if (error instanceof LockstepError) return reasonOf(error);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : messageOf(error);
}
