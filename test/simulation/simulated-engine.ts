/**
 * An engine on virtual time: a tiny model with real float32 state, real integer gradients on the
 * real grid, and compute times drawn by the simulation. Any micro-batch lost, counted twice, or
 * computed from the wrong state changes its digest.
 */
import { createHash } from 'node:crypto';
import type { Clock, Timer } from '../../src/base/clock.ts';
import { SharedSum } from '../../src/collectives/shm/shared-sum.ts';
import { readNotes, writeNote } from '../../src/plan/attempt-note.ts';
import {
  type AttemptResult,
  GrantedSteps,
  resultOf,
  resultOfAll,
} from '../../src/plan/granted-steps.ts';
import type { Commit, Grant, MicroBatchRecord, Plan } from '../../src/protocol/messages.ts';
import type { Engine, EngineAttempt, EngineHandlers, GroupSeat } from '../../src/runtime/engine.ts';

export const TENSOR_LENGTH = 16;
export const TENSOR_COUNT = 2;
export const ELEMENTS = TENSOR_LENGTH * TENSOR_COUNT;
const NOTHING = new Uint8Array(0);
const SAMPLES_PER_MICRO_BATCH = 2;
/** What is attempted of granted steps is told so much later at the latest, as by lanes. */
const TELL_MS = 250;
/** How often it looks whether other workers have come to a barrier. */
const LOOK_MS = 2;

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

/** A run of granted steps. */
interface Course {
  /** That are not told yet. */
  readonly attempts: EngineAttempt[];
  isTelling: boolean;
  /** It was halted. */
  isOver: boolean;
  /** Absent for a worker that is alone. */
  readonly group?: { readonly seat: GroupSeat; readonly sum: SharedSum };
}

export class SimulatedEngine implements Engine {
  readonly #options: SimulatedEngineOptions;
  readonly #weights = new Float32Array(ELEMENTS);
  readonly #momentum = new Float32Array(ELEMENTS);
  readonly #sum = new Int32Array(ELEMENTS);
  /**
   * One memory for every sum, and one for every hand-over, as the lanes have it: whoever reads it
   * too late reads something else.
   */
  readonly #gathered = new Uint8Array(4 * ELEMENTS);
  readonly #stateBytes = new Uint8Array(8 * ELEMENTS);
  /** Hand-overs that wait or are under way. */
  #stateUses = 0;
  /** The same for totals: one memory, which is free while no update is made from it. */
  readonly #received = new Uint8Array(4 * ELEMENTS);
  #receivedUses = 0;
  #plan: Plan | undefined;
  #waiting: number[] = [];
  #running = 0;
  #records: MicroBatchRecord[] = [];
  readonly #whenIdle: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  /** Steps that are granted to it alone. */
  readonly #granted = new GrantedSteps(SAMPLES_PER_MICRO_BATCH);
  /** What it follows; another object once that is void. */
  #course: Course | undefined;
  #begunMs = 0;
  progress = 0;
  /** Hears of every update that it makes by the total of a group, without being told to. */
  onOwnUpdate: ((commit: Commit, total: Int32Array) => void) | undefined;

  get busyLanes(): number {
    return this.#running;
  }

  constructor(options: SimulatedEngineOptions) {
    this.#options = options;
  }

  begin(plan: Plan): void {
    this.#void();
    this.#idle(() => this.#beginNow(plan));
  }

