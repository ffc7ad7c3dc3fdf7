/**
 * What a step is predicted to take which workers, by what was measured of them: the planner. All of
 * it follows from numbers; nothing is measured or read here.
 */
import { partMs, planLeases, slowestPartMs } from './shares.ts';
import {
  isStarBetter,
  type LinkSpeed,
  predictRingMs,
  predictSharedMs,
  predictStarMs,
} from './sum-cost.ts';

/** One worker, as it was measured. */
export interface WorkerProfile {
  /** Workers of one host share its cores, and add up in its memory. */
  readonly host: string;
  /** Of its host. */
  readonly cores: number;
  readonly lanes: number;
  /** Of one micro-batch on one lane, while the others compute, too. */
  readonly microBatchMs: number;
  /** What a step takes it beside its micro-batches, whatever its share. */
  readonly stepFixedMs: number;
  /** The same where its lanes go from step to step by themselves: alone, or in shared memory. */
  readonly ownFixedMs: number;
  /** Between its host and any other. */
  readonly link: LinkSpeed;
}

/** What is trained, as far as time depends on it. */
export interface TrainingShape {
  /** Micro-batches of a step, and samples of each. */
  readonly microBatches: number;
  readonly microBatch: number;
  /** Bytes of a gradient sum; those of weights that are averaged are as many. */
  readonly sumBytes: number;
  /** The host of the coordinator, and what that gets and sends. */
  readonly coordinator: { readonly host: string; readonly bytesPerSecond: number };
}

/** Workers exchange sums once in so many steps, which each of `shards` makes by itself. */
export interface LocalTraining {
  readonly localSteps: number;
  readonly shards: number;
  /** Of each of these steps. */
  readonly microBatches: number;
}

/** How sums travel; `alone`: they do not. */
export type SumPath = 'alone' | 'shm' | 'ring' | 'hosts' | 'star';

/** What is predicted of some of the workers. */
export interface Prediction {
  /** Their indices. */
  readonly workers: readonly number[];
  readonly path: SumPath;
  /** Present where they train by themselves between two exchanges. */
  readonly local?: LocalTraining;
  /** Of a step as `TrainingShape` says, also of those that workers make by themselves. */
  readonly stepMs: number;
  /** Parts of `stepMs`: computing, of the slowest; sums on their way, and what leads them. */
  readonly computeMs: number;
  readonly exchangeMs: number;
  readonly samplesPerSecond: number;
}

/** Within one host, through its sockets. */
export const LOOPBACK: LinkSpeed = { roundTripMs: 0.1, bytesPerSecond: 2e9 };

/** What computes for longer is led by the coordinator step by step, which takes two round trips. */
const LED_FROM_MS = 100;

/**
 * One prediction for each way that the sums of these workers can travel, the one that
 * `--collective auto` takes first; of a worker alone, or of workers that train by themselves, one.
 *
 * `which` are indices of `all`. Cost: compute = the slowest of waves x microBatchMs + stepFixedMs,
 * shares as `planLeases` makes them, times lanes / cores where a host has fewer of these; and what
 * `sum-cost.ts` says of the exchange.
 */
export function predictWays(
  all: readonly WorkerProfile[],
  which: readonly number[],
  shape: TrainingShape,
  local?: LocalTraining,
): readonly Prediction[] {
  const workers = crowded(which.flatMap((index) => all[index] ?? []));
  const { microBatches } = shape;
  const steps =
    local === undefined ? 1 : (local.localSteps * local.shards * local.microBatches) / microBatches;
  const toldMs =
    local === undefined ? slowestPartMs(microBatches, workers) : localMs(workers, local);
  const isLong = toldMs >= LED_FROM_MS || local !== undefined;
  const onTheirOwn = workers.map((one) => ({ ...one, stepFixedMs: one.ownFixedMs }));
  const paths = pathsOf(workers, shape);
  const chosen = local === undefined ? paths : paths.slice(0, 1);
  return chosen.map(({ path, ms }) => {
    const isOwn = !isLong && (path === 'alone' || path === 'shm');
    const isLed = isLong && path !== 'alone' && path !== 'star';
    const computeMs = isOwn ? slowestPartMs(microBatches, onTheirOwn) : toldMs;
    const ledMs = isLed ? 2 * Math.max(...workers.map((one) => roundTripMs(one, shape))) : 0;
    const exchangeMs = ms + ledMs;
    const stepMs = (computeMs + exchangeMs) / steps;
    return {
      workers: which,
      path,
      ...(local !== undefined && { local }),
      stepMs,
      computeMs: computeMs / steps,
      exchangeMs: exchangeMs / steps,
      samplesPerSecond: (1000 * microBatches * shape.microBatch) / stepMs,
    };
  });
}

/**
 * Sets of workers worth comparing, by their indices: all, then without the one without whom the
 * others are fastest, and so on down to the one that is fastest alone.
 *
 * Cost: n^2 / 2 predictions.
 */
export function workerSets(
  all: readonly WorkerProfile[],
  shape: TrainingShape,
): readonly (readonly number[])[] {
  const sets: number[][] = [[...all.keys()]];
  for (let set = sets[0] ?? []; set.length > 1;) {
    const smaller = set.map((out) => set.filter((index) => index !== out));
    const times = smaller.map((one) => fastestOf(predictWays(all, one, shape))?.stepMs ?? Infinity);
    // Of equals the last leaves.
    set = smaller[times.lastIndexOf(Math.min(...times))] ?? [];
    sets.unshift(set);
  }
  return sets;
}

