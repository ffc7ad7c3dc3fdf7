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
   * there are. Throws: DataError for a line that is none of Lockstep's.
   */
  readonly events: () => AsyncGenerator<LoggedEvent, void>;
}

/**
 * Reads the folder of a run, of this program or of `lockstep train`.
 *
 * Throws: ConfigError when there is no such folder, or no run in it; DataError when a file of it is
 *         damaged.
 */
export async function readRun(folder: string): Promise<RunRecord> {
  const stats = await stat(folder).catch(() => undefined);
  if (stats?.isDirectory() !== true)
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

async function* readEvents(file: string): AsyncGenerator<LoggedEvent, void> {
  let [rest, line] = ['', 0];
  for await (const chunk of createReadStream(file, 'utf8')) {
    const lines = `${rest}${chunk}`.split('\n');
    // What has no end yet is just being written.
    rest = lines.pop() ?? '';
    for (const text of lines) yield parseEvent(text, `${file}:${++line}`);
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
    throw new DataError(`reading ${where}: ${messageOf(error)}`, {}, { cause: error });
  }
  throw new DataError(`reading ${where}: expected a JSON object`);
}

/** The text of a file; undefined when there is none. */
async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new DataError(`reading ${file}: ${messageOf(error)}`, {}, { cause: error });
  }
}
