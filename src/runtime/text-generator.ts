/** Continues a text with a trained language model, token by token. */
import type { InferenceSession } from 'onnxruntime-node';
import { GraphError, invariant, RuntimeError, messageOf } from '../base/errors.ts';
import { RandomWords } from '../base/random.ts';
import { decodeGraph } from '../graph/file/decode.ts';
import { formatShape } from '../graph/values/shape.ts';
import { type SamplingOptions, sampleToken } from '../models/sampling.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import { createSession } from './session.ts';

/** How a text is continued: seed, length and sampling. */
export interface GenerateOptions extends SamplingOptions {
  readonly seed: number;
  /** Tokens to add. */
  readonly count: number;
}

/** A language model that is ready to run. */
export interface TextGenerator {
  /** Number of different tokens. */
  readonly vocabulary: number;
  /** Tokens that it sees at once; of longer texts only the end. */
  readonly length: number;
  /**
   * Continues `prompt` (at least one id) token by token. The same arguments give the same tokens.
   * Cost: one forward pass over the whole window per token.
   */
  generate(prompt: readonly number[], options: GenerateOptions): AsyncGenerator<number, void>;
  close(): Promise<void>;
}

/**
 * Loads the `model.onnx` of a run of a language model: int32 `input` [batch, T] -> `logits` [batch,
 * T, vocabulary].
 * Throws: GraphError when the file holds anything else.
 */
export async function createTextGenerator(model: Uint8Array): Promise<TextGenerator> {
  const graph = decodeGraph(model);
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  const [, length, vocabulary] = output?.shape ?? [];
  const isLanguageModel =
    graph.inputs.length === 1 &&
    input?.type === 'int32' &&
    input.shape.length === 2 &&
    output?.shape.length === 3;
  if (!isLanguageModel || typeof length !== 'number' || typeof vocabulary !== 'number') {
    throw new GraphError(
      `generating text with ${graph.name}: expected a language model (token ids to one choice ` +
        `per position), got ${input?.type ?? 'nothing'} ${formatShape(input?.shape ?? [])} -> ` +
        `${formatShape(output?.shape ?? [])}. Train one with --model gpt.`,
    );
  }
  const session = await createSession(model, 'language model', 'cpu');
  return {
    vocabulary,
    length,
    async *generate(prompt, { seed, count, ...sampling }) {
      const words = new RandomWords(seed, 'sample');
      const ids = [...prompt];
      for (let i = 0; i < count; i++) {
        const window = ids.slice(-length);
        const logits = await logitsAfter(session, window, length, vocabulary);
        const id = sampleToken(logits, sampling, words.uniform(i));
        ids.push(id);
        yield id;
      }
    },
    close: () => session.release(),
  };
}

/** Logits of the token after `window`, [vocabulary]. The model does not see the zeros behind. */
async function logitsAfter(
  session: InferenceSession,
  window: readonly number[],
  length: number,
  vocabulary: number,
): Promise<Float32Array> {
  const { Tensor } = onnxRuntime();
  const input = new Int32Array(length);
  input.set(window);
  const start = (window.length - 1) * vocabulary;
  try {
    const [output = ''] = session.outputNames;
    const results = await session.run({
      [session.inputNames[0] ?? '']: new Tensor('int32', input, [1, length]),
    });
    const data = results[output]?.data;
    invariant(data instanceof Float32Array, 'logits are float32');
    return data.slice(start, start + vocabulary);
  } catch (error) {
    throw new RuntimeError(`generating text: ${messageOf(error)}`, {}, { cause: error });
  }
}
