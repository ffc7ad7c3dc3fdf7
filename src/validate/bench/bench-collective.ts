/**
 * How fast gradients are summed: all-reduces between real worker processes, over the sockets and
 * through the reducer that training uses. This process is the star's root, as the coordinator is.
 */
import { cpus, platform, release } from 'node:os';
import { ConfigError, RuntimeError } from '../../base/errors.ts';
import { MAX_SUM_ELEMENTS, StarReducer } from '../../collectives/star.ts';
import { availableMemory } from '../../data/available-memory.ts';
import { VERSION } from '../../launch/software.ts';
import { Broadcast } from '../../transport/connection.ts';
import { BenchGroup, type Done } from './bench-collective-group.ts';
import { percentile } from '../results/percentile.ts';
import { isoOf } from '../results/timestamp.ts';

/** What to measure, and how often. */
export interface BenchCollectiveOptions {
  /** At least 2. */
  readonly workers: number;
  /** Sizes of the buffer that is reduced, in units of 2^20 bytes; one measurement each. */
  readonly sizesMb: readonly number[];
  /** Timed all-reduces of each size; a few untimed ones come before them. */
  readonly iterations: number;
  /**
   * Where the root listens and the workers connect to. Payloads to an address that is not
   * loopback's go over TCP.
   */
  readonly host: string;
  /** Told before a size is measured. */
  readonly onSize: (sizeMb: number) => void;
  readonly signal: AbortSignal;
}

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

/**
 * The largest size's figures at the top, as the original has one size; all of them in `results`.
 */
export interface BenchCollectiveResult extends CollectiveFigures {
  readonly tool_name: 'lockstep';
  readonly tool_version: string;
  readonly timestamp: string;
  readonly backend: 'star';
  readonly workers: number;
  readonly machine: { readonly hardware_name: string; readonly cores: number; readonly os: string };
  readonly results: readonly CollectiveFigures[];
}

/** Bytes of the unit of sizes. */
export const MEBIBYTE: number = 2 ** 20;
const WARMUP_ITERATIONS = 3;
/** Kernels add 16 bytes at a time. */
const BLOCK_BYTES = 16;

/**
 * Measures; undefined when interrupted. Throws: ConfigError for sizes that cannot be; what goes
 * wrong between the processes.
 */
export async function benchCollective(
  options: BenchCollectiveOptions,
): Promise<BenchCollectiveResult | undefined> {
  const { workers, sizesMb, iterations, host, onSize, signal } = options;
  checkSizes(sizesMb, workers, availableMemory());
  let group: BenchGroup | undefined;
  try {
    group = await BenchGroup.start(workers, host, signal);
    const measured = new Map<number, CollectiveFigures>();
    // The largest first: smaller ones find its memory, and what the kernel has given once it keeps.
    for (const sizeMb of sizesMb.toSorted((a, b) => b - a)) {
      onSize(sizeMb);
      measured.set(sizeMb, await measure(group, sizeMb, iterations));
    }
    return resultOf(
      workers,
      sizesMb.flatMap((sizeMb) => measured.get(sizeMb) ?? []),
    );
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    await group?.close();
  }
}

/**
 * Refuses sizes that one star cannot reduce, or that would not fit into `availableBytes`.
 *
 * Throws: ConfigError.
 */
export function checkSizes(
  sizesMb: readonly number[],
  workers: number,
  availableBytes: number,
): void {
  const largest = Math.max(...sizesMb);
  const largestPossible = Math.floor((4 * MAX_SUM_ELEMENTS) / MEBIBYTE);
  if (largest > largestPossible)
    throw new ConfigError(
      `--size-mb: expected at most ${largestPossible}, which is what one star can reduce, got ` +
        `${largest}`,
    );
  const neededBytes = byteLengthOf(largest) * buffersOf(workers);
  if (neededBytes <= availableBytes) return;
  const fitting = Math.floor(availableBytes / buffersOf(workers) / MEBIBYTE);
  throw new ConfigError(
    `--size-mb ${largest}: ${workers} workers need ${gibibytes(neededBytes)} of memory for ` +
      `it, and ${gibibytes(availableBytes)} are free. ` +
      `Choose at most ${fitting}, or fewer --workers.`,
  );
}

