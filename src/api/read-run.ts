/** What a run has written, read back. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, DataError, messageOf } from '../base/errors.ts';
import { parseTrainConfig } from '../config/parse-train-config.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { RunSummary } from '../runs/run-summary.ts';

/** An event with the time at which it was written down, as ISO 8601. */
export type LoggedEvent = RunEvent & { readonly time: string };

/** The files of a run, which may still be under way. */
export interface RunRecord {
  readonly folder: string;
  /** Every setting, resolved: `config.yaml`. */
  readonly config: TrainConfig;
  /** How it ended: `summary.json`. Undefined while it is under way, or when it was killed. */
  readonly summary: RunSummary | undefined;
  /**
   * Reads the events so far, in order, from `metrics.jsonl`: one after the other, however many
   * there are. Throws: DataError for a line that is none of Lockstep's, or no such file.
   */
  readonly events: () => AsyncGenerator<LoggedEvent, void>;
}

/**
 * Reads the folder of a run, of this program or of `lockstep train`.
 *
 * Throws: ConfigError when there is no such folder, no run in it, or a setting in its `config.yaml`
 *         that cannot be used; DataError when another file of it is damaged.
 */
export async function readRun(folder: string): Promise<RunRecord> {
  if (!(await isFolder(folder)))
    throw new ConfigError(`reading the run ${folder}: there is no such folder`);
  const file = join(folder, 'config.yaml');
  const text = await readText(file);
  if (text === undefined)
    throw new ConfigError(
      `reading the run ${folder}: expected the folder of a run, found no config.yaml in it`,
    );
  return {
    folder,
    config: parseTrainConfig([{ file, text }]).config,
    summary: parseSummary(
      join(folder, 'summary.json'),
      await readText(join(folder, 'summary.json')),
    ),
    events: () => readEvents(join(folder, 'metrics.jsonl')),
  };
}

/** Throws ConfigError when the file system does not say what is there. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw new ConfigError(`reading the run ${path}: ${messageOf(error)}`, [], { cause: error });
  }
}

async function* readEvents(file: string): AsyncGenerator<LoggedEvent, void> {
  let [rest, line] = ['', 0];
  for await (const chunk of readChunks(file)) {
    const lines = `${rest}${chunk}`.split('\n');
    // What has no end yet is just being written.
    rest = lines.pop() ?? '';
    for (const text of lines) yield parseEvent(text, `${file}:${++line}`);
  }
}

async function* readChunks(file: string): AsyncGenerator<string, void> {
  try {
    for await (const chunk of createReadStream(file, 'utf8')) yield String(chunk);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function parseEvent(text: string, where: string): LoggedEvent {
  const event = parseObject(text, where);
  if (typeof event['kind'] !== 'string' || typeof event['time'] !== 'string')
    throw new DataError(`reading ${where}: expected an event with kind and time`);
  return event as unknown as LoggedEvent;
}

function parseSummary(file: string, text: string | undefined): RunSummary | undefined {
  if (text === undefined) return undefined;
  const summary = parseObject(text, file);
  if (typeof summary['status'] !== 'string' || typeof summary['steps'] !== 'number')
    throw new DataError(`reading ${file}: expected the summary of a run`);
  return summary as unknown as RunSummary;
}

function parseObject(text: string, where: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null)
      return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw unreadable(where, error);
  }
  throw new DataError(`reading ${where}: expected a JSON object`);
}

/** The text of a file; undefined when there is none. */
async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): DataError {
  return new DataError(`reading ${file}: ${messageOf(error)}`, {}, { cause: error });
}

/** Whether the file system says that there is nothing of that name. */
function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
