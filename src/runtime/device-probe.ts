/**
 * Trying a device: a real session on it, a matrix product that must be right, the time it takes,
 * and the graphics drivers that were loaded for it. A broken driver may hang or crash: `devices.ts`
 * does it in a process of its own.
 */
import { readFileSync } from 'node:fs';
import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import { messageOf, RuntimeError } from '../base/errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encodeGraph } from '../graph/file/encode.ts';
import type { Graph } from '../graph/types.ts';
import type { Device } from './device.ts';
import { onnxRuntime } from './onnx-runtime.ts';
import { createSession } from './session.ts';

/** What trying a device gave. */
export type ProbeResult =
  | { readonly kind: 'works'; readonly gigaflops: number; readonly drivers: readonly string[] }
  | { readonly kind: 'fails'; readonly reason: string };

/** Products of square matrices, one after the other. */
interface Chain {
  readonly size: number;
  readonly count: number;
}

const SHORT: Chain = { size: 256, count: 1 };
/** Long enough to hide the way to a GPU and back; slow devices are spared it. */
const LONG: Chain = { size: 512, count: 32 };
const SLOW_GIGAFLOPS = 5;

/** Tries `device` in this process. */
export async function probeHere(device: Device): Promise<ProbeResult> {
  try {
    const first = await measure(device, SHORT);
    const gigaflops = first < SLOW_GIGAFLOPS ? first : await measure(device, LONG);
    return { kind: 'works', gigaflops, drivers: loadedDrivers() };
  } catch (error) {
    return { kind: 'fails', reason: messageOf(error) };
  }
}

/** GFLOP/s of a chain, the second time. */
async function measure(device: Device, { size, count }: Chain): Promise<number> {
  const session = await createSession(encodeGraph(productChain({ size, count })), 'probe', device);
  const { Tensor } = onnxRuntime();
  const square = (value: (i: number) => number): OnnxValue =>
    new Tensor(
      'float32',
      Float32Array.from({ length: size * size }, (_, i) => value(i)),
      [size, size],
    );
  // Every row of x counts from 0 and w takes the mean: so is every element, however often.
  const feeds = { x: square((i) => i % size), w: square(() => 1 / size) };
  const expected = (size - 1) / 2;
  await runChecked(session, feeds, expected);
  const startedMs = performance.now();
  await runChecked(session, feeds, expected);
  const ms = performance.now() - startedMs;
  await session.release();
  return (2 * size ** 3 * count) / ms / 1e6;
}

/** x w w ... w */
function productChain({ size, count }: Chain): Graph {
  const g = new GraphBuilder('probe');
  const w = g.input('w', 'float32', [size, size]);
  let x = g.input('x', 'float32', [size, size]);
  for (let i = 0; i < count; i++) x = g.matMul(x, w);
  g.output('y', x);
  return g.build();
}

async function runChecked(
  session: InferenceSession,
  feeds: Readonly<Record<string, OnnxValue>>,
  expected: number,
): Promise<void> {
  const y = (await session.run(feeds))['y']?.data as Float32Array;
  const odd = y.find((value) => !(Math.abs(value - expected) < 0.1));
  if (odd !== undefined)
    throw new RuntimeError(
      `it computes wrongly: a matrix product gave ${odd} instead of ${expected}`,
    );
}

const DRIVER_FILE = /\/(?:libvk_|libvulkan_|libnvidia-glcore|libcuda\.|amdvlk)[^/\s]*$/;

/**
 * Files of graphics drivers that this process has loaded; Linux tells, elsewhere the list is empty.
 */
function loadedDrivers(): string[] {
  if (process.platform !== 'linux') return [];
  const files = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => DRIVER_FILE.test(line));
  return [...new Set(files.map((line) => line.slice(line.lastIndexOf('/') + 1)))];
}
