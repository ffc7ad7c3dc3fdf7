/** The records of a run that goes on from a checkpoint. */
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import type { RunEvent } from '../metrics/events.ts';
import { fileError, GrowingFile } from './run-file.ts';

/** Where the run goes on. */
export interface GoingOn {
  readonly step: number;
  readonly evaluatedStep: number;
}

/** What is done with the records of a run that goes on. */
export interface RecordHandlers {
  /** Hears of every event that stays, and of those that are put in. */
  readonly onKept?: (event: RunEvent) => void;
  /**
   * What counts and was not recorded any more, of the steps after `lastStep`: it comes behind the
   * others. Nothing if absent.
   */
  readonly missing?: (lastStep: number) => readonly RunEvent[];
}

/** What is told again, since it is computed again. */
function isRepeated(event: RunEvent, { step, evaluatedStep }: GoingOn): boolean {
  switch (event.kind) {
    case 'step':
    case 'gradient-norms':
    case 'diverged':
    case 'checkpoint-written':
      return event.step > step;
    case 'evaluation':
      return event.step > evaluatedStep;
    default:
      return false;
  }
}

/**
 * Takes out of `metrics.jsonl` what will be told again, and half a line at its end; nothing else is
 * changed, but for what is put in. Throws FILE_FAILED.
 */
export async function trimRecords(
  path: string,
  going: GoingOn,
  { onKept = () => {}, missing = () => [] }: RecordHandlers = {},
): Promise<void> {
  if (!existsSync(path)) return;
  const partial = `${path}.partial`;
  try {
    rmSync(partial, { force: true });
    const file = new GrowingFile(partial, 'w');
    try {
      let lastStep = 0;
      const lines = createInterface({ input: createReadStream(path, 'utf8') });
      for await (const line of lines) {
        const event = eventIn(line);
        if (event === undefined || isRepeated(event, going)) continue;
        if (event.kind === 'step') lastStep = event.step;
        onKept(event);
        file.write(`${line.trim()}\n`);
      }
      for (const event of missing(lastStep)) {
        onKept(event);
        file.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
      }
    } finally {
      file.close();
    }
    const descriptor = openSync(partial, 'r+');
    fsyncSync(descriptor);
    closeSync(descriptor);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw fileError(path, error);
  }
}

/** So much of the end of a file has a step in it, if there is one. */
const TAIL_BYTES = 1 << 20;

/** The last step in `metrics.jsonl`; 0 if there is none. Throws what the file system says. */
export function lastRecordedStep(path: string): number {
  if (!existsSync(path)) return 0;
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    const events = buffer.toString('utf8', 0, length).split('\n').map(eventIn);
    return events.findLast((event) => event?.kind === 'step')?.step ?? 0;
  } finally {
    closeSync(descriptor);
  }
}

function eventIn(line: string): RunEvent | undefined {
  try {
    return JSON.parse(line) as RunEvent;
  } catch {
    // Half a line, as a full disk leaves it.
    return undefined;
  }
}
