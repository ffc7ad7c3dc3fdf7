/** Which way a metric gets worse, and by how much it may. */

/** The thresholds that a user can set. */
export type ThresholdName = 'latency' | 'throughput' | 'p99';

/** How a metric is judged. */
export interface MetricRule {
  readonly better: 'lower' | 'higher';
  readonly threshold: ThresholdName;
  /**
   * What it tells of: `outcome`, of what was computed; `rate`, of how fast; `cost`, of everything
   * else that a machine takes for it.
   */
  readonly of: 'outcome' | 'rate' | 'cost';
  /** The name is none of the known ones; the direction follows from its words. */
  readonly isGuess: boolean;
}

/** Numbers that say what was run, not how well: they tell that a run is not the baseline's. */
export const CONDITIONS: ReadonlySet<string> = new Set([
  'workload_type',
  'model',
  'dataset',
  'num_workers',
  'workers',
  'lanes',
  'backend',
  'size_mb',
  'iterations',
  'num_steps',
  'batch_size',
  'steps',
  'epochs',
  'seed',
  'parameters',
  'world_size',
  'learning_rate',
  'hidden_size',
  'num_layers',
]);

const LOSSES = [
  'average_loss',
  'final_loss',
  'loss',
  // summary.json
  'testLoss',
  'validationLoss',
  'trainLoss',
] as const;
const LOWER = [
  'total_time_sec',
  'startup_time_sec',
  'wall_time_sec',
  'total_allreduce_time_ms',
  'total_compute_time_ms',
  'total_wait_time_ms',
  'total_other_time_ms',
  'p50_allreduce_ms',
  'p95_allreduce_ms',
  'max_allreduce_ms',
  'allreduce_stdev_ms',
  'latency_p50_ms',
  'latency_p95_ms',
  'memory_utilization_percent',
  'communication_overhead_percent',
  'power_consumption_watts',
  'energy_per_step_joules',
  'temperature_celsius',
  'ttft_ms',
  'decode_tpt_ms',
  // summary.json
  'wallSeconds',
  'firstStepSeconds',
  'bytesSent',
  'timeSplit.compute',
  'timeSplit.communicate',
  'timeSplit.wait',
  'timeSplit.other',
] as const;
const P99 = ['latency_p99_ms', 'p99_allreduce_ms'] as const;
const ACCURACIES = ['testAccuracy', 'validationAccuracy'] as const;
const RATES = [
  'throughput_samples_per_sec',
  'average_throughput_samples_per_sec',
  // summary.json
  'samplesPerSecond',
] as const;
const HIGHER = [
  'performance_per_watt',
  'scaling_efficiency_pct',
  'tokens_per_sec',
  // bench-collective
  'mean_bandwidth_gbps',
  'p50_bandwidth_gbps',
  'p99_bandwidth_gbps',
  'min_bandwidth_gbps',
] as const;

const KNOWN: ReadonlyMap<string, MetricRule> = new Map<string, MetricRule>([
  ...LOSSES.map((name) => [name, lower('latency', 'outcome')] as const),
  ...LOWER.map((name) => [name, lower('latency', 'cost')] as const),
  ...P99.map((name) => [name, lower('p99', 'cost')] as const),
  ...ACCURACIES.map((name) => [name, higher('outcome')] as const),
  ...RATES.map((name) => [name, higher('rate')] as const),
  ...HIGHER.map((name) => [name, higher('cost')] as const),
]);

/** MiniCluster's words for lower is better, and those that it wrongly takes for a throughput. */
const LOWER_WORDS = [
  'latency',
  'time',
  'p99',
  'p95',
  'p50',
  'mean',
  'loss',
  'energy',
  'joules',
  'memory',
  'error',
];
/** They decide first: `mean_accuracy` is an accuracy. */
const HIGHER_WORDS = [
  'throughput',
  'accuracy',
  'efficiency',
  'bandwidth',
  'per_sec',
  'persecond',
  'per_watt',
];

/** How the metric of this name is judged. */
export function ruleOf(name: string): MetricRule {
  const known = KNOWN.get(name);
  if (known !== undefined) return known;
  const words = name.toLowerCase();
  const has = (word: string): boolean => words.includes(word);
  const rule = guessed(has);
  return { ...rule, of: has('loss') || has('accuracy') ? 'outcome' : rule.of, isGuess: true };
}

function guessed(has: (word: string) => boolean): MetricRule {
  if (HIGHER_WORDS.some(has)) return higher('cost');
  return LOWER_WORDS.some(has) ? lower(has('p99') ? 'p99' : 'latency', 'cost') : higher('cost');
}

function lower(threshold: ThresholdName, of: MetricRule['of']): MetricRule {
  return { better: 'lower', threshold, of, isGuess: false };
}

function higher(of: MetricRule['of']): MetricRule {
  return { better: 'higher', threshold: 'throughput', of, isGuess: false };
}
