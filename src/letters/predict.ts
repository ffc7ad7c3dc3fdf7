/** Predictions of a model that was kept. */
import { ConfigError, DataError, LockstepError, messageOf, RuntimeError } from '../base/errors.ts';
import { readBoundedFile } from './numeric/bounded-file.ts';
import { readLettersFile } from './numeric/letters-directory.ts';
import { onnxRuntime } from '../runtime/onnx-runtime.ts';
import { createSession } from '../runtime/session.ts';

/** Classes that a model gives to the rows of a file, and how many of them are wrong. */
export interface Predictions {
  /** One class per row. */
  readonly classes: readonly number[];
  /** Share of rows that are classified wrong (0..1); undefined when the file has no classes. */
  readonly errorRate: number | undefined;
}

/** Rows per run of the session. */
const BATCH = 1024;
/** Many times what the largest network takes. */
const MAX_MODEL_BYTES: number = 256 << 20;

/**
 * Classifies every row of a file in the letters format, with or without classes.
 *
 * Throws: LockstepError when the model cannot be read or is not one from `x` [batch, features] to
 *         logits; DataError when the file does not fit it.
 */
export async function predictFile(modelPath: string, dataPath: string): Promise<Predictions> {
  const session = await loadModel(modelPath);
  const [input, output] = [session.inputMetadata[0], session.outputMetadata[0]];
  const features =
    input?.isTensor === true && input.type === 'float32' ? input.shape[1] : undefined;
  const classes = output?.isTensor === true ? output.shape[1] : undefined;
  if (
    input === undefined ||
    output === undefined ||
    typeof features !== 'number' ||
    typeof classes !== 'number'
  )
    throw new LockstepError(
      'CHECKPOINT_INVALID',
      `${modelPath}: expected a model from float32 [batch, features] to [batch, classes], ` +
        'such as `lockstep client` writes',
    );
  const options = { name: dataPath, classes, features, mayLackLabels: true };
  const { rows } = await readLettersFile(dataPath, options);
  const found: number[] = [];
  for (let from = 0; from < rows.count; from += BATCH) {
    const count = Math.min(BATCH, rows.count - from);
    const x = Float32Array.from(rows.x.subarray(from * features, (from + count) * features));
    const feeds = { [input.name]: new (onnxRuntime().Tensor)('float32', x, [count, features]) };
    const logits = (await session.run(feeds))[output.name]?.data;
    if (!(logits instanceof Float32Array))
      throw new LockstepError('CHECKPOINT_INVALID', `${modelPath}: expected float32 logits`);
    for (let row = 0; row < count; row++)
      found.push(largest(logits.subarray(row * classes, (row + 1) * classes)));
  }
  await session.release();
  const wrong = found.filter((value, row) => value !== rows.labels[row]).length;
  return { classes: found, errorRate: rows.labelled === 'none' ? undefined : wrong / rows.count };
}

async function loadModel(path: string): Promise<Awaited<ReturnType<typeof createSession>>> {
  const bytes = await readModel(path);
  try {
    return await createSession(bytes, path, 'cpu');
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    throw new LockstepError('CHECKPOINT_INVALID', error.message, {}, { cause: error });
  }
}

async function readModel(path: string): Promise<Uint8Array> {
  try {
    return await readBoundedFile(path, MAX_MODEL_BYTES);
  } catch (error) {
    const cause = error instanceof DataError ? error.cause : error;
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const reason = isMissing
      ? `reading the model ${path}: there is no such file`
      : messageOf(error);
    throw new ConfigError(reason, [], { cause: error });
  }
}

function largest(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  return best;
}
