/** A trained model as files: `model.onnx` to run it, `model.safetensors` to go on elsewhere. */
import { encodeSafetensors } from '../checkpoint/safetensors.ts';
import { encodeGraphParts } from '../graph/file/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { type Model, parameterCountOf } from '../models/model.ts';
import { makeInferenceFile } from '../models/step-graphs.ts';

/** A file that is not written yet. */
export interface ModelFile {
  readonly name: string;
  /** Its bytes, in pieces. Throws a LockstepError when the format cannot hold them. */
  readonly encode: () => readonly Uint8Array[];
}

/** The files of a model whose parameters lie in `weights` as in an arena. */
export function modelFiles(
  model: Model,
  weights: Float32Array,
  metadata: Readonly<Record<string, string>>,
): readonly ModelFile[] {
  const parameters = new Map<string, Float32Array>();
  let offset = 0;
  for (const { name, length } of makeArenaLayout(model.parameters).tensors) {
    parameters.set(name, weights.subarray(offset, offset + length));
    offset += length;
  }
  const tensors = model.parameters.map(({ name, shape }) => ({
    name,
    shape,
    data: parameters.get(name) ?? new Float32Array(0),
  }));
  return [
    { name: 'model.onnx', encode: () => encodeGraphParts(makeInferenceFile(model, parameters)) },
    { name: 'model.safetensors', encode: () => encodeSafetensors(tensors, metadata) },
  ];
}

/**
 * About how many bytes the files of a model have. What is not trained, and the graph, are in the
 * compiled step as they are in `model.onnx`.
 */
export function modelFileBytes(model: Model, stepBytes: number): number {
  return 2 * 4 * parameterCountOf(model) + stepBytes;
}
