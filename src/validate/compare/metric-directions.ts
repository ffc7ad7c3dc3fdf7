/** Which way a metric gets worse, and by how much it may. */

/** The thresholds that a user can set. */
export type ThresholdName = 'latency' | 'throughput' | 'p99';

/** How a metric is judged. */
export interface MetricRule {
  readonly better: 'lower' | 'higher';
  readonly threshold: ThresholdName;
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

const LOWER = [
  'average_loss',
  'final_loss',
  'loss',
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
  'testLoss',
  'validationLoss',
  'trainLoss',
  'wallSeconds',
  'firstStepSeconds',
  'bytesSent',
  'timeSplit.compute',
  'timeSplit.communicate',
  'timeSplit.wait',
  'timeSplit.other',
] as const;
const P99 = ['latency_p99_ms', 'p99_allreduce_ms'] as const;
const HIGHER = [
  'throughput_samples_per_sec',
  'average_throughput_samples_per_sec',
  'performance_per_watt',
  'scaling_efficiency_pct',
  'tokens_per_sec',
  // bench-collective
  'mean_bandwidth_gbps',
  'p50_bandwidth_gbps',
  'p99_bandwidth_gbps',
  'min_bandwidth_gbps',
  // summary.json
  'samplesPerSecond',
  'testAccuracy',
  'validationAccuracy',
] as const;

const KNOWN: ReadonlyMap<string, MetricRule> = new Map<string, MetricRule>([
  ...LOWER.map((name) => [name, lower('latency', false)] as const),
  ...P99.map((name) => [name, lower('p99', false)] as const),
  ...HIGHER.map((name) => [name, higher(false)] as const),
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
  if (HIGHER_WORDS.some(has)) return higher(true);
  return LOWER_WORDS.some(has) ? lower(has('p99') ? 'p99' : 'latency', true) : higher(true);
}

function lower(threshold: ThresholdName, isGuess: boolean): MetricRule {
  return { better: 'lower', threshold, isGuess };
}

function higher(isGuess: boolean): MetricRule {
  return { better: 'higher', threshold: 'throughput', isGuess };
}