  #beginNow(plan: Plan): void {
    this.#plan = plan;
    this.#begunMs = this.#options.clock.now();
    this.#sum.fill(0);
    this.#records = [];
    this.#waiting = [...plan.leases, ...this.#waiting];
    const course = this.#course;
    // Others compute all of it.
    if (course?.group !== undefined && plan.leases.length === 0) this.#followOn(course, plan, []);
    this.#pump();
  }

  follow(grant: Grant, seat?: GroupSeat): void {
    if (grant.start !== undefined) {
      this.#void();
      const group = seat && { seat, sum: new SharedSum(seat.common, seat.common.memory) };
      this.#course = { attempts: [], isTelling: false, isOver: false, ...(group && { group }) };
    }
    const course = this.#course;
    const take = (): void => {
      const plan =
        course !== undefined && this.#isAt(course)
          ? this.#granted.take(grant, seat?.place ?? 0)?.plan
          : undefined;
      if (plan !== undefined) this.#beginNow(plan);
    };
    // More of what it is at does not wait for that.
    if (grant.start === undefined && this.#plan !== undefined) take();
    else this.#idle(take);
  }

  halt(generation: number, done: () => void): void {
    const course = this.#course;
    if (course?.group?.seat.generation !== generation) return done();
    course.isOver = true;
    this.#plan = undefined;
    this.#waiting = [];
    this.#idle(() =>
      this.#after(1, () => {
        this.#tell(course);
        done();
      }),
    );
  }

  /** Whether it may look at this memory. */
  isIn(memory: WebAssembly.Memory): boolean {
    const course = this.#course;
    return course?.isOver === false && course.group?.seat.common.memory === memory;
  }

  #isAt(course: Course): boolean {
    return this.#course === course && !course.isOver;
  }

  /** All of an attempt at a granted step is done: it is added up, if with others. */
  #followOn(course: Course, plan: Plan, records: readonly MicroBatchRecord[]): void {
    const { group } = course;
    const busyMs = this.#options.clock.now() - this.#begunMs;
    const attempt = { pass: plan.pass, records, busyMs, elapsedMs: busyMs, updateMs: 0, norms: [] };
    this.#plan = undefined;
    if (group === undefined) return this.#settle(course, attempt, resultOf(records), this.#sum);
    const { seat } = group;
    const notes = new Uint8Array(seat.common.size * seat.noteBytes);
    const offset = seat.place * seat.noteBytes;
    const inOrder = [...records].sort((x, y) => x.microBatch - y.microBatch);
    writeNote(inOrder, TENSOR_COUNT, notes.subarray(offset, offset + seat.noteBytes));
    const own = [new Uint8Array(this.#sum.buffer), notes];
    this.#addUp(course, group, { pass: plan.pass, own, piece: 0 }, (total) => {
      const all = total.slice(seat.sumBytes);
      const addingMs = this.#options.clock.now() - this.#begunMs - busyMs;
      const ofGroup = { notes: all, addingMs, waitPeersMs: addingMs };
      const result = resultOfAll(readNotes(all, seat.noteBytes, TENSOR_COUNT));
      const sum = new Int32Array(total.slice(0, seat.sumBytes).buffer);
      this.#settle(course, { ...attempt, ofGroup }, result, sum);
    });
  }

  /** Does what comes before a barrier, and looks again and again whether all others are there. */
  #addUp(
    course: Course,
    group: NonNullable<Course['group']>,
    part: { readonly pass: number; readonly own: readonly Uint8Array[]; readonly piece: number },
    done: (total: Uint8Array) => void,
  ): void {
    const { sum } = group;
    const { pass, own, piece } = part;
    const isLast = piece === sum.pieceCount;
    if (!isLast) sum.put(piece, own);
    sum.arrive(pass);
    const look = (): void => {
      if (!this.#isAt(course)) return;
      if (!sum.haveAllArrived()) return this.#after(LOOK_MS, look);
      if (isLast) return done(sum.total);
      sum.add(piece, own);
      this.#addUp(course, group, { pass, own, piece: piece + 1 }, done);
    };
    look();
  }

  /** An attempt has a result: goes on by itself, and tells of it later. */
  #settle(course: Course, attempt: EngineAttempt, result: AttemptResult, total: Int32Array): void {
    const next = this.#granted.settle(attempt.pass, result);
    if (next === undefined) return;
    course.attempts.push(attempt);
    if (next.commit !== undefined) {
      if (course.group !== undefined) this.onOwnUpdate?.(next.commit, total);
      this.#update(next.commit, total);
    }
    if (next.plan !== undefined) this.#beginNow(next.plan);
    const isDue = next.plan === undefined || this.#granted.isHalfDone;
    if (isDue) return this.#after(0, () => this.#tell(course));
    if (course.isTelling) return;
    course.isTelling = true;
    this.#after(TELL_MS, () => {
      course.isTelling = false;
      this.#tell(course);
    });
  }

  #tell(course: Course): void {
    const attempts = course.attempts.splice(0);
    if (this.#course === course && attempts.length > 0)
      this.#options.handlers.onAttempted(attempts);
  }

  /** What is still computed of the pass, or of granted steps, is of no use any more. */
  #void(): void {
    this.#plan = this.#course = undefined;
    this.#waiting = [];
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
    this.#void();
    const uses = totals === undefined ? 0 : 1;
    this.#receivedUses += uses;
    this.#idle(() => {
      if (totals !== undefined && totals.buffer !== this.#received.buffer)
        this.#received.set(totals);
      const total = totals === undefined ? this.#sum : new Int32Array(this.#received.buffer);
      this.#update(commit, total);
      this.#after(1, () => {
        this.#receivedUses -= uses;
        done([]);
      });
    });
  }

  #update(commit: Commit, total: Int32Array): void {
    for (let i = 0; i < ELEMENTS; i++) {
      const exponent = commit.exponents[Math.floor(i / TENSOR_LENGTH)]!;
      const gradient = Math.fround(total[i]! * 2 ** -exponent) / commit.update.sampleCount;
      this.#momentum[i] = 0.9 * this.#momentum[i]! + gradient;
      this.#weights[i] =
        this.#weights[i]! - commit.update.scalars['learningRate']! * this.#momentum[i]!;
    }
    if (this.#options.flips(commit.step + 1)) this.#flipBit();
  }

  importState(bytes: Uint8Array, done: () => void): void {
    this.#void();
    this.#stateUses++;
    this.#idle(() => {
      this.#stateUses--;
      const state = new Float32Array(bytes.slice().buffer);
      this.#weights.set(state.subarray(0, ELEMENTS));
      this.#momentum.set(state.subarray(ELEMENTS));
      this.#after(1, done);
    });
  }

  exportState(done: (bytes: Uint8Array) => void): void {
    this.#stateUses++;
    this.#idle(() => {
      this.#putState();
      this.#stateUses--;
      this.#after(1, () => done(this.#stateBytes));
    });
  }

  digest(done: (weightsDigest: string, stateDigest: string) => void): void {
    this.exportState((state) => done(digestOf(state.subarray(0, 4 * ELEMENTS)), digestOf(state)));
  }

  totalsTarget(): Uint8Array | undefined {
    return this.#receivedUses > 0 ? undefined : this.#received;
  }

  stateTarget(): Uint8Array | undefined {
    return this.#stateUses > 0 ? undefined : this.#stateBytes;
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
    if (this.#course !== undefined) return this.#followOn(this.#course, plan, records);
    const isSent = plan.work === 'train' && plan.reduction === 'star';
    if (isSent) this.#gathered.set(new Uint8Array(this.#sum.buffer));
    if (isSent) this.#sum.fill(0);
    this.#options.handlers.onDone(plan.pass, records, isSent ? this.#gathered : NOTHING);
  }
}
