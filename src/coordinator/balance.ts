/** Shares steps out among workers by the policy of the run, and tells whenever that changes. */
import type { Rebalanced } from '../metrics/events.ts';
import {
  type BalancedNode,
  type BalancePlan,
  sharesBy,
  stragglersAmong,
} from '../plan/balance-policies.ts';
import { type Capacity, divideInOrder, partMs, planLeases } from '../plan/shares.ts';
import { SteadySpeed } from '../plan/steady-speed.ts';

/** A share that is only so much larger or smaller than the one told is the same. */
const SAME_WITHIN = 1;
/** Shares stay as long as others would not make a step shorter by more than this part of it. */
const STAY_WITHIN = 0.03;

/** A worker among which steps are shared out. */
export interface Party {
  readonly rank: number;
  readonly capacity: Capacity;
  /** What the rules may know of it; without a score when that is not known. */
  readonly node: Omit<BalancedNode, 'score'> & { readonly score: number | undefined };
}

/** What was shared out last. */
interface Shared {
  readonly step: number;
  readonly ranks: readonly number[];
  readonly shares: readonly number[];
}

/** Who gets how much of a step. */
export class Balance {
  readonly #plan: BalancePlan;
  readonly #microBatchCount: number;
  readonly #report: (event: Rebalanced) => void;
  /** By rank. */
  readonly #speeds = new Map<number, SteadySpeed>();
  #kept: Shared | undefined;
  #told: Shared | undefined;

  /** A whole step has `microBatchCount` micro-batches. */
  constructor(
    plan: BalancePlan,
    microBatchCount: number,
    report: (event: Rebalanced) => void = () => {},
  ) {
    this.#plan = plan;
    this.#microBatchCount = microBatchCount;
    this.#report = report;
  }

  /** Whether shares follow a rule to the letter: nothing is taken from who is slower than it says. */
  get isByRule(): boolean {
    return this.#plan.policy !== 'adaptive';
  }

  /** Of `total` micro-batches, a whole step or less, what each of `parties` gets. */
  share(step: number, total: number, parties: readonly Party[]): number[] {
    return this.#share(step, total, this.isByRule ? parties : this.#steady(step, parties));
  }

  /** The same workers, as fast as they have been for some steps. */
  #steady(step: number, parties: readonly Party[]): Party[] {
    return parties.map((party) => {
      const { rank, capacity } = party;
      const { microBatchMs } = capacity;
      if (microBatchMs === undefined) return party;
      const speed = this.#speeds.get(rank) ?? new SteadySpeed();
      this.#speeds.set(rank, speed);
      return { ...party, capacity: { ...capacity, microBatchMs: speed.at(step, microBatchMs) } };
    });
  }

  #share(step: number, total: number, parties: readonly Party[]): number[] {
    const isWhole = total === this.#microBatchCount;
    if (!isWhole && this.#plan.everySteps === undefined) return this.#divide(total, parties);
    const ranks = parties.map(({ rank }) => rank);
    if (this.#kept === undefined || !this.#isKept(this.#kept, step, ranks)) {
      this.#kept = { step, ranks, shares: this.#divideAnew(ranks, parties) };
      this.#tell(this.#kept, parties);
    }
    const { shares } = this.#kept;
    return isWhole ? [...shares] : divideInOrder(shares, total).map(({ length }) => length);
  }

  /** Whether shares that were worked out for a step are those of `step`, too. */
  #isKept(kept: Shared, step: number, ranks: readonly number[]): boolean {
    const { everySteps = 0 } = this.#plan;
    return kept.step <= step && step < kept.step + everySteps && isSame(kept.ranks, ranks);
  }

  /** A whole step, as before if that is nearly as good: speeds are never quite the same. */
  #divideAnew(ranks: readonly number[], parties: readonly Party[]): readonly number[] {
    const shares = this.#divide(this.#microBatchCount, parties);
    const kept = this.#kept;
    if (this.isByRule || kept === undefined || !isSame(kept.ranks, ranks)) return shares;
    const isKnown = parties.every(({ capacity }) => capacity.microBatchMs !== undefined);
    const isNear =
      slowestMs(parties, kept.shares) <= (1 + STAY_WITHIN) * slowestMs(parties, shares);
    return isKnown && isNear ? kept.shares : shares;
  }

  #divide(total: number, parties: readonly Party[]): number[] {
    const { policy } = this.#plan;
    const capacities = parties.map(({ capacity }) => capacity);
    if (policy === 'adaptive') return planLeases(total, capacities);
    return sharesBy(policy, total, this.#nodesOf(parties));
  }

  /** Who has no score is taken for an average one. */
  #nodesOf(parties: readonly Party[]): BalancedNode[] {
    const scores = parties.map(({ rank, node }) => this.#plan.scores?.[rank] ?? node.score);
    const known = scores.filter((score) => score !== undefined);
    const mean = known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
    return parties.map(({ node }, i) => ({ ...node, score: scores[i] ?? mean }));
  }

  #tell(shared: Shared, parties: readonly Party[]): void {
    const { step, ranks, shares } = shared;
    const told = this.#told;
    const isKnown = told !== undefined && isSame(told.ranks, ranks);
    const tolerance = this.isByRule ? 0 : SAME_WITHIN;
    const isNear = (share: number, i: number): boolean =>
      Math.abs(share - (told?.shares[i] ?? 0)) <= tolerance;
    if (ranks.length < 2 || (isKnown && shares.every(isNear))) return;
    this.#told = shared;
    this.#report({
      kind: 'rebalanced',
      step,
      policy: this.#plan.policy,
      shares: ranks.map((rank, i) => ({ rank, microBatches: shares[i] ?? 0 })),
      stragglers: stragglersAmong(parties.map(({ node }) => node.stepTime)).flatMap(
        (i) => ranks[i] ?? [],
      ),
    });
  }
}

/** When the last of `parties` is done with its share. */
function slowestMs(parties: readonly Party[], shares: readonly number[]): number {
  const times = parties.map(({ capacity }, i) => {
    const { linkMs: stepFixedMs = 0 } = capacity;
    const share = shares[i] ?? 0;
    return share === 0 ? 0 : partMs({ ...capacity, stepFixedMs }, share);
  });
  return Math.max(0, ...times);
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
