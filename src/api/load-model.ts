/** Predictions of a model that a run has trained. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, GraphError, messageOf, RuntimeError } from '../base/errors.ts';
import type { DatasetTarget } from '../data/dataset.ts';
import { formatShape, staticElementCount } from '../graph/values/shape.ts';
import type { RunSummary } from '../runs/run-summary.ts';
import { onnxRuntime } from '../runtime/onnx-runtime.ts';
import { createSession } from '../runtime/session.ts';
import { likeliestClasses } from './likeliest-classes.ts';
import {
  type InputType,
  type ModelInput,
  packSamples,
  type PackedSamples,
} from './pack-samples.ts';
import { readRun } from './read-run.ts';

/** What a model says of samples. */
export interface Prediction {
  /**
   * The likeliest class of every sample, [count], of every position of a sequence, [count, length],
   * or of every pixel, [count, height, width]. Empty for tasks without classes: regression and
   * yes-or-no answers.
   */
  readonly classes: Int32Array;
  /**
   * What the network puts out, of `shape`: for every class a score, the higher the likelier (of
   * Lockstep's own models a logit, before the softmax), or the predicted numbers.
   */
  readonly scores: Float32Array;
  /**
   * [count, classes], [count, length, classes], [count, outputs], or of a network of your own as it
   * is: for pixels [count, classes, height, width].
   */
  readonly shape: readonly number[];
}

/** A trained model, ready to run on the CPU. */
export interface TrainedModel {
  /** What a sample is mapped to. */
  readonly task: DatasetTarget['kind'];
  /** Shape of one sample, e.g. [784] or [3, 32, 32]; of a model of tokens [length]. */
  readonly features: readonly number[];
  /** What samples consist of: float32 features, or the ids of tokens, whole numbers. */
  readonly inputType: InputType;
  /**
   * Runs the model over samples, a batch at a time.
   *
   * It takes features as training saw them, normalised: normalisation is no part of model.onnx.
   * `inputs` of `loadData` gives those of the data set, its `normalise` brings others to it.
   * Throws: ConfigError for samples of another length or kind than the model takes; RuntimeError
   *         when ONNX Runtime fails, as for an unknown token, or after `close`.
   */
  readonly predict: (samples: ModelInput) => Promise<Prediction>;
  /** Frees the memory of the model. */
  readonly close: () => Promise<void>;
}

/**
 * Loads the model of a run that is over: of its last step, or of the one that its summary names as
 * `modelStep` when it did not finish.
 *
 * Throws: ConfigError when there is no such folder, or no run with a model in it; GraphError or
 *         RuntimeError when its model.onnx is none that Lockstep wrote.
 */
export async function loadModel(folder: string): Promise<TrainedModel> {
  const { task, modelFolder } = modelledOf(folder, (await readRun(folder)).summary);
  const file = join(modelFolder ?? folder, 'model.onnx');
  const session = await createSession(await readModel(file), file, 'cpu');
  const layout = await layoutOrRelease(session, file);
  const { features, type } = layout;
  let isClosed = false;
  return {
    task,
    features,
    inputType: type,
    predict: async (samples) => {
      if (isClosed) throw new RuntimeError(`predicting with ${file}: the model is closed`);
      const { scores, shape } = await scoresOf(
        session,
        layout,
        packSamples(samples, features, type),
      );
      const classes = likeliestClasses(task, scores, shape);
      return { classes, scores, shape };
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await session.release();
    },
  };
}

/** The layout of a session, which ends if it has none that we know. Throws GraphError. */
async function layoutOrRelease(session: Session, file: string): Promise<Layout> {
  try {
    return layoutOf(session, file);
  } catch (error) {
    await session.release();
    throw error;
  }
}

const HOW = { failed: 'failed', interrupted: 'was interrupted' } as const;

