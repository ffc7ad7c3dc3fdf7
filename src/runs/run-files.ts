/**
 * The files of a run, in `<out-dir>/<name>/`: written as it goes, so that a crash leaves what was
 * true until then.
 */
import { existsSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { ConfigError, messageOf } from '../base/errors.ts';
import { encodeSafetensors } from '../checkpoint/safetensors.ts';
import { toYaml } from '../config/to-yaml.ts';
import type { TrainConfig } from '../config/train-config.ts';
import type { TokenTable } from '../data/token-table.ts';
import { encodeGraphParts } from '../graph/file/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { EventSink } from '../metrics/event-sink.ts';
import type { RunEvent } from '../metrics/events.ts';
import type { Model } from '../models/model.ts';
import { makeInferenceFile } from '../models/step-graphs.ts';
import { RankMetrics } from './rank-metrics.ts';
import { GrowingFile, writeWhole } from './run-file.ts';
import type { RunSummary } from './run-summary.ts';

/**
 * Steps are written in batches of about this size: a crash loses less than a second of them, not
 * the file.
 */
const FLUSH_BYTES = 16 << 10;
const FLUSH_MS = 500;

/** The files of one run, in a folder that is made for it. */
export class RunFiles implements EventSink {
  readonly folder: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #metrics: GrowingFile;
  /** Folders above this run's that were made for it, outermost first. */
  readonly #parents: readonly string[];
  #buffer = '';
  #flushedMs = 0;
  readonly #ranks: RankMetrics;

  /** Makes the folder. Throws ConfigError when it exists already or cannot be made. */
  constructor(outDir: string, name: string, clock: Pick<Clock, 'now'> = systemClock) {
    this.#clock = clock;
    this.folder = join(outDir, name);
    this.#ranks = new RankMetrics(join(this.folder, 'logs'));
    try {
      this.#parents = makeFolders(outDir);
      mkdirSync(this.folder);
      mkdirSync(join(this.folder, 'logs'));
      this.#metrics = new GrowingFile(join(this.folder, 'metrics.jsonl'), 'a');
    } catch (error) {
      throw new ConfigError(`making the folder of the run: ${this.#reasonOf(error)}`, [], {
        cause: error,
      });
    }
  }

  #reasonOf(error: unknown): string {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const { folder } = this;
    if (code === 'EEXIST') return `${folder} exists already. Choose another --name.`;
    if (code === 'ENOTDIR')
      return `part of the path ${folder} is a file. Choose another --out-dir.`;
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      return `${folder} may not be made (${code}). Choose another --out-dir.`;
    return `${messageOf(error)}. Choose another --out-dir.`;
  }

  /** Leaves no trace: for a run that was refused before it began. */
  discard(): void {
    this.#metrics.close();
    rmSync(this.folder, { recursive: true, force: true });
    try {
      for (const parent of this.#parents.toReversed()) rmdirSync(parent);
    } catch {
      // Somebody else has put something there in the meantime: it stays.
    }
  }

  /** Log file of a local worker. */
  logPath(rank: number): string {
    return join(this.folder, 'logs', `rank_${rank}.log`);
  }

  writeConfig(config: TrainConfig): void {
    this.#writeWhole('config.yaml', toYaml(config));
  }

  writeStepModel(bytes: Uint8Array): void {
    this.#writeWhole('step.onnx', [bytes]);
  }

  /** What the tokens of a language model stand for. */
  writeTokens(table: TokenTable): void {
    this.#writeWhole('tokens.json', `${JSON.stringify(table)}\n`);
  }

  /** Appends an event with its time to `metrics.jsonl`. Throws FILE_FAILED. */
  onEvent(event: RunEvent): void {
    const nowMs = this.#clock.now();
    this.#buffer += `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
    this.#ranks.onEvent(event);
    // What is rare may be the last for a long time, e.g. that the run waits: it is written at once.
    const isFrequent = event.kind === 'step' || event.kind === 'gradient-norms';
    const isDue = this.#buffer.length > FLUSH_BYTES || nowMs - this.#flushedMs > FLUSH_MS;
    if (isDue || !isFrequent) this.#flush(nowMs);
  }

  /**
   * Writes the trained model: `model.onnx` to run it, `model.safetensors` to go on with it
   * elsewhere.
   */
  writeModel(
    model: Model,
    weights: Float32Array,
    metadata: Readonly<Record<string, string>>,
  ): void {
    const parameters = new Map<string, Float32Array>();
    let offset = 0;
    for (const { name, length } of makeArenaLayout(model.parameters).tensors) {
      parameters.set(name, weights.subarray(offset, offset + length));
      offset += length;
    }
    this.#writeWhole('model.onnx', encodeGraphParts(makeInferenceFile(model, parameters)));
    const tensors = model.parameters.map(({ name, shape }) => ({
      name,
      shape,
      data: parameters.get(name) ?? new Float32Array(0),
    }));
    this.#writeWhole('model.safetensors', encodeSafetensors(tensors, metadata));
  }

  /**
   * Writes what is left of the metrics, then `summary.json`, and closes everything. When something
   * cannot be written it throws FILE_FAILED; the summary of a run that did not finish is tried all
   * the same.
   */
  finish(summary: RunSummary): void {
    const failures: unknown[] = [];
    const attempt = (write: () => void): void => {
      try {
        write();
      } catch (error) {
        failures.push(error);
      }
    };
    attempt(() => this.#flush(this.#clock.now()));
    attempt(() => this.#ranks.close());
    const isToBeToldAgain = failures.length > 0 && summary.status === 'finished';
    if (!isToBeToldAgain)
      attempt(() => this.#writeWhole('summary.json', `${JSON.stringify(summary, null, 2)}\n`));
    // A run that cannot be recorded has failed, and ends here once more.
    if (!isToBeToldAgain) this.#metrics.close();
    if (failures.length > 0) throw failures[0];
  }

  #flush(nowMs: number): void {
    if (this.#buffer.length > 0) this.#metrics.write(this.#buffer);
    this.#buffer = '';
    this.#flushedMs = nowMs;
  }

  #writeWhole(name: string, content: string | readonly Uint8Array[]): void {
    writeWhole(
      join(this.folder, name),
      typeof content === 'string' ? [Buffer.from(content)] : content,
    );
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
