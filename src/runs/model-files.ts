/** A trained model as files: `model.onnx` to run it, `model.safetensors` to go on elsewhere. */
import { encodeSafetensors } from '../checkpoint/safetensors.ts';
import { encodeGraphParts } from '../graph/file/encode.ts';
import { makeArenaLayout } from '../kernels/layout.ts';
import { type Model, parameterCountOf } from '../models/model.ts';
import { withPreamble } from '../models/preamble.ts';
import { makeInferenceFile } from '../models/step-graphs.ts';
import {
  type DescribedModel,
  describeModel,
  metadataOf,
  type ModelDescription,
} from './model-description.ts';

/** A file that is not written yet. */
export interface ModelFile {
  readonly name: string;
  /** Its bytes, in pieces. Throws a LockstepError when the format cannot hold them. */
  readonly encode: () => readonly Uint8Array[];
}

/** A trained model that is to be written. */
export interface TrainedWeights extends DescribedModel {
  readonly model: Model;
  /** As in an arena. */
  readonly weights: Float32Array;
  /** What the files are to say of where they come from, by name. */
  readonly facts: Readonly<Record<string, string>>;
}

/** The files of a model, and how `model.onnx` is used. */
export function modelFiles(trained: TrainedWeights): {
  readonly files: readonly ModelFile[];
  readonly description: ModelDescription;
} {
  const { model, form, facts } = trained;
  const parameters = parametersOf(trained);
  const file = withPreamble(makeInferenceFile(model, parameters), form);
  const description = describeModel(file, trained);
  const metadata = new Map([...metadataOf(description, facts), ...(file.metadata ?? [])]);
  const tensors = model.parameters.map(({ name, shape }) => ({
    name,
    shape,
    data: parameters.get(name) ?? new Float32Array(0),
  }));
  return {
    description,
    files: [
      { name: 'model.onnx', encode: () => encodeGraphParts({ ...file, metadata }) },
      { name: 'model.safetensors', encode: () => encodeSafetensors(tensors, facts) },
    ],
  };
}

function parametersOf({ model, weights }: TrainedWeights): ReadonlyMap<string, Float32Array> {
  const parameters = new Map<string, Float32Array>();
  let offset = 0;
  for (const { name, length } of makeArenaLayout(model.parameters).tensors) {
    parameters.set(name, weights.subarray(offset, offset + length));
    offset += length;
  }
  return parameters;
}

/**
 * About how many bytes the files of a model have. What is not trained, and the graph, are in the
 * compiled step as they are in `model.onnx`.
 */
export function modelFileBytes(model: Model, stepBytes: number): number {
  return 2 * 4 * parameterCountOf(model) + stepBytes;
}
