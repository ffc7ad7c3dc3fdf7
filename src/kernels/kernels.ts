/**
 * The hot loops, in WebAssembly SIMD over one memory. Sources: src/kernels/assembly, compiled by
 * scripts/build-kernels.ts. Every float32 operation is rounded on its own (IEEE 754, nearest even,
 * no fused multiply-add), so results have the same bits on every processor and in every browser
 * (only the payload of a NaN may differ).
 *
 * Pointers are byte offsets into the memory, 16-byte aligned for speed. Lengths are in elements and
 * a multiple of 4, else the call traps (WebAssembly.RuntimeError); regions of an arena are padded
 * to that with zeros. Scalars are rounded to float32 on entry, except those marked float64.
 */
import { KERNELS_BASE64, SHARED_KERNELS_BASE64 } from './kernel-bytes.ts';

/** Typed exports of the WebAssembly module; see each for formula and effect. */
export interface Kernels {
  /**
   * Adds a float32 gradient, rounded to a grid of 1 / `scale`, to int32 sums; gives max |gradient|.
   *
   * accumulator[i] += int32(nearest(gradient[i] * scale)): ties to even, conversion saturates, NaN
   * adds 0. The addition wraps modulo 2^32: whoever chooses the scale leaves headroom and checks
   * the returned maximum, which is Inf or NaN when the gradient holds one (NaN wins).
   */
  quantizeAdd(gradient: number, accumulator: number, length: number, scale: number): number;

  /**
   * Sum over int32 elements of multiplier(position + i) * values[i] modulo 2^32, as a signed
   * number, with the odd multiplier(j) = (j * 0x9e3779b1) | 1. Checksums of sums are sums of
   * checksums; one changed element always shows.
   */
  checksum(values: number, length: number, position: number): number;

  /** The `checksum` of what `quantizeAdd` adds for a gradient on this scale. */
  gradientChecksum(gradient: number, length: number, scale: number, position: number): number;

  /** target[i] += source[i] on int32, modulo 2^32: exact in any order. */
  addInt32(target: number, source: number, length: number): void;

  /** target[i] = float32(source[i]) * factor, from int32 to float32. */
  dequantize(source: number, target: number, length: number, factor: number): void;

  /**
   * Sum of float64(total[i])^2 over int32 elements; multiply by the square of their factor outside.
   *
   * Order: lane j sums the elements i = j (mod 4) in rising order, each square rounded; the result
   *        is (lane 0 + lane 1) + (lane 2 + lane 3). It depends on these `length` elements only:
   *        call it once per block of `makeBlocks` and add in block order to get bits that do not
   *        depend on how the work is divided.
   */
  sumOfSquares(total: number, length: number): number;

  /** max |source[i]| of float32; Inf or NaN when there is one (NaN wins). */
  maxAbs(source: number, length: number): number;

  /** target[i] *= factor, float32. */
  scale(target: number, length: number, factor: number): void;

  /**
   * target[i] = float32(source[i]) * scale + shift, from bytes: input batches.
   * Any length and any alignment; elements after the last multiple of 4 are slower.
   */
  bytesToFloat32(
    source: number,
    target: number,
    length: number,
    scale: number,
    shift: number,
  ): void;

  /** target[i] = target[i] * scale + shift, float32. Any length and any alignment. */
  normalise(target: number, length: number, scale: number, shift: number): void;

  /**
   * Fills a dropout mask: target[i] = 0 where word(4 * firstBlock + i) of RandomWords
   * (base/random.ts) with this key and these counters is below `threshold`, else `kept`. `length`
   * is a multiple of 16, else the call traps; the other numbers are unsigned 32-bit.
   * Cost: 1.7 ns per element.
   */
  randomMask(
    target: number,
    length: number,
    key0: number,
    key1: number,
    a: number,
    b: number,
    firstBlock: number,
    threshold: number,
    kept: number,
  ): void;

  /** Copies bytes. In shared memory 1.6 times as fast as `TypedArray.set`, atomic there. */
  copyBytes(target: number, source: number, byteLength: number): void;

  /** Sets bytes to zero. In shared memory 6 times as fast as `TypedArray.fill`. */
  zeroBytes(target: number, byteLength: number): void;

  /**
   * One SGD step from an int32 gradient total: g = float32(total) * factor + weightDecay * w; w -=
   * learningRate * g.
   * Source: torch.optim.SGD without momentum.
   */
  sgd(
    weights: number,
    total: number,
    length: number,
    factor: number,
    learningRate: number,
    weightDecay: number,
  ): void;

  /**
   * One SGD step with momentum: velocity = momentum * velocity + (1 - dampening) * g; w -=
   * learningRate * velocity, or with `nesterov` (0 or 1) w -= learningRate * (g + momentum *
   * velocity). `dampening` is float64. PyTorch's first step has velocity = g: pass dampening 0 for
   * it.
   * Effect: velocities below 2^-126 are stored as 0.
   * Source: torch.optim.SGD.
   */
  momentum(
    weights: number,
    velocity: number,
    total: number,
    length: number,
    factor: number,
    learningRate: number,
    momentum: number,
    dampening: number,
    nesterov: number,
    weightDecay: number,
  ): void;

  /**
   * One Adam step: m = beta1 * m + (1 - beta1) * g; v = beta2 * v + ((1 - beta2) * g) * g;
   * w -= stepSize * m / (sqrt(v) / biasCorrection2Sqrt + epsilon), where g includes weightDecay *
   * w. stepSize = learningRate / (1 - beta1^t), biasCorrection2Sqrt c = sqrt(1 - beta2^t). The
   * betas, epsilon, stepSize and c are float64; the last line is computed as w -= (stepSize * c) *
   * (m / (sqrt(v) + epsilon * c)), with the products of scalars in float64: equal but for rounding,
   * and one division less.
   * Effect: m and v below 2^-126 are stored as 0.
   * Source: torch.optim.Adam.
   */
  adam(
    weights: number,
    m: number,
    v: number,
    total: number,
    length: number,
    factor: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    stepSize: number,
    biasCorrection2Sqrt: number,
    weightDecay: number,
  ): void;

  /**
   * One AdamW step: w *= decayFactor, then as `adam` without decay in the gradient.
   * decayFactor = 1 - learningRate * weightDecay.
   * Source: torch.optim.AdamW.
   */
  adamw(
    weights: number,
    m: number,
    v: number,
    total: number,
    length: number,
    factor: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    stepSize: number,
    biasCorrection2Sqrt: number,
    decayFactor: number,
  ): void;
}

/**
 * Binds the kernels to `memory`; `shared` must say which kind of memory it is.
 * Cost: compiles 2 KiB synchronously, well below a millisecond.
 */
export function loadKernels(memory: WebAssembly.Memory, shared: boolean): Kernels {
  const module = new WebAssembly.Module(
    decodeBase64(shared ? SHARED_KERNELS_BASE64 : KERNELS_BASE64),
  );
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports as unknown as Kernels;
}

function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