function modelledOf(folder: string, summary: RunSummary | undefined): RunSummary {
  if (summary?.status === 'finished' || summary?.modelStep !== undefined) return summary;
  const how =
    summary === undefined
      ? 'has not ended: it is under way, or was killed'
      : `${HOW[summary.status]} after ${summary.steps} steps`;
  const why = summary?.noModel === undefined ? '' : `: ${summary.noModel}`;
  throw new ConfigError(`loading the model of ${folder}: the run ${how}. It has no model${why}.`);
}

async function readModel(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new ConfigError(`reading the model of a run: ${messageOf(error)}`, [], { cause: error });
  }
}

type Session = Awaited<ReturnType<typeof createSession>>;

/** The one input and the one output of a model. */
interface Layout {
  readonly file: string;
  readonly input: string;
  readonly output: string;
  readonly type: InputType;
  /** Shape of one sample. */
  readonly features: readonly number[];
  /** Samples that are computed at once. */
  readonly batch: number;
}

function layoutOf({ inputMetadata, outputMetadata }: Session, file: string): Layout {
  const [input, ...moreInputs] = inputMetadata;
  const [output, ...moreOutputs] = outputMetadata;
  const isSingle = moreInputs.length === 0 && moreOutputs.length === 0;
  if (isSingle && input?.isTensor === true && output?.isTensor === true) {
    const { name, type, shape } = input;
    const features = sizesOf(shape.slice(1));
    const isFixed = features.length === shape.length - 1;
    const batch = batchOf(features, sizesOf(output.shape.slice(1)));
    if (isFixed && (type === 'float32' || type === 'int32' || type === 'int64'))
      return { file, input: name, output: output.name, type, features, batch };
  }
  const found = [...inputMetadata, ...outputMetadata].map((value) =>
    value.isTensor ? `${value.name} ${value.type} ${formatShape(value.shape)}` : value.name,
  );
  throw new GraphError(
    `loading ${file}: expected one input, float32, int32 or int64 of a fixed shape behind the ` +
      `batch, and one output; it has ${found.join(', ')}`,
  );
}

/** The sizes that are known. */
function sizesOf(shape: readonly (number | string)[]): readonly number[] {
  return shape.filter((size) => typeof size === 'number');
}

/** Elements that go in or come out at once; layers in between are of about that size, too. */
const BATCH_ELEMENTS = 1 << 20;
const MAX_BATCH = 256;

function batchOf(...shapes: readonly (readonly number[])[]): number {
  const sizes = shapes.map(staticElementCount);
  return Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_ELEMENTS / Math.max(...sizes))));
}

async function scoresOf(
  session: Session,
  layout: Layout,
  { count, values }: PackedSamples,
): Promise<Pick<Prediction, 'scores' | 'shape'>> {
  const parts: Float32Array[] = [];
  let shape: readonly number[] = [];
  for (let start = 0; start < count; start += layout.batch) {
    const batch = Math.min(layout.batch, count - start);
    const size = values.length / count;
    const part = values.slice(start * size, (start + batch) * size);
    const { data, dims } = await runBatch(session, layout, part, batch);
    parts.push(data);
    shape = [count, ...dims.slice(1)];
  }
  const scores = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    scores.set(part, offset);
    offset += part.length;
  }
  return { scores, shape };
}

/** Its errors reach the caller; ONNX Runtime is not to print them, too. */
const QUIET = { logSeverityLevel: 4 } as const;

async function runBatch(
  session: Session,
  { file, input, output, type, features }: Layout,
  values: PackedSamples['values'],
  batch: number,
): Promise<{ data: Float32Array; dims: readonly number[] }> {
  const { Tensor } = onnxRuntime();
  try {
    const feeds = { [input]: new Tensor(type, values, [batch, ...features]) };
    const result = (await session.run(feeds, QUIET))[output];
    if (result?.data instanceof Float32Array) return { data: result.data, dims: result.dims };
    throw new RuntimeError(`expected float32 as output, got ${result?.type}`);
  } catch (error) {
    throw new RuntimeError(`running ${file}: ${messageOf(error)}`, {}, { cause: error });
  }
}