/** The prediction with the most samples a second; of equals the first. */
export function fastestOf(predictions: readonly Prediction[]): Prediction | undefined {
  const best = Math.max(...predictions.map((one) => one.samplesPerSecond));
  return predictions.find((one) => one.samplesPerSecond === best);
}

/** What predictions of one run say to somebody who has so many workers. */
export interface PlanChoice {
  /** The fastest worker by itself. */
  readonly alone: Prediction;
  /** All workers, the way that `--collective auto` takes. */
  readonly asked: Prediction;
  /** The fastest of those that end with the model of one machine. */
  readonly exact: Prediction;
  /** The fastest of those that train by themselves between exchanges; absent if none is. */
  readonly local?: Prediction;
}

/** Chooses from predictions that hold those of a worker alone; undefined if they do not. */
export function choose(predictions: readonly Prediction[]): PlanChoice | undefined {
  const exacts = predictions.filter((one) => one.local === undefined);
  const most = Math.max(...exacts.map(({ workers }) => workers.length));
  const alone = fastestOf(exacts.filter(({ path }) => path === 'alone'));
  const asked = exacts.find(({ workers }) => workers.length === most);
  const exact = fastestOf(exacts);
  const local = fastestOf(predictions.filter((one) => one.local !== undefined));
  if (alone === undefined || asked === undefined || exact === undefined) return undefined;
  return { alone, asked, exact, ...(local !== undefined && { local }) };
}

/**
 * A worker with the same machine on another number of lanes: what it does once a step is shared out
 * among them.
 */
export function onLanes(worker: WorkerProfile, lanes: number): WorkerProfile {
  const factor = worker.lanes / lanes;
  const { stepFixedMs, ownFixedMs } = worker;
  return { ...worker, lanes, stepFixedMs: factor * stepFixedMs, ownFixedMs: factor * ownFixedMs };
}

/** Lanes for which a host has no core make all of its lanes slower. */
function crowded(workers: readonly WorkerProfile[]): readonly WorkerProfile[] {
  return workers.map((worker) => {
    const lanes = workers
      .filter(({ host }) => host === worker.host)
      .reduce((sum, one) => sum + one.lanes, 0);
    const factor = Math.max(1, lanes / worker.cores);
    return {
      ...worker,
      microBatchMs: factor * worker.microBatchMs,
      stepFixedMs: factor * worker.stepFixedMs,
      ownFixedMs: factor * worker.ownFixedMs,
    };
  });
}

/** A worker makes the steps of a shard with all of its lanes, one shard after the other. */
function localMs(
  workers: readonly WorkerProfile[],
  { localSteps, shards, microBatches }: LocalTraining,
): number {
  const shardMs = workers.map((worker) => localSteps * partMs(worker, microBatches));
  const counts = planLeases(
    shards,
    shardMs.map((microBatchMs) => ({ lanes: 1, microBatchMs })),
  );
  return Math.max(...shardMs.map((ms, i) => ms * (counts[i] ?? 0)));
}

/** Ways of the sums with what they take; what `auto` takes comes first. */
function pathsOf(
  workers: readonly WorkerProfile[],
  shape: TrainingShape,
): readonly { readonly path: SumPath; readonly ms: number }[] {
  if (workers.length < 2) return [{ path: 'alone', ms: 0 }];
  const group = groupOf(workers, shape.sumBytes);
  const star = { path: 'star', ms: starMs(workers, shape) } as const;
  return isStarBetter(group.ms, star.ms) ? [star, group] : [group, star];
}

function groupOf(
  workers: readonly WorkerProfile[],
  bytes: number,
): { readonly path: SumPath; readonly ms: number } {
  const hosts = [...new Set(workers.map(({ host }) => host))];
  const sharing = Math.max(
    ...hosts.map((host) => workers.filter((one) => one.host === host).length),
  );
  const sharedMs = predictSharedMs(bytes, sharing);
  if (hosts.length === 1) return { path: 'shm', ms: sharedMs };
  const links = hosts.flatMap((host) => workers.find((one) => one.host === host)?.link ?? []);
  const ringMs = predictRingMs(bytes, links);
  // The total comes to the others of a host as the second sum that is added up there.
  return sharing === 1
    ? { path: 'ring', ms: ringMs }
    : { path: 'hosts', ms: ringMs + 2 * sharedMs };
}

function starMs(
  workers: readonly WorkerProfile[],
  { sumBytes, coordinator }: TrainingShape,
): number {
  const remote = workers.filter(({ host }) => host !== coordinator.host);
  const local = workers.filter(({ host }) => host === coordinator.host);
  const localLinks = local.map(() => LOOPBACK);
  const nearMs =
    local.length === 0 ? 0 : predictStarMs(sumBytes, localLinks, LOOPBACK.bytesPerSecond);
  if (remote.length === 0) return nearMs;
  const links = remote.map(({ link }) => link);
  return Math.max(nearMs, predictStarMs(sumBytes, links, coordinator.bytesPerSecond));
}

function roundTripMs({ host, link }: WorkerProfile, { coordinator }: TrainingShape): number {
  return host === coordinator.host ? LOOPBACK.roundTripMs : link.roundTripMs;
}
