import type { InferenceSession } from 'onnxruntime-node';
import { messageOf, RuntimeError, ShortageError } from '../base/errors.ts';
import { shortageOf } from '../base/shortage.ts';
import type { Device } from './device.ts';
import { nodesForCpu } from './device-gaps.ts';
import { onnxRuntime } from './onnx-runtime.ts';

/** How every session is made: equal on all workers, since it decides the bits of the results. */
export function sessionOptions(model: Uint8Array, device: Device): InferenceSession.SessionOptions {
  const forceCpuNodeNames = nodesForCpu(model, device);
  return {
    // What a GPU has no kernel for ONNX Runtime computes on the CPU.
    executionProviders: [
      forceCpuNodeNames.length === 0 ? device : { name: device, forceCpuNodeNames },
    ],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // It plans one block beside what the first run has taken: up
    // to 40 % more memory, and no faster (bench/sessions.ts).
    enableMemPattern: false,
    // Not `set_denormal_as_zero`: it would also hold for JavaScript and WebAssembly on the thread.
    logSeverityLevel: 3,
  };
}

/**
 * A session for training: one thread, because a sum split over threads has other bits for another
 * number of them; lanes and workers give the parallelism instead.
 *
 * `head` is merged into the file, its nodes and outputs before the others. Protobuf messages are
 * merged by joining their bytes.
 *
 * Throws: RuntimeError naming the graph and what ONNX Runtime said.
 */
export async function createSession(
  model: Uint8Array,
  name: string,
  device: Device,
  head?: Uint8Array,
): Promise<InferenceSession> {
  try {
    const file = head === undefined ? model : Buffer.concat([head, model]);
    return await onnxRuntime().InferenceSession.create(file, sessionOptions(model, device));
  } catch (error) {
    const shortage = shortageOf(error);
    if (shortage !== undefined) throw new ShortageError(`loading the ${name} graph: ${shortage}`);
    throw new RuntimeError(
      `loading the ${name} graph: ONNX Runtime refused it: ${messageOf(error)}`,
      { graph: name },
      { cause: error },
    );
  }
}
