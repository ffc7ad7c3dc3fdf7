/** The files of a run, in `<out-dir>/<name>/`: written as it goes, so that a crash leaves what was true until then. */
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, messageOf } from '../base/errors.ts';
import { encodeSafetensors } from '../checkpoint/safetensors.ts';
import { toYaml } from '../config/to-yaml.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { encodeGraph } from '../graph/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import type { RunEvent, StepCommitted } from '../metrics/events.ts';
import type { Model } from '../models/model.ts';
import { makeInferenceGraph } from '../models/step-graphs.ts';
import type { RunSummary } from './run-summary.ts';

/** Events are written in batches of about this size: a crash loses less than a second of them, not the file. */
const FLUSH_BYTES = 16 << 10;
const FLUSH_MS = 500;

/** A JSON array written as it grows. */
class RankMetrics {
  readonly #file: number;
  #buffer = '[';
  #isFirst = true;

  constructor(path: string) {
    this.#file = openSync(path, 'w');
  }

  add(record: object): void {
    this.#buffer += `${this.#isFirst ? '' : ','}\n${JSON.stringify(record)}`;
    this.#isFirst = false;
    if (this.#buffer.length > FLUSH_BYTES) this.#flush();
  }

  close(): void {
    this.#buffer += '\n]\n';
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeSync(this.#file, this.#buffer);
    this.#buffer = '';
  }
}

export class RunFiles {
  readonly folder: string;
  readonly #metrics: number;
  #buffer = '';
  #flushedMs = 0;
  readonly #rankMetrics = new Map<number, RankMetrics>();

  /** Makes the folder. Throws ConfigError when it exists already or cannot be made. */
  constructor(outDir: string, name: string) {
    this.folder = join(outDir, name);
    try {
      mkdirSync(outDir, { recursive: true });
      mkdirSync(this.folder);
      mkdirSync(join(this.folder, 'logs'));
      this.#metrics = openSync(join(this.folder, 'metrics.jsonl'), 'a');
    } catch (error) {
      const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
      const remedy = isThere ? `${this.folder} exists already. Choose another --name.` : messageOf(error);
      throw new ConfigError(`making the folder of the run: ${remedy}`, [], { cause: error });
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
    this.#writeWhole('step.onnx', bytes);
  }

  /** Appends an event with its time to `metrics.jsonl`. */
  event(event: RunEvent, nowMs: number): void {
    this.#buffer += `${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`;
    if (event.kind === 'step') this.#recordRanks(event);
    if (this.#buffer.length > FLUSH_BYTES || nowMs - this.#flushedMs > FLUSH_MS) this.#flush(nowMs);
  }

  /** Writes the trained model: `model.onnx` to run it, `model.safetensors` to go on with it elsewhere. */
  writeModel(model: Model, weights: Float32Array, metadata: Readonly<Record<string, string>>): void {
    const parameters = new Map<string, Float32Array>();
    let offset = 0;
    for (const { name, length } of makeArenaLayout(model.parameters).tensors) {
      parameters.set(name, weights.slice(offset, offset + length));
      offset += length;
    }
    this.#writeWhole('model.onnx', encodeGraph(makeInferenceGraph(model, parameters)));
    const tensors = model.parameters.map(({ name, shape }) => ({
      name,
      shape,
      data: parameters.get(name) ?? new Float32Array(0),
    }));
    this.#writeWhole('model.safetensors', encodeSafetensors(tensors, metadata));
  }

  /** Writes `summary.json` and the per-rank metrics, and closes everything. */
  finish(summary: RunSummary, nowMs: number): void {
    for (const metrics of this.#rankMetrics.values()) metrics.close();
    this.#writeWhole('summary.json', `${JSON.stringify(summary, null, 2)}\n`);
    this.#flush(nowMs);
    closeSync(this.#metrics);
  }

  /** The heterogeneous trainer's record of an iteration. Its phases that one compiled step cannot tell apart are null. */
  #recordRanks(event: StepCommitted): void {
    for (const [rank, samples] of Object.entries(event.samplesByRank)) {
      const metrics =
        this.#rankMetrics.get(Number(rank)) ??
        new RankMetrics(join(this.folder, 'logs', `rank_${rank}_metrics.json`));
      this.#rankMetrics.set(Number(rank), metrics);
      metrics.add({
        epoch: event.epoch,
        iteration: event.step,
        loss: event.lossMean,
        throughput: (samples / event.stepMs) * 1000,
        iteration_time: event.stepMs / 1000,
        data_loading_time: null,
        forward_time: null,
        backward_time: null,
        optimizer_time: null,
        gpu_utilization: null,
        gpu_memory_percent: null,
      });
    }
  }

  #flush(nowMs: number): void {
    if (this.#buffer.length > 0) writeSync(this.#metrics, this.#buffer);
    this.#buffer = '';
    this.#flushedMs = nowMs;
  }

  /** A reader sees the whole file or none of it. */
  #writeWhole(name: string, content: string | Uint8Array): void {
    const path = join(this.folder, name);
    writeFileSync(`${path}.partial`, content);
    renameSync(`${path}.partial`, path);
  }
}
