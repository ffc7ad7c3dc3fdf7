/** Files of trackers: each is begun anew, and grows with the run. */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, LockstepError, messageOf } from '../base/errors.ts';
import type { MetricPoint, RunEnd } from './metric-point.ts';
import { tensorBoardHead, tensorBoardRecord } from './tensorboard.ts';
import { WandbLog } from './wandb.ts';

/** A run whose numbers are written down. */
export interface TrackedRun {
  readonly name: string;
  readonly host: string;
  readonly startMs: number;
  readonly config: Readonly<Record<string, unknown>>;
}

/** Where numbers of a run go. Its methods throw FILE_FAILED. */
export interface Tracker {
  /** What was made: a folder. */
  readonly folder: string;
  add(point: MetricPoint): void;
  end(how: RunEnd): void;
}

/** Begins `<folder>/<run>/events.out.tfevents...`. Throws: ConfigError when it is there already. */
export function openTensorBoard(folder: string, { name, host, startMs }: TrackedRun): Tracker {
  const place = join(folder, name);
  const second = Math.floor(startMs / 1000);
  const file = new TrackerFile(place, `events.out.tfevents.${second}.${host}.0.0`);
  file.write(tensorBoardHead(startMs));
  return {
    folder: place,
    add: (point) => file.write(tensorBoardRecord(point)),
    end: () => file.close(),
  };
}

/**
 * Begins `<folder>/offline-run-.../run-....wandb`, which `wandb sync` takes. Throws: ConfigError
 * when it is there already.
 */
export function openWandb(folder: string, project: string, run: TrackedRun): Tracker {
  const { name, startMs } = run;
  const id = idOf(run);
  const time = new Date(startMs)
    .toISOString()
    .replaceAll(/[-:]|\..*$/g, '')
    .replace('T', '_');
  const place = join(folder, `offline-run-${time}-${id}`);
  const file = new TrackerFile(place, `run-${id}.wandb`);
  for (const one of ['files', 'logs']) makeFolder(join(place, one));
  const log = new WandbLog({ ...run, id, project, name });
  file.write(log.begin());
  return {
    folder: place,
    add: (point) => file.write(log.add(point)),
    end: (how) => {
      file.write(log.end(how));
      file.close();
    },
  };
}

/** Eight letters and digits that follow from the run: the same run has the same. */
function idOf({ name, startMs }: TrackedRun): string {
  const digest = createHash('sha256').update(`${name} ${startMs}`).digest();
  return digest.readBigUInt64BE(0).toString(36).padStart(8, '0').slice(-8);
}

class TrackerFile {
  readonly #path: string;
  readonly #descriptor: number;

  constructor(folder: string, name: string) {
    makeFolder(folder);
    this.#path = join(folder, name);
    try {
      this.#descriptor = openSync(this.#path, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw failed(this.#path, error);
      throw new ConfigError(
        `${this.#path} is there already: this run was exported before. Delete it, or choose ` +
          'another folder.',
      );
    }
  }

  write(bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(this.#descriptor, bytes, done);
    } catch (error) {
      throw failed(this.#path, error);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw failed(path, error);
  }
}

function failed(path: string, error: unknown): LockstepError {
  return new LockstepError('FILE_FAILED', `${path}: cannot be written: ${messageOf(error)}`);
}
