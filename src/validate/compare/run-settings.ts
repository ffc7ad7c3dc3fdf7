/** Settings that two result files name. */

/**
 * Settings that say where and how fast a run was computed, or what it is judged by: losses must not
 * depend on them.
 */
const WITHOUT_EFFECT = new Set([
  'num_processes',
  'num_workers',
  'world_size',
  'lanes',
  'tdp_watts',
  'baseline_throughput',
  'collective_backend',
  'backend',
  'loss_tolerance',
  'regression_threshold',
]);

/** Settings that two runs have with different values, as `seed 42 and 7`. */
export function differentSettings(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
): string[] {
  return Object.keys(one)
    .filter((key) => !WITHOUT_EFFECT.has(key) && Object.hasOwn(other, key))
    .map((key) => [key, JSON.stringify(one[key]), JSON.stringify(other[key])])
    .filter(([, mine, theirs]) => mine !== theirs)
    .map(([key, mine, theirs]) => `${key} ${mine} and ${theirs}`);
}
