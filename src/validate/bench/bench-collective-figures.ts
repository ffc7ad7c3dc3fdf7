/** What the times of all-reduces of one size come to. */
import { percentile } from '../results/percentile.ts';

/** Untimed all-reduces before the timed ones. */
export const WARMUP_ITERATIONS = 3;
/** Frames without payload are no more than this of what an all-reduce moves. */
const FRAMES_PART = 0.1;
/** Kernels add 16 bytes at a time. */
const BLOCK_BYTES = 16;
/** Bytes of the unit of sizes. */
export const MEBIBYTE: number = 2 ** 20;

/** What one size came to. Bandwidths are bus bandwidths, 2 (n - 1) / n * bytes / seconds / 1e9. */
export interface CollectiveFigures {
  readonly size_mb: number;
  readonly bytes: number;
  readonly mean_bandwidth_gbps: number;
  readonly p50_bandwidth_gbps: number;
  readonly p99_bandwidth_gbps: number;
  readonly min_bandwidth_gbps: number;
  readonly mean_time_ms: number;
  readonly p50_time_ms: number;
  readonly p99_time_ms: number;
  readonly max_time_ms: number;
  /** How the buffers travelled. */
  readonly path: 'loopback shared memory' | 'tcp' | 'loopback shared memory and tcp';
  readonly iterations: number;
  readonly warmup_iterations: number;
  /** All-reduces, warm-up included, whose every element was checked on every worker. */
  readonly checked_iterations: number;
}

/** What was measured of one size. */
export interface SizeMeasurement {
  readonly workers: number;
  readonly byteLength: number;
  /** Milliseconds of the slowest worker, of each all-reduce. */
  readonly times: readonly number[];
  /** Bytes that all workers together got over sockets, frames included. */
  readonly socketBytes: number;
}

/** Bytes of a size, as large as kernels add. */
export function byteLengthOf(sizeMb: number): number {
  return Math.max(BLOCK_BYTES, Math.round((sizeMb * MEBIBYTE) / BLOCK_BYTES) * BLOCK_BYTES);
}

/** What a measurement comes to. */
export function figuresOf(sizeMb: number, measurement: SizeMeasurement): CollectiveFigures {
  const { workers, byteLength, times, socketBytes } = measurement;
  const bandwidths = times.map((ms) => busBandwidth(workers, byteLength, ms / 1000));
  const of = (values: readonly number[], p: number): number => percentile(values, p) ?? 0;
  return {
    size_mb: sizeMb,
    bytes: byteLength,
    mean_bandwidth_gbps: meanOf(bandwidths),
    p50_bandwidth_gbps: of(bandwidths, 50),
    p99_bandwidth_gbps: of(bandwidths, 99),
    min_bandwidth_gbps: of(bandwidths, 0),
    mean_time_ms: meanOf(times),
    p50_time_ms: of(times, 50),
    p99_time_ms: of(times, 99),
    max_time_ms: of(times, 100),
    path: pathOf(socketBytes / (2 * (workers - 1) * byteLength * times.length)),
    iterations: times.length,
    warmup_iterations: WARMUP_ITERATIONS,
    checked_iterations: times.length + WARMUP_ITERATIONS,
  };
}

/**
 * Gives the bus bandwidth in 1e9 bytes per second, as NCCL's tests define it: what each worker's
 * link must carry at least.
 */
export function busBandwidth(workers: number, byteLength: number, seconds: number): number {
  return ((2 * (workers - 1)) / workers) * (byteLength / seconds / 1e9);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** `socketPart`: what went over sockets, in units of what an all-reduce must move. */
function pathOf(socketPart: number): CollectiveFigures['path'] {
  if (socketPart >= 1) return 'tcp';
  return socketPart < FRAMES_PART ? 'loopback shared memory' : 'loopback shared memory and tcp';
}
