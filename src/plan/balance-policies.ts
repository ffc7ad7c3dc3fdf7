/**
 * The rules by which a step's samples can be shared out among unequal workers, other than by
 * measured speed alone: those of the third seed system, and equal shares to compare with.
 */
import { median } from '../base/median.ts';

/** Ways to share a step out; `adaptive` is `planLeases` with stealing. */
export const BALANCE_POLICIES = ['adaptive', 'equal', 'proportional', 'dynamic', 'hybrid'] as const;
/** One of `BALANCE_POLICIES`. */
export type BalancePolicy = (typeof BALANCE_POLICIES)[number];

/** How the steps of a run are shared out. */
export interface BalancePlan {
  readonly policy: BalancePolicy;
  /** Shares stay for so many steps; `adaptive` works them out whenever it can if absent. */
  readonly everySteps?: number;
  /** Of workers by rank, in place of what they measure. */
  readonly scores?: readonly number[];
  /** Also workers take part without whom steps would be shorter; no others, if absent. */
  readonly keepsAll?: boolean;
}

/** What a machine was measured to be, for `computeScore`. */
export interface MachineSpeed {
  /** 10^12 multiplications and additions per second of a matrix product. */
  readonly teraflops: number;
  /** GiB. */
  readonly memory: number;
  /** 10^9 bytes per second that are read and written. */
  readonly bandwidth: number;
  /** GHz. */
  readonly clock: number;
}

/** The third seed system's measure of a machine, to two decimals. */
export function computeScore({ teraflops, memory, bandwidth, clock }: MachineSpeed): number {
  const score = 0.4 * teraflops + 0.3 * memory + (0.2 * bandwidth) / 100 + 0.1 * clock;
  return Math.round(100 * score) / 100;
}

/** What such a rule may know of a worker. */
export interface BalancedNode {
  /** Of its profile, at least 0: about how fast its machine should be. */
  readonly score: number;
  /** Mean time of its part in a step, in any unit; undefined before the first. */
  readonly stepTime: number | undefined;
  /** Percent, 0 to 100, of its processor and of its memory that are in use. */
  readonly utilisation: number;
  readonly memoryUse: number;
}

/** A worker whose steps take so many times the median is a straggler. */
const STRAGGLER = 1.5;
/** What a straggler's weight is multiplied with. */
const STRAGGLER_WEIGHT = 0.5;
/** How much of the weight a machine loses that is wholly in use. */
const USE_WEIGHT = 0.2;
/** How much of the weight is the profile's, the rest being measured. */
const PROFILE_PART = { dynamic: 0.7, hybrid: 0.5 } as const;

/** The share of each of `nodes`, at least 1 each if `total` suffices; the sum is `total`. */
export function sharesBy(
  policy: Exclude<BalancePolicy, 'adaptive'>,
  total: number,
  nodes: readonly BalancedNode[],
): number[] {
  return allocate(total, weightsBy(policy, nodes));
}

function weightsBy(
  policy: Exclude<BalancePolicy, 'adaptive'>,
  nodes: readonly BalancedNode[],
): number[] {
  if (policy === 'equal') return nodes.map(() => 1);
  if (policy === 'proportional') return nodes.map(({ score }) => score);
  const slow = new Set(stragglersAmong(nodes.map(({ stepTime }) => stepTime)));
  return nodes.map((node, i) => {
    const alpha = PROFILE_PART[policy];
    const { score, stepTime = 0, utilisation, memoryUse } = node;
    const measured = stepTime > 0 ? score / stepTime : score;
    const weight =
      (alpha * score + (1 - alpha) * measured) *
      (1 - (USE_WEIGHT * utilisation) / 100) *
      (1 - (USE_WEIGHT * memoryUse) / 100);
    return slow.has(i) ? STRAGGLER_WEIGHT * weight : weight;
  });
}

/** The indices of those whose time is more than 1.5 times the median of all that are known. */
export function stragglersAmong(times: readonly (number | undefined)[]): number[] {
  const known = times.filter((time): time is number => time !== undefined && time > 0);
  const limit = STRAGGLER * median(known);
  return times.flatMap((time, i) => (time !== undefined && time > limit ? [i] : []));
}

/** In proportion, rounded down but at least 1; the last one takes what is left. */
function allocate(total: number, weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const even = Math.floor(total / weights.length);
  const shares = weights.map((weight) =>
    sum > 0 && sum < Infinity ? Math.max(1, Math.floor((total * weight) / sum)) : even,
  );
  let left = total;
  return shares.map((share, i) => {
    const others = shares.length - 1 - i;
    // Whoever comes later gets at least 1, as long as there is enough for all.
    const given = others === 0 ? left : Math.min(share, Math.max(0, left - others));
    left -= given;
    return given;
  });
}
