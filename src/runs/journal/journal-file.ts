/**
 * The journal of a run, which lies beside its records as long as the run is under way. What
 * workers wait for is in it before they get it, so that a coordinator that is killed leaves it; the
 * disk has it a second later, so that a power cut takes no more. It holds the last steps only.
 */
import {
  closeSync,
  fsync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { DecidedStep } from '../../coordinator/coordinator-options.ts';
import {
  type CrewMember,
  crewLine,
  headLine,
  type JournalContent,
  type JournalHead,
  type JournalStep,
  parseJournal,
  stepLine,
  undoneLine,
} from './journal-lines.ts';

/** The file, in the folder of the run. */
export const JOURNAL_NAME = 'journal.jsonl';
/** The disk gets what is new so often. */
const SYNC_MS = 1_000;
/** Of the newest lines so many stay, in so many bytes, when there are twice as many. */
const KEPT_LINES = 4_096;
const KEPT_BYTES = 4 << 20;

/** Whom a journal tells of what. */
export interface JournalOptions {
  readonly clock: Clock;
  /** Has all records of the run in their file: older lines of the journal go. */
  readonly flushRecords: () => void;
  /** Nothing more can be written: told once. */
  readonly onFailed: (reason: string) => void;
}

/** What the coordinator of the run in a folder has left that has died; undefined if nothing. */
export function readJournal(folder: string): JournalContent | undefined {
  try {
    return parseJournal(readFileSync(join(folder, JOURNAL_NAME), 'utf8'));
  } catch {
    // There is none, as of every run that was ended in good order.
    return undefined;
  }
}

/** Writes the journal of one run. */
export class Journal {
  readonly #path: string;
  readonly #head: string;
  readonly #options: JournalOptions;
  #descriptor: number | undefined;
  /** The lines in the file, without the first; those that wait are no part of it. */
  #lines: string[] = [];
  #crew = crewLine([]);
  #bytes = 0;
  #waiting: string[] = [];
  #soon: NodeJS.Immediate | undefined;
  #sync: Timer | undefined;
  #isSyncing = false;

  /** Begins a journal in `folder`, in place of one that is there, of which `steps` stay. */
  constructor(
    folder: string,
    head: JournalHead,
    options: JournalOptions,
    steps: Iterable<JournalStep> = [],
  ) {
    this.#path = join(folder, JOURNAL_NAME);
    this.#head = headLine(head);
    this.#options = options;
    this.#attempt(() => this.#writeAnew([...steps].map(stepLine)));
  }

  /** Writes down a step: at once, unless workers know of it already. */
  add(decided: DecidedStep): void {
    if (this.#descriptor === undefined) return;
    const line = stepLine(decided);
    // Of a step that is added up among workers it is told twice.
    if (line === (this.#waiting.at(-1) ?? this.#lines.at(-1))) return;
    this.#waiting.push(line);
    if (decided.isKnown) this.#soon ??= setImmediate(() => this.#flush());
    else this.#flush();
  }

  /** Steps were undone: what workers may still have of them does not count. */
  noteUndone(): void {
    if (this.#descriptor === undefined) return;
    this.#waiting.push(undoneLine());
    this.#flush();
  }

  /** These are the workers that the coordinator has started. */
  noteCrew(members: readonly CrewMember[]): void {
    this.#crew = crewLine(members);
    if (this.#descriptor === undefined) return;
    this.#waiting.push(this.#crew);
    this.#flush();
  }

  /** Nothing more is written; the journal stays. */
  leave(): void {
    this.#end();
  }

  /** The run has ended in good order: the journal goes. */
  close(): void {
    this.#end();
    this.#remove();
  }

  #flush(): void {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    const lines = this.#waiting.splice(0);
    const descriptor = this.#descriptor;
    if (descriptor === undefined || lines.length === 0) return;
    this.#attempt(() => {
      const text = lines.join('');
      writeSync(descriptor, text);
      this.#lines.push(...lines);
      this.#bytes += text.length;
      if (this.#lines.length > 2 * KEPT_LINES || this.#bytes > 2 * KEPT_BYTES) this.#shorten();
    });
    this.#sync ??= this.#options.clock.after(SYNC_MS, () => this.#syncNow());
  }

  /** The steps before are in the records, and not needed to go on. */
  #shorten(): void {
    this.#options.flushRecords();
    const lines = this.#lines.slice(-KEPT_LINES);
    let bytes = lines.reduce((sum, { length }) => sum + length, 0);
    while (bytes > KEPT_BYTES && lines.length > 1) bytes -= lines.shift()?.length ?? 0;
    this.#writeAnew(lines);
  }

  #writeAnew(lines: readonly string[]): void {
    const partial = `${this.#path}.partial`;
    const descriptor = openSync(partial, 'w');
    const text = lines.join('');
    try {
      writeSync(descriptor, this.#head + this.#crew + text);
      fsyncSync(descriptor);
      renameSync(partial, this.#path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    [this.#lines, this.#bytes] = [[...lines], text.length];
  }

  #syncNow(): void {
    this.#sync = undefined;
    const descriptor = this.#descriptor;
    if (descriptor === undefined || this.#isSyncing) return;
    this.#isSyncing = true;
    fsync(descriptor, (error) => {
      this.#isSyncing = false;
      // It may have been replaced meanwhile, by one that is synced.
      if (error !== null && this.#descriptor === descriptor) this.#fail(error);
    });
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Half a journal would tell of a run that has gone on since. */
  #fail(error: unknown): void {
    this.#end();
    this.#remove();
    this.#options.onFailed(messageOf(error));
  }

  #remove(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // The folder went away: that is told of its other files.
    }
  }

  #end(): void {
    clearImmediate(this.#soon);
    this.#sync?.cancel();
    if (this.#descriptor !== undefined && !this.#isSyncing) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    this.#waiting = [];
  }
}
