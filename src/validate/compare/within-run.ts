/** What a single run tells about how much its own figures vary, and how exact they are. */
import * as z from 'zod';
import { type Document, isDocument } from '../results/read-result.ts';
import { sampleOf } from './statistics.ts';

/** A run is cut into so many parts, of at least two steps. */
const PARTS = 10;
const LEAST_STEPS = 2;

/** As a baseline keeps it. */
export const withinRunSchema = z.object({
  /** Relative throughput of the parts of a run, one after the other; empty when it has no steps. */
  rates: z.array(z.number()),
  /**
   * Among runs with the same word here, equal code gives equal losses, to the last bit. Null: its
   * sums may have any order.
   */
  exactAmong: z.string().nullable(),
});

/** What is known from within one run. */
export type WithinRun = z.infer<typeof withinRunSchema>;

/** How much a run's throughput varies: the deviation of the logarithms of its parts. */
export interface Spread {
  readonly ofLogarithm: number;
  /** Degrees of freedom. */
  readonly freedom: number;
}

/**
 * Reads it from a result's payload or a summary.json, of which any program may have written any
 * part; undefined when there is nothing of it.
 */
export function withinRunOf(source: Document): WithinRun | undefined {
  const { steps, numerics_classes: ofResult, numericsClasses: ofSummary } = source;
  const classes = ofResult ?? ofSummary;
  const exactAmong = Array.isArray(classes) ? JSON.stringify(classes) : null;
  const rates = Array.isArray(steps) ? partRates(steps.map(throughputOf)) : [];
  return rates.length === 0 && exactAmong === null ? undefined : { rates, exactAmong };
}

/** The spread among the parts; undefined for fewer than two. */
export function spreadOf(rates: readonly number[]): Spread | undefined {
  if (rates.length < 2) return undefined;
  const { variance } = sampleOf(rates.map(Math.log));
  return { ofLogarithm: Math.sqrt(variance), freedom: rates.length - 1 };
}

/** Throughput of the parts. The first step, in which everything is new, is in none. */
function partRates(throughputs: readonly number[]): number[] {
  const steps = throughputs.slice(1);
  if (!steps.every((throughput) => Number.isFinite(throughput) && throughput > 0)) return [];
  const parts = Math.min(PARTS, Math.floor(steps.length / LEAST_STEPS));
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part, part + 1].map((n) => Math.floor((n * steps.length) / parts));
    const slice = steps.slice(from, to);
    // Steps have the same samples: their times are what adds up.
    return slice.length / slice.reduce((time, throughput) => time + 1 / throughput, 0);
  });
}

function throughputOf(step: unknown): number {
  const value = isDocument(step) ? step['throughput_samples_per_sec'] : undefined;
  return typeof value === 'number' ? value : NaN;
}
