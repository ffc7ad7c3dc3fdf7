/** Baselines: the metrics of accepted runs, kept by name in a folder. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { ConfigError } from '../../base/errors.ts';
import { closestName } from '../../base/closest-name.ts';
import { writeOutput } from '../results/output-file.ts';
import { isDocument, parseWith, readKnownFile, wrongKind } from '../results/read-result.ts';
import { isoOf } from '../results/timestamp.ts';
import {
  type Conditions,
  conditionsOf,
  flatten,
  type RunMetrics,
  withoutSettings,
} from './read-metrics.ts';
import { CONDITIONS } from './metric-directions.ts';
import { type WithinRun, withinRunOf, withinRunSchema } from './within-run.ts';

/** A baseline as it is compared with. */
export interface Baseline {
  readonly name: string;
  /** ISO 8601. */
  readonly timestamp: string;
  /** The values of every metric, one per run that has it. */
  readonly metrics: ReadonlyMap<string, readonly number[]>;
  readonly conditions: Conditions;
  /** What its runs tell of their own noise, as far as they do. */
  readonly within: readonly WithinRun[];
}

const numbersSchema = z.record(z.string(), z.number().or(z.nan()));
/** `metrics` may be all that another program wrote; what is optional is ours. */
const baselineSchema = z.looseObject({
  name: z.string(),
  timestamp: z.string(),
  metrics: z.record(z.string(), z.unknown()),
  runs: z.array(numbersSchema).min(1).optional(),
  conditions: z.record(z.string(), z.union([z.number(), z.string()])).optional(),
  within: z.array(withinRunSchema).optional(),
});

/** A name becomes the name of a file, so it may not lead elsewhere. Throws ConfigError. */
export function checkBaselineName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name))
    throw new ConfigError(
      '--name: expected letters, digits, ".", "_" and "-", up to 100, beginning with a letter ' +
        `or digit; got ${JSON.stringify(name)}`,
    );
}

/** Where the baseline of this name is, or would be. */
export function baselinePath(folder: string, name: string): string {
  return join(folder, `${name}.json`);
}

/**
 * Writes a baseline from the metrics of one or several runs, of which `metrics` has the means.
 * Throws ConfigError.
 */
export function writeBaseline(folder: string, name: string, runs: readonly RunMetrics[]): void {
  for (const { path, metrics } of runs)
    for (const [metric, value] of metrics)
      if (!Number.isFinite(value))
        throw new ConfigError(
          `reading ${path}: expected finite metrics in a baseline, and ${metric} is ${value}`,
        );
  const values = valuesOf(runs.map(({ metrics }) => metrics));
  const means = [...values].map(([metric, of]) => [
    metric,
    of.reduce((sum, one) => sum + one, 0) / of.length,
  ]);
  const baseline = {
    name,
    timestamp: isoOf(Date.now()),
    metrics: Object.fromEntries(means),
    runs: runs.map(({ metrics }) => Object.fromEntries(metrics)),
    conditions: Object.fromEntries(commonConditions(runs)),
    within: runs.flatMap(({ within }) => within ?? []),
  };
  writeOutput(baselinePath(folder, name), `${JSON.stringify(baseline, null, 2)}\n`);
}

/**
 * Reads a baseline. Throws: ConfigError; it tells which there are when `name` is not among them.
 */
export function readBaseline(folder: string, name: string): Baseline {
  const path = baselinePath(folder, name);
  if (statSync(path, { throwIfNoEntry: false }) === undefined) throw unknownBaseline(folder, name);
  const file = readKnownFile(path);
  if (file.kind !== 'baseline') throw wrongKind(file, 'a baseline');
  const { timestamp, metrics, runs, conditions = {}, within } = parseWith(file, baselineSchema);
  const whole = metricsOfWhole(metrics);
  return {
    name,
    timestamp,
    metrics:
      runs === undefined
        ? valuesOf([flatten(whole)])
        : valuesOf(runs.map((run) => new Map(Object.entries(run)))),
    conditions: new Map([...conditionsOf(whole), ...Object.entries(conditions)]),
    within: within ?? withinOfWhole(metrics),
  };
}

/** The names of all baselines in a folder, in order; none when there is no such folder. */
export function listBaselines(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** The values of every metric over runs. */
export function valuesOf(runs: readonly ReadonlyMap<string, number>[]): Map<string, number[]> {
  const values = new Map<string, number[]>();
  for (const run of runs)
    for (const [name, value] of run)
      if (!CONDITIONS.has(name)) values.set(name, [...(values.get(name) ?? []), value]);
  return values;
}

/** Conditions that all runs name, and with the same value. */
export function commonConditions(runs: readonly RunMetrics[]): Conditions {
  const [first] = runs;
  return new Map(
    [...(first?.conditions ?? [])].filter(([key, value]) =>
      runs.every(({ conditions }) => conditions.get(key) === value),
    ),
  );
}

/** MiniCluster saves a whole result file as the metrics of a baseline. */
function metricsOfWhole(
  metrics: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const { tool_payload: payload, metrics: inner } = metrics;
  if (!isDocument(inner)) return metrics;
  return { ...(isDocument(payload) && withoutSettings(payload)), ...inner };
}

function withinOfWhole(metrics: Readonly<Record<string, unknown>>): WithinRun[] {
  const { tool_payload: payload } = metrics;
  return [withinRunOf(isDocument(payload) ? payload : metrics)].filter((one) => one !== undefined);
}

function unknownBaseline(folder: string, name: string): ConfigError {
  const known = listBaselines(folder);
  const near = closestName(name, known);
  const there =
    known.length === 0
      ? `there is none in ${folder}. Make one with \`lockstep baseline save\``
      : `in ${folder} there are: ` +
        `${known.join(', ')}${near === undefined ? '' : `. Did you mean "${near}"?`}`;
  return new ConfigError(`--name: no baseline "${name}"; ${there}`);
}
