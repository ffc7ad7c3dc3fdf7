/**
 * Times every kernel on one thread: node --import tsx bench/kernels.ts [elements]
 * The default is the parameter count of a 784-400-60-10 network, 337,674 padded to 16.
 */
import { loadKernels } from '../src/kernels/kernels.ts';

const elements = Math.ceil(Number(process.argv[2] ?? 337_674) / 16) * 16;
const bytes = elements * 4;
const region = (index: number): number => 64 + index * (Math.ceil(bytes / 64) * 64 + 64);
const memory = new WebAssembly.Memory({ initial: Math.ceil(region(5) / 65_536) });
const kernels = loadKernels(memory, false);

const [weights, total, m, v, gradient] = [region(0), region(1), region(2), region(3), region(4)];
const floats = (offset: number): Float32Array => new Float32Array(memory.buffer, offset, elements);
const integers = (offset: number): Int32Array => new Int32Array(memory.buffer, offset, elements);

function reset(moment = 1e-3): void {
  floats(weights).forEach((_, i, all) => (all[i] = Math.sin(i)));
  integers(total).forEach((_, i, all) => (all[i] = (i * 7919) % 1_000_003));
  floats(m).fill(moment);
  floats(v).fill(moment);
  floats(gradient).forEach((_, i, all) => (all[i] = Math.cos(i) * 1e-3));
}

/** Prints the best of several runs; `bytesTouched` per element, reads and writes. */
function measure(
  name: string,
  bytesTouched: number,
  action: () => void,
  before?: () => void,
): void {
  for (let i = 0; i < 100; i++) action();
  let bestMs = Infinity;
  for (let i = 0; i < 300; i++) {
    before?.();
    const startMs = performance.now();
    action();
    bestMs = Math.min(bestMs, performance.now() - startMs);
  }
  const nanoseconds = (bestMs * 1e6) / elements;
  const gigabytes = bytesTouched / nanoseconds;
  console.log(
    `${name.padEnd(38)} ${nanoseconds.toFixed(3).padStart(7)} ns/element ` +
      `${(gigabytes * 1000).toFixed(0).padStart(7)} MB/s`,
  );
}

const adam = (): void =>
  kernels.adam(weights, m, v, total, elements, 1e-9, 0.9, 0.999, 1e-8, 1e-3, 0.5, 0);

reset();
console.log(`${elements} elements, Node.js ${process.version}, ${process.arch}; best of 300`);
measure('quantizeAdd', 12, () => kernels.quantizeAdd(gradient, total, elements, 2 ** 30));
measure('addInt32', 12, () => kernels.addInt32(total, gradient, elements));
measure('dequantize', 8, () => kernels.dequantize(total, gradient, elements, 2 ** -30));
measure('sumOfSquares', 4, () => kernels.sumOfSquares(total, elements));
measure('maxAbs', 4, () => kernels.maxAbs(gradient, elements));
measure('scale', 8, () => kernels.scale(gradient, elements, -1));
measure('bytesToFloat32', 5, () => kernels.bytesToFloat32(total, gradient, elements, 1 / 255, 0));
measure('normalise', 8, () => kernels.normalise(gradient, elements, 1, 0));
measure('randomMask', 4, () => kernels.randomMask(gradient, elements, 1, 2, 3, 4, 0, 2 ** 31, 2));
measure('copyBytes', 8, () => kernels.copyBytes(total, gradient, bytes));
reset();
measure('sgd', 12, () => kernels.sgd(weights, total, elements, 1e-9, 1e-3, 0));
measure('momentum', 20, () =>
  kernels.momentum(weights, m, total, elements, 1e-9, 1e-3, 0.9, 0, 0, 0),
);
reset();
measure('adam', 28, adam);
reset();
measure('adamw', 28, () =>
  kernels.adamw(weights, m, v, total, elements, 1e-9, 0.9, 0.999, 1e-8, 1e-3, 0.5, 0.999),
);

// Dead units: no gradient, and moments that were, or just become, too small for a normal float32.
const deadUnits = (moment: number) => (): void => {
  integers(total).fill(0);
  floats(m).fill(moment);
  floats(v).fill(moment);
};
measure('adam, m and v subnormal, every step', 28, adam, deadUnits(1e-40));
measure('adam, m and v 1e-37, every step', 28, adam, deadUnits(1e-37));
deadUnits(1e-40)();
measure('adam, m and v subnormal at the start', 28, adam);
