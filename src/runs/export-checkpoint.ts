/** A checkpoint's model as a file for other programs. */
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import { ConfigError } from '../base/errors.ts';
import { encodeSafetensors } from '../checkpoint/safetensors.ts';
import { resumedConfig } from '../config/resumed-config.ts';
import type { DataPlaces } from '../data/dataset.ts';
import { encodeNpz } from '../data/formats/write-npz.ts';
import { planRun } from '../job/plan-run.ts';
import { parameterCountOf } from '../models/model.ts';
import { namedTensors } from './checkpoint-state.ts';
import { modelFiles } from './model-files.ts';
import { planAt, type ResumePoint, stateAt } from './resume-point.ts';
import { writeWhole } from './run-file.ts';

/** The endings of files that a checkpoint can be written as. */
const EXPORT_ENDINGS: readonly string[] = ['.onnx', '.safetensors', '.npz'];

/** Which checkpoint goes where. */
export interface ExportOptions {
  readonly point: ResumePoint;
  readonly file: string;
  /** For a model file, which says what its samples are: from the data. */
  readonly places: DataPlaces;
  readonly onNote: (note: string) => void;
}

/**
 * Writes the weights of a checkpoint: `.onnx` to run them, the others to go on elsewhere.
 *
 * Throws: ConfigError for another ending or a file that is there; CHECKPOINT_INVALID; FILE_FAILED;
 *         for an `.onnx` also what planning its run throws.
 */
export async function exportCheckpoint(options: ExportOptions): Promise<void> {
  const { point, file } = options;
  const ending = extname(file);
  if (!EXPORT_ENDINGS.includes(ending))
    throw new ConfigError(`${file}: expected a file that ends in ${EXPORT_ENDINGS.join(', ')}`);
  if (existsSync(file)) throw new ConfigError(`${file} exists already. Choose another name.`);
  const plan = await planAt(point);
  const state = await stateAt(point, plan);
  const weights = namedTensors(plan, state).slice(0, plan.job.parameters.length);
  const { run, step, stateDigest } = point.manifest;
  const facts = { run, step: String(step), stateDigest };
  if (ending === '.safetensors') return writeWhole(file, encodeSafetensors(weights, facts));
  if (ending === '.npz') return writeWhole(file, encodeNpz(weights));
  writeWhole(file, await onnxParts(options, state, facts));
}

async function onnxParts(
  { point, places, onNote }: ExportOptions,
  state: Uint8Array,
  facts: Readonly<Record<string, string>>,
): Promise<readonly Uint8Array[]> {
  const { manifest, outDir, name, checkpoint } = point;
  const place = join(outDir, name, checkpoint);
  const given = { sources: [], flags: {}, isForOthers: false };
  const { config } = resumedConfig({ ...given, recorded: manifest.config, place });
  const quiet = { isOnCpu: true, onNote, onPhase: () => {} };
  const { planned } = await planRun({ config, name, places, ...quiet });
  const { model, form } = planned;
  const weights = new Float32Array(state.buffer, state.byteOffset, parameterCountOf(model));
  const { files } = modelFiles({ model, weights, form, loss: config.loss, facts });
  return files.find((one) => one.name === 'model.onnx')?.encode() ?? [];
}
