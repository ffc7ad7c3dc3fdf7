/** The records of a run that goes on from a checkpoint. */
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import type { RunEvent, StepCommitted } from '../metrics/events.ts';
import { fileError, GrowingFile } from './run-file.ts';

/** Where the run goes on. */
export interface GoingOn {
  readonly step: number;
  readonly evaluatedStep: number;
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
 * changed. Hands every step that stays to `onStep`. Throws FILE_FAILED.
 */
export async function trimRecords(
  path: string,
  going: GoingOn,
  onStep: (step: StepCommitted) => void,
): Promise<void> {
  if (!existsSync(path)) return;
  const partial = `${path}.partial`;
  try {
    rmSync(partial, { force: true });
    const file = new GrowingFile(partial, 'w');
    try {
      const lines = createInterface({ input: createReadStream(path, 'utf8') });
      for await (const line of lines) {
        const event = eventIn(line);
        if (event === undefined || isRepeated(event, going)) continue;
        if (event.kind === 'step') onStep(event);
        file.write(`${line.trim()}\n`);
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

function eventIn(line: string): RunEvent | undefined {
  try {
    return JSON.parse(line) as RunEvent;
  } catch {
    // Half a line, as a full disk leaves it.
    return undefined;
  }
}
