/** The model that a configuration asks for: one of ours by name, or the user's own file. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { ConfigError, GraphError, LockstepError, messageOf } from '../base/errors.ts';
import type { TrainConfig } from '../config/train-config.ts';
import { AS_STORED, type Dataset } from '../data/dataset.ts';
import { decodeGraphFile } from '../graph/file/decode.ts';
import type { GraphFile } from '../graph/types.ts';
import { importModel } from '../models/imported/imported.ts';
import { type BareNetwork, withoutPreamble } from '../models/preamble.ts';
import { architectureOf } from '../models/architecture-settings.ts';
import type { Model, ModelTask } from '../models/model.ts';
import { makeModel } from '../models/models.ts';

/**
 * Protobuf, in which ONNX files are written, ends at 2 GiB; so does what one array of bytes can
 * hold here.
 */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** A network as it lies in a file. */
export interface ModelFile {
  /** Without the preamble that a `model.onnx` of Lockstep begins with. */
  readonly graph: GraphFile;
  readonly preamble?: BareNetwork['preamble'];
  /** The name that the graph has in the file. */
  readonly graphName: string;
  /** What the file says of itself. */
  readonly metadata?: ReadonlyMap<string, string>;
  readonly bytes: Uint8Array;
  /** SHA-256 (hex) of the bytes. */
  readonly sha256: string;
}

/** A model, and of one from a file what names the file for good. */
export interface ChosenModel {
  readonly model: Model;
  readonly sha256?: string;
  /** What is worth knowing about the file. */
  readonly notes?: readonly string[];
}

/**
 * The model of a configuration for a task.
 *
 * Throws: ConfigError for a file that cannot be read or a setting that does not fit; GraphError or
 *         ShapeError for a network that cannot be trained, or not on such data.
 */
export function chooseModel(config: TrainConfig, task: ModelTask & Partial<Dataset>): ChosenModel {
  if (!isModelFile(config.model)) {
    if (/[./\\]/.test(config.model)) throw notOnnx(config.model);
    return { model: makeModel(config.model, task, architectureOf(config)) };
  }
  const file = readModelFile(config.model);
  const { graph, sha256 } = file;
  const { freeze, loss } = config;
  const hasBinaryTargets = task.y?.every((value) => value === 0 || value === 1) ?? false;
  const model = importModel(graph, task, { freeze, loss, hasBinaryTargets });
  return { model, sha256, notes: [...model.notes, ...notesOnScaling(file, task)] };
}

function notesOnScaling(
  { preamble, metadata }: ModelFile,
  { normalisation }: Partial<Dataset>,
): readonly string[] {
  // A file of ours without a preamble was trained on what the data held.
  const before = preamble?.normalisation ?? (metadata?.has('input') ? AS_STORED : normalisation);
  const isSame =
    before?.scale.join() === normalisation?.scale.join() &&
    before?.shift.join() === normalisation?.shift.join();
  if (isSame) return [];
  return [
    'it was trained on features that were scaled otherwise; from here on they are scaled as these ' +
      'data ask for',
  ];
}

function notOnnx(path: string): ConfigError {
  const expected = 'a path that ends in .onnx';
  return new ConfigError(
    `model: expected ${expected}, got ${path}. Export the network with torch.onnx.export; for ` +
      'the models that have a name see --help.',
    [{ path: 'model', expected, got: path }],
  );
}

/** Whether `model` means a file. */
function isModelFile(model: string): boolean {
  return model.toLowerCase().endsWith('.onnx');
}

/**
 * Reads the network in an `.onnx` file, which is called by the file's name from here on.
 *
 * Throws: ConfigError when there is no such file; GraphError when it is too large or not a network
 *         that we know.
 */
export function readModelFile(path: string): ModelFile {
  const bytes = readBytes(path);
  const { name: graphName, ...content } = decoded(path, bytes);
  const file = { ...content, name: basename(path) };
  const { file: graph, ...preamble } = withoutPreamble(file);
  return {
    graph,
    ...preamble,
    graphName,
    bytes,
    ...(file.metadata && { metadata: file.metadata }),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

function decoded(path: string, bytes: Uint8Array): GraphFile {
  try {
    return decodeGraphFile(bytes);
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error;
    throw new GraphError(`model ${path}: ${error.message}`, error.context, { cause: error });
  }
}

function readBytes(path: string): Uint8Array {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const stats = fstatSync(file);
    if (!stats.isFile())
      throw new ConfigError(`model ${path}: expected a file, got something else`);
    if (stats.size > MAX_FILE_BYTES) {
      throw new GraphError(`model ${path}: expected at most 2 GiB, got ${stats.size} bytes`, {
        bytes: stats.size,
      });
    }
    return readFileSync(file);
  } catch (error) {
    if (error instanceof ConfigError || error instanceof GraphError) throw error;
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? 'there is no such file' : messageOf(error);
    throw new ConfigError(
      `model ${path}: ${reason}`,
      [{ path: 'model', expected: 'the path of an .onnx file', got: path }],
      { cause: error },
    );
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
