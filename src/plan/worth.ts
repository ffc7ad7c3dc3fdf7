/** Whether steps would be shorter without the workers of some machines: pure arithmetic. */
import { slowestPartMs, type StepCapacity } from './shares.ts';

/** One worker of a step. */
export type StepParty = StepCapacity & { readonly host: string };

/** Workers without whom steps are predicted to be shorter. */
export interface Saving<Party extends StepParty> {
  readonly leftOut: readonly Party[];
  readonly predictedMs: number;
}

/** Of what a step takes, a prediction must save so much to count. */
const WORTH = 0.1;
/** Predictions from the first steps, in which nobody is as fast as later, may be so far apart. */
const ABOUT_EQUAL = 1.5;
/** Of such, those stay who reach the coordinator so many times faster. */
const NEARER = 4;

/** What is known of the way that some of the parties have. */
export interface Ways<Party extends StepParty> {
  /** Milliseconds that adding up their sums takes them, if that is known. */
  readonly sumMs: (parties: readonly Party[]) => number | undefined;
  /** Milliseconds that sums to the coordinator take the slowest of them, if that is known. */
  readonly reachMs: (parties: readonly Party[]) => number | undefined;
}

/**
 * Whom to leave out of steps that take `stepMs` with all of `parties`: all but one machine, or one
 * of several, whichever is predicted to be best; of about equals those stay who reach the
 * coordinator much faster. Undefined if nothing is clearly better.
 */
export function worthLeavingOut<Party extends StepParty>(
  stepMs: number,
  microBatchCount: number,
  parties: readonly Party[],
  { sumMs, reachMs }: Ways<Party>,
): Saving<Party> | undefined {
  if (parties.some(({ microBatchMs }) => microBatchMs === undefined)) return undefined;
  const hosts = [...new Set(parties.map(({ host }) => host))];
  if (hosts.length < 2) return undefined;
  const better = hosts
    .flatMap((host) => [true, false].map((is) => parties.filter((p) => (p.host === host) === is)))
    .flatMap((kept) => {
      const sharedMs = sumMs(kept);
      if (sharedMs === undefined) return [];
      // What links cost is in the sums.
      const computing = kept.map((party) => ({ ...party, linkMs: 0 }));
      const predictedMs = slowestPartMs(microBatchCount, computing) + sharedMs;
      return [{ kept, predictedMs, reachMs: reachMs(kept) ?? Infinity }];
    })
    .filter(({ predictedMs }) => predictedMs < (1 - WORTH) * stepMs)
    .toSorted((a, b) => a.predictedMs - b.predictedMs);
  const [fastest] = better;
  if (fastest === undefined) return undefined;
  const isNearer = (way: (typeof better)[number]): boolean =>
    way.predictedMs <= ABOUT_EQUAL * fastest.predictedMs && NEARER * way.reachMs < fastest.reachMs;
  const { kept, predictedMs } = better.find(isNearer) ?? fastest;
  return { leftOut: parties.filter((party) => !kept.includes(party)), predictedMs };
}
