/**
 * The files of a run, in `<out-dir>/<name>/`: written as it goes, so that a crash leaves what was
 * true until then.
 */
import { existsSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Clock, systemClock, type Timer } from '../base/clock.ts';
import { ConfigError, LockstepError, messageOf } from '../base/errors.ts';
import { toYaml } from '../config/to-yaml.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { TokenTable } from '../data/token-table.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { FileFailed, RunEvent } from '../metrics/events.ts';
import {
  type GoingOn,
  lastRecordedStep,
  type RecordHandlers,
  trimRecords,
} from './earlier-records.ts';
import { CHECKPOINTS_NAME, foundThere } from './found-run.ts';
import { FileFailures } from './file-failures.ts';
import type { ModelFile } from './model-files.ts';
import { RankMetrics } from './rank-metrics.ts';
import { MAX_WAITING_BYTES, RecordFile } from './record-file.ts';
import { fileError, writeWhole } from './run-file.ts';
import { RunLock } from './run-lock.ts';
import type { RunSummary } from './run-summary.ts';
import { placeText, reasonOf, Shelter, sheltersFor } from './shelter.ts';

/** Whether the folder is still there is looked at this often. */
const LOOK_MS = 1000;
/** What failures of the files of all ranks are told of. */
const RANK_FILES = 'logs/rank_*_metrics.json';

/** What is not usual about the files of a run. */
export interface RunFilesOptions {
  readonly clock?: Clock;
  /** Folders in which a model is put that the run's own does not take, in this order. */
  readonly shelters?: readonly string[];
  /** The folder is there, with a run that goes on; nothing is changed in it before `goOn`. */
  readonly resumes?: boolean;
}

/**
 * The files of one run, in a folder that is made for it. Once the run has begun, a file that cannot
 * be written is told of, and is no reason to end: what was trained matters most.
 */
export class RunFiles implements EventSink {
  readonly #asked: string;
  #folder: string;
  /** Where the model is when it is not in the folder. */
  #modelFolder: string | undefined;
  #modelNames: readonly string[] = [];
  readonly #clock: Clock;
  readonly #events: RecordFile;
  readonly #ranks: RankMetrics;
  readonly #shelter: Shelter;
  /** Folders above this run's that were made for it, outermost first. */
  readonly #parents: readonly string[];
  /** What was written before the run began: a model is of little use without it. */
  readonly #wholeFiles = new Map<string, readonly Uint8Array[]>();
  readonly #failures = new FileFailures();
  #timer: Timer | undefined;
  #isOver = false;
  readonly #lock: RunLock;
  readonly #resumes: boolean;

