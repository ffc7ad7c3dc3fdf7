/** Whether workers exchange sums, and wait for each other, for longer than they compute. */

/** In so many steps one after another. */
const STEPS = 20;
/** A rank whose sums travel so many times longer than anybody's is what limits. */
const LINK_FACTOR = 2;

/** Where the time of a step went, milliseconds: means over its workers, and of each. */
export interface StepTime {
  readonly computeMs: number;
  readonly communicateMs: number;
  readonly waitMs: number;
  readonly ranks: readonly {
    readonly rank: number;
    readonly computeMs: number;
    readonly communicateMs: number;
  }[];
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
    return { ...cost, ...limitOf(this.#steps, waitMs > communicateMs) };
  }
}

/** What limits steps in which workers mostly wait, or mostly exchange. */
function limitOf(
  steps: readonly StepTime[],
  isWaiting: boolean,
): Pick<ExchangeCost, 'limit' | 'rank'> {
  const byLink = slowest(steps, ({ communicateMs }) => communicateMs);
  if (byLink.ms > LINK_FACTOR * byLink.nextMs) return { limit: 'link', rank: byLink.rank };
  const byComputing = slowest(steps, ({ computeMs }) => computeMs);
  return isWaiting ? { limit: 'worker', rank: byComputing.rank } : { limit: 'exchange' };
}

function slowest(
  steps: readonly StepTime[],
  of: (rank: StepTime['ranks'][number]) => number,
): { readonly rank: number; readonly ms: number; readonly nextMs: number } {
  const ranks = new Set(steps.flatMap((step) => step.ranks.map(({ rank }) => rank)));
  const [first, next] = [...ranks]
    .map((rank) => {
      const times = steps.flatMap((step) => step.ranks.filter((one) => one.rank === rank));
      return { rank, ms: meanOf(times.map(of)) };
    })
    .toSorted((a, b) => b.ms - a.ms);
  return { rank: first?.rank ?? 0, ms: first?.ms ?? 0, nextMs: next?.ms ?? 0 };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
