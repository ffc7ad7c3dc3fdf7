/** Shares out micro-batches among workers: pure arithmetic, no worker is named. */

/** A computing party of the plan: how many micro-batches side by side, and how long each takes. */
export interface Capacity {
  readonly lanes: number;
  /** Measured milliseconds per micro-batch on one lane; undefined before the first measurement. */
  readonly microBatchMs: number | undefined;
  /** Milliseconds that its link adds to a pass, however many micro-batches it gets; 0 if absent. */
  readonly linkMs?: number;
}

/**
 * How many of `total` micro-batches each party gets so that all finish as close together as whole
 * micro-batches allow: the next one goes to whoever would finish it first.
 */
export function planLeases(total: number, capacities: readonly Capacity[]): number[] {
  if (capacities.length === 0) return [];
  const known = capacities
    .map((c) => c.microBatchMs)
    .filter((ms): ms is number => ms !== undefined && ms > 0);
  const typicalMs = known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : 1;
  const laneMs = capacities.map(({ microBatchMs }) =>
    microBatchMs !== undefined && microBatchMs > 0 ? microBatchMs : typicalMs,
  );
  const counts = capacities.map(() => 0);
  for (let given = 0; given < total; given++) {
    let best = 0;
    let bestMs = Infinity;
    for (const [index, { lanes, linkMs = 0 }] of capacities.entries()) {
      const waves = Math.floor((counts[index] ?? 0) / Math.max(1, lanes)) + 1;
      const finishMs = linkMs + waves * (laneMs[index] ?? typicalMs);
      if (finishMs < bestMs) [best, bestMs] = [index, finishMs];
    }
    counts[best] = (counts[best] ?? 0) + 1;
  }
  return counts;
}

/** A party, and what its part in a step costs it besides, milliseconds. */
export type StepCapacity = Capacity & { readonly stepFixedMs: number };

/** Milliseconds that its part of a step takes a party, with so many micro-batches. */
export function partMs(party: StepCapacity, microBatches: number): number {
  const { lanes, microBatchMs = 0, stepFixedMs } = party;
  return Math.ceil(microBatches / Math.max(1, lanes)) * microBatchMs + stepFixedMs;
}

/** Milliseconds that the slowest takes, if `total` micro-batches are shared out as `planLeases` does. */
export function slowestPartMs(total: number, parties: readonly StepCapacity[]): number {
  const shares = planLeases(total, parties);
  return Math.max(0, ...parties.map((party, i) => partMs(party, shares[i] ?? 0)));
}

/** The same shares, but one unit of the largest goes to `index`, which has none. */
export function withTrial(counts: readonly number[], index: number): number[] {
  const largest = counts.indexOf(Math.max(...counts));
  return counts.map((count, i) => count - (i === largest ? 1 : 0) + (i === index ? 1 : 0));
}

/**
 * The micro-batches of each party when those of a step are divided in order: as `shares` says, which
 * are of a whole step, or as many in proportion as there are.
 */
export function divideInOrder(shares: readonly number[], total: number): number[][] {
  const sum = shares.reduce((a, b) => a + b, 0);
  const ends: number[] = [];
  let reached = 0;
  for (const share of shares) {
    reached += share;
    ends.push(Math.floor((reached * total) / sum));
  }
  return ends.map((end, i) => {
    const begin = ends[i - 1] ?? 0;
    return Array.from({ length: end - begin }, (_, k) => begin + k);
  });
}
