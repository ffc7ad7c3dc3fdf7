/** Runs graphs on ONNX Runtime's CPU provider, one thread, for tests. */
import assert from 'node:assert/strict';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeGraph } from '../src/graph/file/encode.ts';
import { staticElementCount } from '../src/graph/values/shape.ts';
import type { Graph } from '../src/graph/types.ts';

/** Elements per input: any numbers; they are converted to the input's type. */
export type Feeds = Readonly<Record<string, ArrayLike<number>>>;
export type RunGraph = (feeds: Feeds) => Promise<ReadonlyMap<string, number[]>>;

/**
 * Loads a graph without symbolic inputs; the function returned runs it and gives the elements of
 * every output.
 */
export async function loadGraph(graph: Graph): Promise<RunGraph> {
  const session = await InferenceSession.create(encodeGraph(graph), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return async (feeds) => {
    const tensors = graph.inputs.map(({ name, type, shape }) => {
      const sizes = shape.map(Number);
      const elements = Array.from(feeds[name] ?? new Float32Array(staticElementCount(sizes)));
      const tensor =
        type === 'int32'
          ? new Tensor('int32', Int32Array.from(elements), sizes)
          : new Tensor('float32', Float32Array.from(elements), sizes);
      return [name, tensor] as const;
    });
    const results = await session.run(Object.fromEntries(tensors));
    return new Map(
      graph.outputs.map(({ name, shape }) => {
        const { data, dims } = results[name]!;
        assert.deepEqual(dims, shape, `${name}: ONNX Runtime has another shape than ours`);
        return [name, Array.from(data as Iterable<number>, Number)];
      }),
    );
  };
}

/**
 * The graph with its symbolic batch declared as a number, so that the shapes of results can be
 * compared.
 */
export function withBatch(graph: Graph, size: number): Graph {
  const fix = <T extends { readonly shape: readonly (number | string)[] }>(value: T): T => ({
    ...value,
    shape: value.shape.map((dimension) => (dimension === 'batch' ? size : dimension)),
  });
  return { ...graph, inputs: graph.inputs.map(fix), outputs: graph.outputs.map(fix) };
}

/** `loadGraph` for one run. */
export async function runGraph(graph: Graph, feeds: Feeds): Promise<ReadonlyMap<string, number[]>> {
  const run = await loadGraph(graph);
  return run(feeds);
}