/**
 * Each worker's contribution, on its way and at the root, and its total; the root's totals, two of
 * them on their way.
 */
function buffersOf(workers: number): number {
  return 4 * workers + 4;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function byteLengthOf(sizeMb: number): number {
  return Math.max(BLOCK_BYTES, Math.round((sizeMb * MEBIBYTE) / BLOCK_BYTES) * BLOCK_BYTES);
}

async function measure(
  group: BenchGroup,
  sizeMb: number,
  iterations: number,
): Promise<CollectiveFigures> {
  const byteLength = byteLengthOf(sizeMb);
  const reducer = new StarReducer(byteLength / 4);
  const times: number[] = [];
  let [bytes, localBytes] = [0, group.localBytes];
  for (let iteration = 0; iteration < WARMUP_ITERATIONS + iterations; iteration++) {
    const done = await allReduce(group, reducer);
    // Offers of shared memory are made with the first buffer, which still goes over the socket.
    if (iteration === WARMUP_ITERATIONS - 1) localBytes = group.localBytes;
    if (iteration < WARMUP_ITERATIONS) continue;
    times.push(Math.max(...done.map(({ ms }) => ms)));
    bytes += 2 * byteLength * group.size;
  }
  const figures = figuresOf(sizeMb, byteLength, group.size, times);
  return { ...figures, path: pathOf(group.localBytes - localBytes, bytes) };
}

/**
 * Runs one all-reduce between two barriers and gives what every worker measured.
 *
 * Throws: RuntimeError when a sum is wrong.
 */
async function allReduce(group: BenchGroup, reducer: StarReducer): Promise<readonly Done[]> {
  const { byteLength } = reducer;
  await group.prepare(byteLength);
  if (!reducer.begin())
    throw new RuntimeError('bench-collective: the totals before this one are not flushed');
  await group.contributions({
    take: () => reducer.takeScratch(),
    add: (payload, isTaken) => {
      reducer.add(payload);
      if (isTaken) reducer.returnScratch(payload);
    },
  });
  const total = reducer.finish();
  const done = await group.broadcast(new Broadcast(total.bytes));
  total.release();
  const wrong = done.flatMap(({ isRight }, rank) => (isRight ? [] : [rank]));
  if (wrong.length > 0)
    throw new RuntimeError(
      `bench-collective: the sum that rank ${wrong.join(', ')} received is wrong. Please ` +
        'report it.',
    );
  return done;
}

/** What `times`, milliseconds of the slowest worker, come to. */
export function figuresOf(
  sizeMb: number,
  byteLength: number,
  workers: number,
  times: readonly number[],
): Omit<CollectiveFigures, 'path'> {
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

function pathOf(localBytes: number, bytes: number): CollectiveFigures['path'] {
  if (localBytes === 0) return 'tcp';
  return localBytes < bytes ? 'loopback shared memory and tcp' : 'loopback shared memory';
}

function resultOf(workers: number, results: readonly CollectiveFigures[]): BenchCollectiveResult {
  const largest = results.toSorted((a, b) => b.bytes - a.bytes)[0];
  if (largest === undefined) throw new ConfigError('--sizes: expected at least one size');
  const processors = cpus();
  return {
    tool_name: 'lockstep',
    tool_version: VERSION,
    timestamp: isoOf(Date.now()),
    backend: 'star',
    workers,
    ...largest,
    machine: {
      hardware_name: processors[0]?.model.trim() ?? 'unknown',
      cores: processors.length,
      os: `${platform()} ${release()}`,
    },
    results,
  };
}
