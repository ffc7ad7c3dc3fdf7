/**
 * An engine on virtual time: a tiny model with real float32 state, real integer gradients on the
 * real grid, and compute times drawn by the simulation. Any micro-batch lost, counted twice, or
 * computed from the wrong state changes its digest.
 */
import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../../src/base/clock.ts';
import type { MicroBatchRecord, Plan } from '../../src/protocol/messages.ts';
import type { Engine, EngineHandlers } from '../../src/runtime/engine.ts';

export const TENSOR_LENGTH = 16;
export const TENSOR_COUNT = 2;
export const ELEMENTS = TENSOR_LENGTH * TENSOR_COUNT;
const SAMPLES_PER_MICRO_BATCH = 2;

/** Bytes of a state: weights, then one momentum region. */
export const STATE_BYTES = 2 * 4 * ELEMENTS;

/** The weights before the first update, by tensor. */
export function initialTensors(): Float32Array[] {
  const weights = Float32Array.from({ length: ELEMENTS }, (_, i) => (i % 7) / 8 - 0.4);
  return Array.from({ length: TENSOR_COUNT }, (_, tensor) =>
    weights.subarray(tensor * TENSOR_LENGTH, (tensor + 1) * TENSOR_LENGTH),
  );
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

const FLOAT = new Float32Array(1);
const FLOAT_BITS = new Uint32Array(FLOAT.buffer);

/** Mixes integers and the bits of a weight into 32 random-looking bits. */
function mix(weight: number, ...parts: readonly number[]): number {
  FLOAT[0] = weight;
  let hash = FLOAT_BITS[0]!;
  for (const part of parts) {
    hash = Math.imul(hash ^ (hash >>> 15) ^ part, 0x2c1b3c6d) >>> 0;
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39) >>> 0;
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}

/**
 * A gradient that depends on every bit of the weights; now and then it is so large that the grid
 * overflows.
 */
function gradientOf(weights: Float32Array, step: number, microBatch: number): Float32Array {
  const burst = mix(0, step, 77) % 5 === 0 ? 500 : 1;
  return weights.map(
    (weight, i) =>
      ((mix(weight, step, microBatch, i) / 2 ** 32) * 2 - 1) *
      burst *
      (i < TENSOR_LENGTH ? 1 : 1e-3),
  );
}

export interface SimulatedEngineOptions {
  readonly clock: Clock;
  readonly lanes: number;
  readonly handlers: EngineHandlers;
  readonly computeMs: () => number;
  /** Changes what was computed, before it is rounded: a broken machine. */
  readonly alter: (gradient: Float32Array, step: number) => void;
  /** Whether a bit of the weights flips once so many updates are done. */
  readonly flips: (updates: number) => boolean;
  /** Samples of micro-batch `m` of a training step. */
  readonly samplesOf: (plan: Plan, microBatch: number) => number;
}

export class SimulatedEngine implements Engine {
  readonly #options: SimulatedEngineOptions;
  readonly #weights = new Float32Array(ELEMENTS);
  readonly #momentum = new Float32Array(ELEMENTS);
  readonly #sum = new Int32Array(ELEMENTS);
  #sent = new Uint8Array(0);
  /**
   * One memory for every hand-over, as the lanes have it: whoever reads it too late reads something
   * else.
   */
  readonly #stateBytes = new Uint8Array(8 * ELEMENTS);
  #isStateUsed = false;
  #plan: Plan | undefined;
  #waiting: number[] = [];
  #running = 0;
  #records: MicroBatchRecord[] = [];
  readonly #whenIdle: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  progress = 0;

  get busyLanes(): number {
    return this.#running;
  }

  constructor(options: SimulatedEngineOptions) {
    this.#options = options;
  }

  begin(plan: Plan): void {
    this.#plan = undefined;
    this.#waiting = [];
    this.#idle(() => {
      this.#plan = plan;
      this.#sum.fill(0);
      this.#records = [];
      this.#waiting = [...plan.leases, ...this.#waiting];
      this.#pump();
    });
  }

  extend(microBatches: readonly number[]): void {
    this.#waiting.push(...microBatches);
    this.#pump();
  }

  audit(
    microBatches: readonly number[],
    done: (records: readonly MicroBatchRecord[]) => void,
  ): void {
    const plan = this.#plan;
    const weights = this.#weights.slice();
    // At the earliest when the update before the pass is done, as lanes have it.
    this.#idle(() => {
      const begun = plan ?? this.#plan;
      if (begun === undefined) return;
      const state = plan === undefined ? this.#weights.slice() : weights;
      const computeMs = this.#options.computeMs();
      this.#after(computeMs * microBatches.length, () => {
        this.progress++;
        if (this.#plan !== begun) return;
        const compute = (m: number): MicroBatchRecord => this.#compute(begun, m, state, undefined);
        done(microBatches.map((m) => ({ ...compute(m), computeMs })));
      });
    });
  }

  release(count: number): number[] {
    return this.#waiting.splice(Math.max(0, this.#waiting.length - count));
  }

  apply(
    commit: Parameters<Engine['apply']>[0],
    totals: Uint8Array | undefined,
    done: (norms: readonly number[]) => void,
  ): void {
    this.#plan = undefined;
    this.#waiting = [];
    this.#idle(() => {
      const total = totals === undefined ? this.#sum : new Int32Array(totals.slice().buffer);
      for (let i = 0; i < ELEMENTS; i++) {
        const exponent = commit.exponents[Math.floor(i / TENSOR_LENGTH)]!;
        const gradient = Math.fround(total[i]! * 2 ** -exponent) / commit.update.sampleCount;
        this.#momentum[i] = 0.9 * this.#momentum[i]! + gradient;
        this.#weights[i] =
          this.#weights[i]! - commit.update.scalars['learningRate']! * this.#momentum[i]!;
      }
      if (this.#options.flips(commit.step + 1)) this.#flipBit();
      this.#after(1, () => done([]));
    });
  }

  importState(bytes: Uint8Array, done: () => void): void {
    this.#plan = undefined;
    this.#waiting = [];
    this.#isStateUsed = true;
    this.#idle(() => {
      this.#isStateUsed = false;
      const state = new Float32Array(bytes.slice().buffer);
      this.#weights.set(state.subarray(0, ELEMENTS));
      this.#momentum.set(state.subarray(ELEMENTS));
      this.#after(1, done);
    });
  }

  exportState(done: (bytes: Uint8Array) => void): void {
    this.#isStateUsed = true;
    this.#idle(() => {
      this.#putState();
      this.#isStateUsed = false;
      this.#after(1, () => done(this.#stateBytes));
    });
  }

  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    this.exportState((state) => done(digestOf(state.subarray(0, 4 * ELEMENTS)), digestOf(state)));
  }

  totalsTarget(): Uint8Array | undefined {
    return undefined;
  }

  stateTarget(): Uint8Array | undefined {
    return this.#isStateUsed ? undefined : this.#stateBytes;
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  #putState(): void {
    const state = new Float32Array(this.#stateBytes.buffer);
    state.set(this.#weights);
    state.set(this.#momentum, ELEMENTS);
  }

  #flipBit(): void {
    const bits = new Uint32Array(this.#weights.buffer, 0, 1);
    bits[0] = bits[0]! ^ (1 << 10);
  }

  #after(delayMs: number, action: () => void): void {
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      action();
    });
    this.#timers.add(timer);
  }

  #idle(action: () => void): void {
    if (this.#running === 0 && this.#whenIdle.length === 0) action();
    else this.#whenIdle.push(action);
  }

  #pump(): void {
    const plan = this.#plan;
    if (plan === undefined) return;
    while (this.#running < this.#options.lanes && this.#waiting.length > 0) {
      const microBatch = this.#waiting.shift()!;
      this.#running++;
      const computeMs = this.#options.computeMs();
      this.#after(computeMs, () => this.#finish(plan, microBatch, computeMs));
    }
  }

  #finish(plan: Plan, microBatch: number, computeMs: number): void {
    this.#running--;
    this.progress++;
    if (this.#plan === plan) {
      const record = this.#compute(plan, microBatch, this.#weights, this.#sum);
      this.#records.push({ ...record, computeMs });
      this.#pump();
      if (this.#running === 0 && this.#waiting.length === 0) this.#deliver(plan);
    }
    while (this.#running === 0 && this.#whenIdle.length > 0) this.#whenIdle.shift()!();
  }

  #compute(
    plan: Plan,
    microBatch: number,
    weights: Float32Array,
    sum: Int32Array | undefined,
  ): MicroBatchRecord {
    const sampleCount = this.#options.samplesOf(plan, microBatch);
    const gradient = gradientOf(weights, plan.step, microBatch);
    const lossSum = Math.fround(gradient.reduce((total, value) => total + Math.abs(value), 0));
    const maxima = [0, 0];
    let checksum = 0;
    if (plan.work === 'train') {
      this.#options.alter(gradient, plan.step);
      gradient.forEach((value, i) => {
        const tensor = Math.floor(i / TENSOR_LENGTH);
        maxima[tensor] = Math.max(maxima[tensor]!, Math.abs(value));
        const rounded = Math.round(value * 2 ** plan.exponents[tensor]!);
        const integer = Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, rounded));
        if (sum !== undefined) sum[i] = sum[i]! + integer;
        checksum = (checksum + Math.imul(integer, Math.imul(i, 0x9e3779b1) | 1)) >>> 0;
      });
    }
    return {
      microBatch,
      sampleCount,
      lossSum,
      correctSum: sampleCount / SAMPLES_PER_MICRO_BATCH,
      maxima,
      checksum,
      weightsChecksum: new Int32Array(weights.slice().buffer).reduce(
        (all, bits) => (all + bits) >>> 0,
        0,
      ),
      computeMs: 0,
    };
  }

  #deliver(plan: Plan): void {
    const records = this.#records;
    this.#records = [];
    if (records.length === 0) return;
    const isSent = plan.work === 'train' && plan.reduction === 'star';
    this.#sent = isSent ? new Uint8Array(this.#sum.slice().buffer) : new Uint8Array(0);
    if (isSent) this.#sum.fill(0);
    this.#options.handlers.onDone(plan.pass, records, this.#sent);
  }
}
