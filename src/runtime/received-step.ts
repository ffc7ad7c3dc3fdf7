/**
 * What a worker does with an ONNX file that its coordinator sent, before anything is loaded from it.
 *
 * ONNX Runtime does what a file says: one whose sparse tensors name another file reads that, from
 * the folder that the process works in and from those around it. So a worker never loads a file as
 * it came. It reads the graph, which refuses whatever we do not know, and writes it down again.
 */
import { GraphError, messageOf } from '../base/errors.ts';
import { decodeGraph } from '../graph/file/decode.ts';
import { encodeGraph, type EncodedGraph } from '../graph/file/encode.ts';
import { peakBytes } from '../graph/peak-bytes.ts';
import { isStatic, staticElementCount } from '../graph/values/shape.ts';
import { ELEMENT_TYPES } from '../graph/values/types.ts';
import type { Graph } from '../graph/types.ts';

/** A compiled step as a worker runs it. */
export interface OwnStep {
  /** The same bytes as were received, if they are the work of `encodeGraph`. */
  readonly file: EncodedGraph;
  /**
   * What the results of its nodes take at once, as `peakBytes` says it, but for its outputs: those
   * are written into memory that is there already.
   */
  readonly valueBytes: number;
}

/**
 * The step `name` in a file that was received, written by us.
 *
 * Throws: GraphError for anything but a graph of operators that we know whose sizes are all
 *         numbers, with everything that belongs to it inside.
 */
export function rewriteStep(received: Uint8Array, name: string): OwnStep {
  try {
    const graph = decodeGraph(received);
    checkSizes(graph);
    const valueBytes = Math.max(0, peakBytes(graph) - outputBytes(graph));
    return { file: encodeGraph(graph), valueBytes };
  } catch (error) {
    throw new GraphError(
      `the ${name} step that the coordinator sent was refused: ${messageOf(error)}`,
      { step: name },
      { cause: error },
    );
  }
}

function outputBytes({ outputs }: Graph): number {
  return outputs.reduce(
    (sum, { type, shape }) =>
      sum + staticElementCount(shape.map(Number)) * ELEMENT_TYPES[type].bytes,
    0,
  );
}

/** Without its sizes nobody knows what a graph takes. */
function checkSizes({ values }: Graph): void {
  const open = values.find(({ shape }) => !isStatic(shape));
  if (open === undefined) return;
  throw new GraphError(
    `${open.name}: expected sizes that are numbers, got [${open.shape.join(', ')}]`,
  );
}
