/** Who gets the next task: one of the nodes that have none. */
import { ConfigError } from '../base/errors.ts';

/** What a policy may know of a node. */
export interface Candidate {
  readonly name: string;
  /** Tasks given to it so far. */
  readonly given: number;
  /** Recent time per task, injected load included; undefined before the first. */
  readonly recentMs: number | undefined;
  /** Recent share of its tasks that it rejected, between 0 and 1. */
  readonly rejectedShare: number;
}

/** The name of a policy, as settings have it. */
export type PolicyName = 'random' | 'load-balancing' | 'round-robin';

/** Gives the index of a node among `candidates`, which are never none. */
export type Policy = (candidates: readonly Candidate[]) => number;

/** The seed system's numbers for them; round-robin, which only its documents have, is the third. */
const NUMBERS = new Map<string, PolicyName>([
  ['1', 'random'],
  ['2', 'load-balancing'],
  ['3', 'round-robin'],
]);
const NAMES: readonly PolicyName[] = ['random', 'load-balancing', 'round-robin'];

/** The policy by number or name. Throws: ConfigError. */
export function parsePolicyName(text: string): PolicyName {
  const name = NUMBERS.get(text) ?? NAMES.find((known) => known === text);
  if (name !== undefined) return name;
  throw new ConfigError(
    `scheduling_policy: expected 1 or random, 2 or load-balancing, 3 or round-robin, got "${text}"`,
    [{ path: 'scheduling_policy', expected: 'a policy', got: text }],
  );
}

/** A policy with its memory; `random` gives numbers in [0, 1). */
export function createPolicy(name: PolicyName, random: () => number): Policy {
  if (name === 'random') return (candidates) => Math.floor(random() * candidates.length);
  return name === 'round-robin' ? inTurn() : leastBusy;
}

/** The one after the last in the order of names, whoever may be missing today. */
function inTurn(): Policy {
  let last: string | undefined;
  return (candidates) => {
    const names = candidates.map(({ name }) => name).sort();
    const next = names.find((name) => last === undefined || name > last) ?? names[0];
    last = next;
    return candidates.findIndex(({ name }) => name === next);
  };
}

/**
 * The node whose task is likely done first: its recent time per task,
 * times the tries that its rejections make necessary. Nodes of which
 * nothing is known come first, then those that were given less.
 */
function leastBusy(candidates: readonly Candidate[]): number {
  let best = 0;
  for (let i = 1; i < candidates.length; i++) {
    const [one, other] = [candidates[i], candidates[best]];
    if (one !== undefined && other !== undefined && isLessBusy(one, other)) best = i;
  }
  return best;
}

function isLessBusy(one: Candidate, other: Candidate): boolean {
  const [a, b] = [expectedMs(one), expectedMs(other)];
  return a === b ? one.given < other.given : a < b;
}

function expectedMs({ recentMs, rejectedShare }: Candidate): number {
  return (recentMs ?? 0) / Math.max(0.05, 1 - rejectedShare);
}