  /**
   * Makes the folder, and locks it. Throws ConfigError when it exists already or cannot be made;
   * or, if it is to be there, when somebody else writes into it.
   */
  constructor(outDir: string, name: string, options: RunFilesOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#asked = join(outDir, name);
    this.#folder = this.#asked;
    this.#shelter = new Shelter(basename(name), options.shelters ?? sheltersFor(outDir));
    this.#ranks = new RankMetrics(join(this.#folder, 'logs'));
    this.#events = new RecordFile(join(this.#folder, 'metrics.jsonl'), 'a');
    this.#resumes = options.resumes === true;
    try {
      this.#parents = this.#resumes ? [] : makeFolders(outDir);
      if (!this.#resumes) mkdirSync(this.#folder);
      this.#lock = new RunLock(this.#folder);
      if (!this.#resumes) this.#open();
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      if (this.#resumes)
        throw new ConfigError(`going on in ${this.#folder}: ${messageOf(error)}`, [], {
          cause: error,
        });
      throw new ConfigError(`making the folder of the run: ${this.#reasonOf(error)}`, [], {
        cause: error,
      });
    }
  }

  #open(): void {
    makeFolders(join(this.#folder, 'logs'));
    this.#events.open();
  }

  /**
   * Goes on with the records of a run: what will be computed again is taken out, and what is
   * missing put in. Rejects with FILE_FAILED.
   */
  async goOn(going: GoingOn, { onKept, missing }: RecordHandlers = {}): Promise<void> {
    const nowMs = this.#clock.now();
    try {
      makeFolders(join(this.#folder, 'logs'));
    } catch (error) {
      throw fileError(this.#folder, error);
    }
    const path = join(this.#folder, 'metrics.jsonl');
    await trimRecords(path, going, {
      onKept: (event) => {
        if (event.kind === 'step') this.#ranks.add(event, nowMs);
        onKept?.(event);
      },
      ...(missing && { missing }),
    });
    this.#events.open();
  }

  /** The last step that is recorded, of a run that goes on. Throws what the file system says. */
  get recordedStep(): number {
    return lastRecordedStep(join(this.#folder, 'metrics.jsonl'));
  }

  /** Has all that was recorded so far in the file. */
  flushRecords(): void {
    this.#events.flush(this.#clock.now());
  }

  /** Has all that was recorded so far on the disk. Rejects with what the file system says. */
  async syncRecords(): Promise<void> {
    this.flushRecords();
    const file = await open(join(this.#folder, 'metrics.jsonl'), 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** A checkpoint could not be written. */
  checkpointFailed(reason: string, consequence: string): void {
    this.#failures.tell(CHECKPOINTS_NAME, reason, consequence);
  }

  /** One could. */
  checkpointSaved(): void {
    this.#failures.forget(CHECKPOINTS_NAME);
  }

  /** Where the files are: the folder that was asked for, unless that went away and stays so. */
  get folder(): string {
    return this.#folder;
  }

  /** Where the model is, once it is written, to run it or to go on from it. */
  get modelFile(): string {
    return join(this.#modelFolder ?? this.#folder, 'model.onnx');
  }

  #reasonOf(error: unknown): string {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const { folder } = this;
    if (code === 'EEXIST') return foundThere(folder);
    if (code === 'ENOTDIR')
      return `part of the path ${folder} is a file. Choose another --out-dir.`;
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      return `${folder} may not be made (${code}). Choose another --out-dir.`;
    return `${messageOf(error)}. Choose another --out-dir.`;
  }

  /** Leaves no trace: for a run that was refused before it began. One that was there stays. */
  discard(): void {
    this.#end();
    this.#lock.release();
    if (this.#resumes) return;
    this.#events.close(this.#clock.now());
    rmSync(this.#folder, { recursive: true, force: true });
    try {
      for (const parent of this.#parents.toReversed()) rmdirSync(parent);
    } catch {
      // Somebody else has put something there in the meantime: it stays.
    }
  }

  /** `onFailed` is told of every file that cannot be written, once the run has begun. */
  reportTo(onFailed: (event: FileFailed) => void): void {
    this.#failures.reportTo(onFailed);
  }

  /** Log file of a local worker. */
  logPath(rank: number): string {
    return join(this.#folder, 'logs', `rank_${rank}.log`);
  }

  /** Throws FILE_FAILED, as the next two do: the run has not begun. */
  writeConfig(config: TrainConfig): void {
    this.#writeBefore('config.yaml', [Buffer.from(toYaml(config))]);
  }

  writeStepModel(bytes: Uint8Array): void {
    this.#writeBefore('step.onnx', [bytes]);
  }

  /** What the tokens of a language model stand for. */
  writeTokens(table: TokenTable): void {
    this.#writeBefore('tokens.json', [Buffer.from(`${JSON.stringify(table)}\n`)]);
  }

  #writeBefore(name: string, parts: readonly Uint8Array[]): void {
    writeWhole(join(this.#folder, name), parts);
    this.#wholeFiles.set(name, parts);
  }

  /** Appends an event with its time to `metrics.jsonl`. */
  onEvent(event: RunEvent): void {
    if (this.#isOver || event.kind === 'progress') return;
    if (event.kind === 'run-started') this.#lookAgain();
    const nowMs = this.#clock.now();
    const line = `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
    // What is rare may be the last for a long time, e.g. that the run waits: it is written at once.
    const isFrequent = event.kind === 'step' || event.kind === 'gradient-norms';
    this.#events.add(line, nowMs, isFrequent ? 'soon' : 'now');
    if (event.kind === 'step') this.#ranks.add(event, nowMs);
    this.#tellOfRecords();
  }

  /**
   * Writes the trained model, with which one can go on here or elsewhere: into the folder of the
   * run, or where there is room. Throws FILE_FAILED when no place takes any of its files.
   */
  writeModel(files: readonly ModelFile[]): void {
    this.#putBack();
    this.#modelNames = files.map(({ name }) => name);
    const save = ({ name, encode }: ModelFile): LockstepError | undefined =>
      this.#failures.attempt(name, () => this.#writeOrShelter(name, encode()));
    const errors = files.flatMap((file) => save(file) ?? []);
    if (errors.length === files.length && errors[0] !== undefined) throw errors[0];
  }

  /** Removes the model that was written last. */
  removeModel(): void {
    const folder = this.#modelFolder ?? this.#folder;
    for (const name of this.#modelNames) rmSync(join(folder, name), { force: true });
    this.#modelNames = [];
  }

  /** Whether the files of the model that was written last are there. */
  get hasModel(): boolean {
    const folder = this.#modelFolder ?? this.#folder;
    const names = this.#modelNames;
    return names.length > 0 && names.every((name) => existsSync(join(folder, name)));
  }

  #writeOrShelter(name: string, parts: readonly Uint8Array[]): void {
    try {
      writeWhole(join(this.#folder, name), parts);
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      const folder = this.#shelterModel(name, parts, error);
      this.#failures.tell(name, reasonOf(error), `it is in ${placeText(folder)}`);
    }
  }

  #shelterModel(name: string, parts: readonly Uint8Array[], error: LockstepError): string {
    try {
      const folder = this.#shelter.first((place) => writeWhole(join(place, name), parts));
      this.#modelFolder ??= folder;
      for (const [other, content] of this.#wholeFiles)
        this.#failures.attempt(other, () => writeWhole(join(folder, other), content));
      return folder;
    } catch (otherError) {
      const message = `${error.message} Elsewhere: ${reasonOf(otherError)}.`;
      throw new LockstepError('FILE_FAILED', message, error.context, { cause: otherError });
    }
  }

  /**
   * Writes what is left of the metrics, then `summary.json`, and closes everything. Gives the
   * summary with what could not be written.
   */
  finish(summary: RunSummary): RunSummary {
    this.#putBack();
    this.#end();
    this.#events.close(this.#clock.now());
    this.#ranks.close(this.#clock.now());
    const [events, ranks] = [this.#events, this.#ranks];
    this.#failures.settle('metrics.jsonl', events.failure, events.missingCount);
    this.#failures.settle(RANK_FILES, ranks.failure, ranks.missingCount);
    const folders = new Set([this.#folder, this.#modelFolder ?? this.#folder]);
    for (const folder of folders)
      this.#failures.attempt('summary.json', () => {
        const text = `${JSON.stringify(this.#complete(summary), null, 2)}\n`;
        writeWhole(join(folder, 'summary.json'), [Buffer.from(text)]);
      });
    this.#lock.release();
    return this.#complete(summary);
  }

  #complete(summary: RunSummary): RunSummary {
    return {
      ...summary,
      folder: this.#folder,
      ...(this.#modelFolder !== undefined && { modelFolder: this.#modelFolder }),
      ...this.#failures.ofSummary(),
    };
  }

  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #lookAgain(): void {
    this.#timer = this.#clock.after(LOOK_MS, () => {
      this.#putBack();
      this.#lock.touch();
      this.#lookAgain();
    });
  }

  /** If the folder was moved or deleted: makes it again, or else another, with all that it held. */
  #putBack(): void {
    if (this.#events.isInPlace && this.#ranks.isInPlace) return;
    const reason = 'it was moved or deleted';
    try {
      this.#fill(this.#asked);
      this.#failures.tell(
        this.#asked,
        reason,
        'it was made again, without what workers logged before',
      );
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      this.#moveOut(`${reason}, and cannot be made again: ${reasonOf(error)}`);
    }
  }

  #moveOut(reason: string): void {
    try {
      const folder = this.#shelter.first((place) => this.#fill(place));
      this.#failures.tell(this.#asked, reason, `the run goes on in ${placeText(folder)}`);
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error;
      // The same words each time: it is tried again at every look, and told once.
      this.#failures.tell(
        this.#asked,
        `${reason}; ${reasonOf(error)}`,
        'nothing is recorded any more',
      );
    }
  }

  /** Writes all that there is so far into `folder`, where the run goes on. Throws FILE_FAILED. */
  #fill(folder: string): void {
    const logs = join(folder, 'logs');
    try {
      makeFolders(logs);
    } catch (error) {
      throw fileError(logs, error);
    }
    for (const [name, parts] of this.#wholeFiles) writeWhole(join(folder, name), parts);
    this.#events.moveTo(join(folder, 'metrics.jsonl'));
    this.#ranks.moveTo(logs);
    this.#folder = folder;
  }

  #tellOfRecords(): void {
    const waiting = `records wait for room, up to ${MAX_WAITING_BYTES >> 20} MiB of them`;
    const { failure: ofEvents } = this.#events;
    if (ofEvents !== undefined) this.#failures.tell('metrics.jsonl', reasonOf(ofEvents), waiting);
    const { failure: ofRanks } = this.#ranks;
    if (ofRanks !== undefined)
      this.#failures.tell(RANK_FILES, reasonOf(ofRanks), `${waiting} for each`);
  }
}

/**
 * Makes `path` and what is missing above it; gives what was made, outermost first.
 * One folder at a time: Node.js 20's own recursive `mkdir` never returns where nothing can be made,
 * as in /proc.
 */
export function makeFolders(path: string): string[] {
  const folder = resolve(path);
  if (existsSync(folder)) return [];
  const above = makeFolders(dirname(folder));
  try {
    mkdirSync(folder);
    return [...above, folder];
  } catch (error) {
    // Another run may have made it just now.
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return above;
    throw error;
  }
}
