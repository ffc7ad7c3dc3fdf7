/** A `model.onnx` that a run has written, ready to run on the CPU. */
import { GraphError, messageOf, RuntimeError } from '../base/errors.ts';
import { isStatic, staticElementCount } from '../graph/values/shape.ts';
import { type ModelFile, readModelFile } from '../job/model-source.ts';
import { onnxRuntime } from '../runtime/onnx-runtime.ts';
import { createSession } from '../runtime/session.ts';
import { type ModelDescription, parseDescription } from './model-description.ts';

/** What a model puts out for some samples. */
interface Scores {
  /** Row-major, of `shape`. */
  readonly scores: Float32Array;
  readonly shape: readonly number[];
}

/** Samples in the type that the model's input has, one after the other. */
type InputValues = Uint8Array | Float32Array | Int32Array | BigInt64Array;

/** A model from a file. */
export interface SavedModel {
  readonly description: ModelDescription;
  /** Shape of one sample. */
  readonly features: readonly number[];
  /**
   * Runs it over `count` samples, a batch at a time. Throws: RuntimeError when ONNX Runtime fails,
   * as for an unknown token.
   */
  readonly run: (values: InputValues, count: number) => Promise<Scores>;
  readonly close: () => Promise<void>;
}

/**
 * Opens the model in a file, which may have been read already.
 *
 * Throws: ConfigError when there is no such file; GraphError for one that says nothing of its
 *         input; RuntimeError when ONNX Runtime cannot load it.
 */
export async function openSavedModel(
  file: string,
  read: ModelFile = readModelFile(file),
): Promise<SavedModel> {
  const { metadata, graph, bytes } = read;
  const description = parseDescription(metadata, file);
  const features = description?.input.shape.slice(1) ?? [];
  if (description === undefined || !isStatic(features))
    throw new GraphError(
      `loading ${file}: expected a model.onnx as \`lockstep train\` writes it, whose metadata say ` +
        'what it takes; they do not',
      { file },
    );
  const session = await createSession(bytes, file, 'cpu');
  const size = staticElementCount(features);
  const given = (graph.outputs[0]?.shape ?? [])
    .slice(1)
    .filter((known) => typeof known === 'number');
  const batch = batchOf(size, staticElementCount(given));
  return {
    description,
    features,
    run: async (values, count) => {
      const parts: Scores[] = [];
      for (let start = 0; start < count; start += batch) {
        const end = Math.min(start + batch, count);
        const part = values.slice(start * size, end * size);
        parts.push(await runBatch(session, file, description, part, [end - start, ...features]));
      }
      return joined(parts, count);
    },
    close: () => session.release(),
  };
}

/** Elements that go in or come out at once; layers in between are of about that size, too. */
const BATCH_ELEMENTS = 1 << 20;
const MAX_BATCH = 256;

function batchOf(...sizes: readonly number[]): number {
  return Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_ELEMENTS / Math.max(...sizes))));
}

/** Its errors reach the caller; ONNX Runtime is not to print them, too. */
const QUIET = { logSeverityLevel: 4 } as const;

type Session = Awaited<ReturnType<typeof createSession>>;

async function runBatch(
  session: Session,
  file: string,
  { input, output }: ModelDescription,
  values: InputValues,
  shape: readonly number[],
): Promise<Scores> {
  const { Tensor } = onnxRuntime();
  try {
    const feeds = { [input.name]: new Tensor(input.type, values, shape) };
    const result = (await session.run(feeds, QUIET))[output.name];
    if (result?.data instanceof Float32Array) return { scores: result.data, shape: result.dims };
    throw new RuntimeError(`expected float32 as output, got ${result?.type}`);
  } catch (error) {
    throw new RuntimeError(`running ${file}: ${messageOf(error)}`, {}, { cause: error });
  }
}

function joined(parts: readonly Scores[], count: number): Scores {
  const scores = new Float32Array(parts.reduce((sum, part) => sum + part.scores.length, 0));
  let offset = 0;
  for (const part of parts) {
    scores.set(part.scores, offset);
    offset += part.scores.length;
  }
  return { scores, shape: [count, ...(parts[0]?.shape ?? []).slice(1)] };
}
