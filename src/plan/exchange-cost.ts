/** Whether workers exchange sums, and wait for each other, for longer than they compute. */

/** In so many steps one after another. */
const STEPS = 20;
/** Fewer workers are named when they are predicted to be so many times faster. */
const WORTH = 1.2;
/** A rank whose sums travel so many times longer than anybody's is what limits. */
const LINK_FACTOR = 2;

/** Where the time of a step went, milliseconds: means over its workers, and of each. */
export interface StepTime {
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  readonly ranks: readonly RankTime[];
}

interface RankTime {
  readonly rank: number;
  readonly microBatches: number;
  readonly computeMs: number;
  readonly communicateMs: number;
}

/** Means of the steps, milliseconds, and what makes them so. */
export interface ExchangeCost {
  readonly steps: number;
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  /** The link of one rank, one rank that computes slowly, or all links. */
  readonly limit: 'link' | 'worker' | 'exchange';
  /** Whose link or computing it is. */
  readonly rank?: number;
  /** Those who are predicted to be clearly faster without the others, and what a step takes them. */
  readonly fewer?: { readonly ranks: readonly number[]; readonly stepMs: number };
}

/** Looks at every step; speaks once. */
export class ExchangeWatch {
  #steps: StepTime[] = [];
  #hasSpoken = false;

  /** What the last steps cost, when all of them were spent on the exchange for the first time. */
  add(step: StepTime): ExchangeCost | undefined {
    if (this.#hasSpoken) return undefined;
    const isBound = step.ranks.length > 1 && step.communicateMs + step.waitMs > step.computeMs;
    if (!isBound) this.#steps = [];
    else this.#steps.push(step);
    if (this.#steps.length < STEPS) return undefined;
    this.#hasSpoken = true;
    const mean = (of: (time: StepTime) => number): number => meanOf(this.#steps.map(of));
    const [computeMs, communicateMs, waitMs] = [
      mean((time) => time.computeMs),
      mean((time) => time.communicateMs),
      mean((time) => time.waitMs),
    ];
    const cost = { steps: STEPS, computeMs, communicateMs, waitMs };
    const fewer = fewerOf(this.#steps, computeMs + communicateMs + waitMs);
    const limit = limitOf(this.#steps, waitMs > communicateMs);
    return { ...cost, ...limit, ...(fewer !== undefined && { fewer }) };
  }
}

/**
 * Whom to keep: of all ranks but those whose sums travel longest, the fastest, if that is worth it.
 * One alone computes all micro-batches and exchanges nothing; of several each computes its part of
 * them, and its sums travel as long as they did. What a step takes whatever its share is counted
 * as if it grew with it, so fewer may be faster than that, not slower.
 */
function fewerOf(steps: readonly StepTime[], stepMs: number): ExchangeCost['fewer'] {
  const ranks = meanRanks(steps).toSorted(
    (a, b) => a.communicateMs - b.communicateMs || paceOf(a) - paceOf(b),
  );
  const total = sumOf(ranks, ({ microBatches }) => microBatches);
  const quickest = ranks.toSorted((a, b) => paceOf(a) - paceOf(b)).slice(0, 1);
  const sets = [quickest, ...ranks.slice(2).map((_, i) => ranks.slice(0, i + 2))];
  const [best] = sets
    .map((set) => ({
      ranks: set.map(({ rank }) => rank).toSorted((a, b) => a - b),
      stepMs: setMs(set, total),
    }))
    .toSorted((a, b) => a.stepMs - b.stepMs);
  return best !== undefined && WORTH * best.stepMs < stepMs ? best : undefined;
}

/** A step of these ranks alone. */
function setMs(set: readonly RankTime[], total: number): number {
  const grown = total / sumOf(set, ({ microBatches }) => microBatches);
  const exchanged = set.length > 1 ? 1 : 0;
  return Math.max(
    ...set.map(({ computeMs, communicateMs }) => grown * computeMs + exchanged * communicateMs),
  );
}

/** Milliseconds that one micro-batch takes it, with its part of the rest; none: it computes none. */
function paceOf({ computeMs, microBatches }: RankTime): number {
  return microBatches > 0 ? computeMs / microBatches : Infinity;
}

function meanRanks(steps: readonly StepTime[]): readonly RankTime[] {
  const ranks = new Set(steps.flatMap((step) => step.ranks.map(({ rank }) => rank)));
  return [...ranks].map((rank) => {
    const times = steps.flatMap((step) => step.ranks.filter((one) => one.rank === rank));
    return {
      rank,
      microBatches: meanOf(times.map((time) => time.microBatches)),
      computeMs: meanOf(times.map((time) => time.computeMs)),
      communicateMs: meanOf(times.map((time) => time.communicateMs)),
    };
  });
}

function sumOf(ranks: readonly RankTime[], of: (rank: RankTime) => number): number {
  return ranks.reduce((sum, rank) => sum + of(rank), 0);
}

/** What limits steps in which workers mostly wait, or mostly exchange. */
function limitOf(
  steps: readonly StepTime[],
  isWaiting: boolean,
): Pick<ExchangeCost, 'limit' | 'rank'> {
  const ranks = meanRanks(steps);
  const byLink = slowest(ranks, ({ communicateMs }) => communicateMs);
  if (byLink.ms > LINK_FACTOR * byLink.nextMs) return { limit: 'link', rank: byLink.rank };
  const byComputing = slowest(ranks, ({ computeMs }) => computeMs);
  return isWaiting ? { limit: 'worker', rank: byComputing.rank } : { limit: 'exchange' };
}

function slowest(
  ranks: readonly RankTime[],
  of: (rank: RankTime) => number,
): { readonly rank: number; readonly ms: number; readonly nextMs: number } {
  const [first, next] = ranks
    .map((one) => ({ rank: one.rank, ms: of(one) }))
    .toSorted((a, b) => b.ms - a.ms);
  return { rank: first?.rank ?? 0, ms: first?.ms ?? 0, nextMs: next?.ms ?? 0 };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
